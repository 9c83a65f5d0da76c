"""A trained network as an MLflow model: saved from code, no pickle, served without this repository."""

import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from mlpsweep.tracking.run import Run

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

PACKAGE = Path(__file__).resolve().parents[1]
REQUIREMENTS = ("mlflow", "numpy", "scipy", "threadpoolctl")


def log_model(run: Run, weights: Path, n_features: int, n_classes: int) -> None:
    """Store a model with a run; a failing store stops nothing.

    The model holds the weights, the code that reads them and exact requirements. It turns pixels of shape
    (n_samples, n_features) into probabilities of shape (n_samples, n_classes).

    Parameters
    ----------
    run : Run
        Run of the training.
    weights : Path
        File of the model, ``model.npz``.
    n_features, n_classes : int
        Number of inputs and of outputs of the network.
    """
    if run.run_id:
        run.breaker.write(lambda: _log_model(run, weights, n_features, n_classes))


def _log_model(run: Run, weights: Path, n_features: int, n_classes: int) -> None:
    from mlflow import pyfunc
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus
    from mlflow.models import Model

    source = run.client.get_run(run.run_id).info
    logged = run.client.create_logged_model(source.experiment_id, name="model", source_run_id=run.run_id)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        with warnings.catch_warnings():
            # The signature below is exact; an example would only be used to guess and re-check it.
            warnings.filterwarnings("ignore", message=".*input example", category=UserWarning)
            pyfunc.save_model(
                path=path,
                mlflow_model=Model(run_id=run.run_id, model_id=logged.model_id),
                python_model=str(Path(__file__).with_name("served.py")),
                artifacts={"weights": str(weights)},
                signature=_signature(n_features, n_classes),
                pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
                code_paths=[str(PACKAGE)],
            )
        run.client.log_model_artifacts(logged.model_id, str(path))
    run.client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    run.client.log_outputs(run.run_id, [LoggedModelOutput(logged.model_id, step=0)])


def _signature(n_features: int, n_classes: int) -> "ModelSignature":
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, n_features))]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, n_classes))]),
    )
