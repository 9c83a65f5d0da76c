"""The code inside a tracked model; MLflow runs this file when the model is loaded."""

from pathlib import Path

import mlflow
import numpy as np
import numpy.typing as npt
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from mlpsweep.training.model import Model


class Classifier(PythonModel):
    """Turns pixels into class probabilities."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the weights."""
        self.model = Model.load(Path(context.artifacts["weights"]))

    def predict(self, model_input: np.ndarray) -> npt.NDArray[np.float32]:  # type: ignore[override]
        """Return probabilities of shape (n_samples, n_classes) for pixels of shape (n_samples, n_features)."""
        return self.model.predict_probabilities(np.asarray(model_input))


mlflow.models.set_model(Classifier())
