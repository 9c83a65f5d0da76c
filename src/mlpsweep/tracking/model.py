"""A trained network as an MLflow model: saved from code, no pickle, served without this repository."""

import logging
import re
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlpsweep.data.features import columns_text, kinds_of, table_of
from mlpsweep.tracking.lineage import NOTE
from mlpsweep.tracking.run import Run
from mlpsweep.training.model import Model
from mlpsweep.types import ImageArray

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric
    from mlflow.models import ModelSignature

PACKAGE = Path(__file__).resolve().parents[1]
# What mlpsweep.training.model imports; the whole package would be several times as many files in each run.
CODE = (
    *(
        "__init__.py",
        "types.py",
        "errors.py",
        "files.py",
        "nn/*.py",
        "data/__init__.py",
        "data/batches.py",
        "data/features.py",
    ),
    *(f"training/{name}.py" for name in ("__init__", "arrays", "blas", "measure", "model")),
)
REQUIREMENTS = ("mlflow", "numpy", "scipy", "threadpoolctl")
SPLITS: Final = ("train/", "validation/", "test/")
"""How the names of the metrics begin that are a model's; others are of the batches, or of the machine."""
OF_THE_RUN: Final[tuple[str, ...]] = ("mlflow.user", "mlflow.source.name", "mlflow.source.type")
"""Tags that MLflow's page shows of a model as of its run."""


def model_name(model: Model) -> str:
    """Return a model's name, ``<data>-<activation>-<widths>``; MLflow refuses some characters.

    Examples
    --------
    ``mnist-relu-500-250-100``
    """
    activation = "+".join(dict.fromkeys(model.activations)) or "linear"
    parts = (str(model.metadata["dataset"]), activation, *map(str, model.params.layer_sizes[1:-1]))
    return re.sub(r"[/:.%\"'\s]", "_", "-".join(parts))


def log_model(run: Run, weights: Path, model: Model, example: ImageArray | None = None) -> None:
    """Have a model stored with a run.

    It holds the weights, the code that reads them, exact requirements and an example of its input: pixels of shape
    (n_samples, n_features), or rows of a table as the file of the training has them. Its output is probabilities of
    shape (n_samples, n_classes). The run's params are the model's, too.

    Parameters
    ----------
    run : Run
        Its params are logged.
    weights : Path
        The file of ``model``.
    model : Model
    example : ndarray of shape (n_samples, n_features) or None
        Pixels, or features of a table; None: a blank image, or a row of means.
    """
    run.queue.put(run.handle, lambda: send_model(run, weights, model, example))


def send_model(run: Run, weights: Path, model: Model, example: ImageArray | None = None) -> None:
    """Store a model with a run, as :func:`log_model`, now; a second time nothing happens."""
    known = run.client.get_run(run.run_id)
    if model_of(known) is None:
        store_model(run.client, known, weights, model, example)


def link_metrics(run: Run) -> None:
    """Have a run's metrics on each split become its model's, too, as they were at the epoch of its weights.

    Those that are stay as they are.
    """
    run.queue.put(run.handle, lambda: send_links(run))


def send_links(run: Run) -> None:
    """Do now what :func:`link_metrics` does; a second time nothing happens."""
    from mlflow.entities import Metric

    client, run_id = run.client, run.run_id
    known = client.get_run(run_id)
    model_id = model_of(known)
    if model_id is None:
        return
    there = {metric.key for metric in client.get_logged_model(model_id).metrics or ()}
    epoch = known.data.metrics.get("epoch_of_weights")
    # The message has the times of the points, too: a point of the same time is the same one to the store.
    latest = (Metric.from_proto(point) for point in known.data.to_proto().metrics)
    points = [_at(client, run_id, point, epoch) for point in latest if point.key.startswith(SPLITS)]
    mine = [
        Metric(point.key, point.value, point.timestamp, point.step, model_id=model_id)
        for point in points
        if point.key not in there
    ]
    client.log_batch(run_id, metrics=mine)


def model_of(run: Any) -> str | None:
    """Return the id of the model that a run, as the store tells it, has logged."""
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


def store_model(
    client: "MlflowClient", run: Any, weights: Path, model: Model, example: ImageArray | None = None
) -> None:
    """Store the files of the model that a run names, or of a new one."""
    import numpy as np
    import pandas as pd
    from mlflow import pyfunc
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus
    from mlflow.models import Model as Description

    known, source = model_of(run), run.info
    model_id = known or _created(client, run, model)
    # It says that it checks the example.
    logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)
    rows = np.zeros((1, model.n_features), np.float32) if example is None else example.astype(np.float32)
    columns = model.metadata.get("columns")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        pyfunc.save_model(
            path=path,
            mlflow_model=Description(run_id=source.run_id, model_id=model_id),
            python_model=str(Path(__file__).with_name("served.py")),
            artifacts={"weights": str(weights)},
            signature=_signature(model),
            input_example=pd.DataFrame(table_of(columns, rows)) if columns else rows,
            pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
            code_paths=[str(copy_code(Path(folder)))],
        )
        client.log_model_artifacts(model_id, str(path))
    if known is None:
        client.finalize_logged_model(model_id, LoggedModelStatus.READY)
        client.log_outputs(source.run_id, [LoggedModelOutput(model_id, step=0)])


def _created(client: "MlflowClient", run: Any, model: Model) -> str:
    """Create a model with its run's params and return its id."""
    tags = {name: run.data.tags[name] for name in OF_THE_RUN if name in run.data.tags}
    logged = client.create_logged_model(
        run.info.experiment_id,
        name=model_name(model),
        source_run_id=run.info.run_id,
        tags={**tags, NOTE: _note(model)},
        params=run.data.params,
    )
    return str(logged.model_id)


def copy_code(folder: Path) -> Path:
    """Copy the files of this package that a model needs into a folder, and return where."""
    code = folder / PACKAGE.name
    for file in (file for pattern in CODE for file in PACKAGE.glob(pattern)):
        target = code / file.relative_to(PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return code


def _note(model: Model) -> str:
    """Return a logged model's description."""
    columns = columns_text(model.metadata.get("columns") or ())
    pixels = f"pixels as stored, of shape (n, {model.n_features})"
    takes = f"rows of a table with the columns {columns}" if columns else pixels
    return (
        f"Takes {takes}; gives probabilities of shape (n, "
        f"{model.n_classes}). {model.n_parameters:,} weights and biases."
    )


def _at(client: "MlflowClient", run_id: str, latest: "Metric", epoch: float | None) -> "Metric":
    """Return a metric's point at the epoch of the model's weights; the latest one if it does not go on after that."""
    if epoch is None or latest.step <= epoch:
        return latest
    history = client.get_metric_history(run_id, latest.key)
    return next((point for point in reversed(history) if point.step == epoch), latest)


def _signature(model: Model) -> "ModelSignature":
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    kinds = kinds_of(model.metadata.get("columns") or ()).items()
    columns: list[ColSpec | TensorSpec] = [
        ColSpec("double" if categories is None else "string", name) for name, categories in kinds
    ]
    return ModelSignature(
        inputs=Schema(columns or [TensorSpec(np.dtype(np.float32), (-1, model.n_features))]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, model.n_classes))]),
    )
