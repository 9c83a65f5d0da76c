"""A trained network as an MLflow model: saved from code, no pickle, served without this repository."""

import shutil
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpsweep.tracking.run import Run

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

PACKAGE = Path(__file__).resolve().parents[1]
# What mlpsweep.training.model imports; the whole package would be four times as many files in each run.
CODE = (
    *("__init__.py", "types.py", "errors.py", "files.py", "nn/*.py", "data/__init__.py", "data/batches.py"),
    *(f"training/{name}.py" for name in ("__init__", "arrays", "blas", "measure", "model")),
)
REQUIREMENTS = ("mlflow", "numpy", "scipy", "threadpoolctl")


def log_model(run: Run, weights: Path, n_features: int, n_classes: int) -> None:
    """Have a model stored with a run.

    The model holds the weights, the code that reads them and exact requirements; its input is pixels
    of shape (n_samples, n_features), its output probabilities of shape (n_samples, n_classes).
    """
    run.queue.put(run.handle, lambda: send_model(run, weights, n_features, n_classes))


def send_model(run: Run, weights: Path, n_features: int, n_classes: int) -> None:
    """Store a model with a run, as :func:`log_model`, now; a second time nothing happens."""
    known = run.client.get_run(run.run_id)
    if model_of(known) is None:
        store_model(run.client, known, weights, n_features, n_classes)


def model_of(run: Any) -> str | None:
    """Return the id of the model that a run has logged."""
    return run.outputs.model_outputs[-1].model_id if run.outputs and run.outputs.model_outputs else None


def lacks_model(client: "MlflowClient", run: Any) -> bool:
    """Return whether a run has no model or one without its files; a model that somebody deleted is not missed."""
    from mlflow.exceptions import MlflowException

    model_id = model_of(run)
    try:
        return model_id is None or not client.list_logged_model_artifacts(model_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False


def store_model(client: "MlflowClient", run: Any, weights: Path, n_features: int, n_classes: int) -> None:
    """Store the files of the model that a run names, or of a new one."""
    from mlflow import pyfunc
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus
    from mlflow.models import Model

    known, source = model_of(run), run.info
    model_id = known or client.create_logged_model(source.experiment_id, "model", source.run_id).model_id
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        with warnings.catch_warnings():
            # The signature below is exact; an example would only be used to guess and re-check it.
            warnings.filterwarnings("ignore", message=".*input example", category=UserWarning)
            pyfunc.save_model(
                path=path,
                mlflow_model=Model(run_id=source.run_id, model_id=model_id),
                python_model=str(Path(__file__).with_name("served.py")),
                artifacts={"weights": str(weights)},
                signature=_signature(n_features, n_classes),
                pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
                code_paths=[str(copy_code(Path(folder)))],
            )
        client.log_model_artifacts(model_id, str(path))
    if known is None:
        client.finalize_logged_model(model_id, LoggedModelStatus.READY)
        client.log_outputs(source.run_id, [LoggedModelOutput(model_id, step=0)])


def copy_code(folder: Path) -> Path:
    """Copy the files of this package that a model needs into a folder, and return where."""
    code = folder / PACKAGE.name
    for file in (file for pattern in CODE for file in PACKAGE.glob(pattern)):
        target = code / file.relative_to(PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return code


def _signature(n_features: int, n_classes: int) -> "ModelSignature":
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, n_features))]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, n_classes))]),
    )
