"""The model registry: which version of a data set's model is the champion; nothing is trained or measured here."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mlpsweep.errors import StorageError
from mlpsweep.files import locked
from mlpsweep.tracking.model import link_metrics, log_model, model_of
from mlpsweep.tracking.project import work_tree
from mlpsweep.tracking.queue import answered
from mlpsweep.tracking.run import Run
from mlpsweep.training.model import Model

CHAMPION: Final = "champion"
PREVIOUS: Final = "previous"
_CURRENT: Final = "MLFLOW_TRACKING_URI"


def registered_name(dataset: str) -> str:
    """Return the name under which the networks of a data set are registered, such as ``mnist-mlp``."""
    return f"{dataset}-mlp"


def make_champion(run: Run, weights: Path, tags: Mapping[str, str], card: str = "") -> str | None:
    """Register a run's model, unless it is, and let the alias ``champion`` name it; the former one is ``previous``.

    Parameters
    ----------
    run : Run
        Of the training.
    weights : Path
        The model's file, for a run that holds no model: one restored, or taken from an equal training.
    tags : mapping
        Further lineage for the version, beside run, ``run_key``, digests and the training's commit.
    card : str
        What the version says of itself, in Markdown; the last one stands.

    Returns
    -------
    str or None
        ``<name> version <number>``, or None where the store does not take it.
    """
    if run.queue.drain():
        return None
    try:
        with answered(run.queue.where):
            return _make_champion(run, weights, tags, card)
    except StorageError as error:
        sys.stderr.write(f"warning: {error}\n")
        return None


def _make_champion(run: Run, weights: Path, tags: Mapping[str, str], card: str) -> str:
    model = Model.load(weights)
    name, client = registered_name(str(model.metadata["dataset"])), run.client
    with locked(work_tree() / "mlruns" / ".lock"):
        version = _version_of(run, name, str(model.metadata["run_key"])) or _register(run, name, weights, model, tags)
        if card:
            client.update_model_version(name, version, card)
        former = client.get_registered_model(name).aliases.get(CHAMPION)
        if str(former) != version:
            if former is not None:
                client.set_registered_model_alias(name, PREVIOUS, former)
            client.set_registered_model_alias(name, CHAMPION, version)
    return f"{name} version {version}"


def _version_of(run: Run, name: str, run_key: str) -> str | None:
    """Return the newest version that an equal training made whose run has not been deleted."""
    found = run.client.search_model_versions(f"name = '{name}' and tags.run_key = '{run_key}'")
    return max((str(version.version) for version in found if _is_there(run, version.run_id)), key=int, default=None)


def _is_there(run: Run, run_id: str | None) -> bool:
    from mlflow.exceptions import MlflowException

    if not run_id:
        return False
    try:
        return bool(run.client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise


def _register(run: Run, name: str, weights: Path, model: Model, tags: Mapping[str, str]) -> str:
    from mlflow import register_model

    if model_of(run.client.get_run(run.run_id)) is None:
        log_model(run, weights, model)
        link_metrics(run)
        run.queue.drain()
    trained = run.tags()
    lineage = {
        "run_id": run.run_id,
        "run_key": str(model.metadata["run_key"]),
        "weights_hash": model.weights_hash,
        "data_digest": str(model.metadata["data_digest"]),
        "git_commit": trained.get("mlflow.source.git.commit", ""),
        "git_dirty": trained.get("git_dirty", ""),
        **tags,
    }
    told = {tag: value for tag, value in lineage.items() if value}
    # It tells on stderr what the door says in its own words.
    with _current(run.client.tracking_uri), contextlib.redirect_stderr(io.StringIO()):
        return str(register_model(f"models:/{model_of(run.client.get_run(run.run_id))}", name, tags=told).version)


@contextmanager
def _current(uri: str) -> Iterator[None]:
    """Make a store the current one: MLflow's registry looks for a model's files there, whichever client asks."""
    former = os.environ.get(_CURRENT)
    os.environ[_CURRENT] = uri
    try:
        yield
    finally:
        if former is None:
            del os.environ[_CURRENT]
        else:
            os.environ[_CURRENT] = former
