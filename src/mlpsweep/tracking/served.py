"""The code inside a tracked model; MLflow runs this file when the model is loaded."""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import numpy.typing as npt
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from mlpsweep.data.features import features_of
from mlpsweep.training.model import Model


class Classifier(PythonModel):
    """Turns pixels, or rows of a table, into class probabilities."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the weights."""
        self.model = Model.load(Path(context.artifacts["weights"]))

    # MLflow warns of any other hint for what it hands over, which of a table is a DataFrame.
    def predict(self, model_input: np.ndarray) -> npt.NDArray[np.float32]:  # type: ignore[override]
        """Return probabilities of shape (n_samples, n_classes).

        Parameters
        ----------
        model_input : ndarray of shape (n_samples, n_features), or DataFrame
            Pixels as stored; or, for a model of tables, rows as the file of the training had them.
        """
        columns = self.model.metadata.get("columns")
        rows: Any = model_input
        return self.model.predict_probabilities(features_of(columns, rows) if columns else np.asarray(rows))


mlflow.models.set_model(Classifier())
