"""The model registry: which version of a data set's model is the champion."""

import contextlib
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mlpsweep.files import locked
from mlpsweep.tracking.model import log_model
from mlpsweep.tracking.run import Run
from mlpsweep.tracking.store import work_tree
from mlpsweep.training.model import Model

CHAMPION: Final = "champion"
PREVIOUS: Final = "previous"
_CURRENT: Final = "MLFLOW_TRACKING_URI"


def registered_name(dataset: str) -> str:
    """Return the name under which the networks of a data set are registered, such as ``mnist-mlp``."""
    return f"{dataset}-mlp"


def make_champion(run: Run, weights: Path, tags: Mapping[str, str]) -> str | None:
    """Register a run's model unless it is registered, and name it ``champion``; the former champion is ``previous``.

    Parameters
    ----------
    run : Run
        Run of the training.
    weights : Path
        File of the model, logged first for a run that holds no model: a restored or a reused one.
    tags : mapping
        Further tags of the version, beside run, ``run_key``, digests and the training's commit.

    Returns
    -------
    str or None
        ``<name> version <number>``, or None if the store failed.
    """
    made: list[str] = []
    run.breaker.write(lambda: made.append(_make_champion(run, weights, tags)))
    return made[0] if made else None


def _make_champion(run: Run, weights: Path, tags: Mapping[str, str]) -> str:
    model = Model.load(weights)
    name, client = registered_name(str(model.metadata["dataset"])), run.client
    with locked(work_tree() / "mlruns" / ".lock"):
        version = _version_of(run, name, str(model.metadata["run_key"])) or _register(run, name, weights, model, tags)
        former = client.get_registered_model(name).aliases.get(CHAMPION)
        if str(former) != version:
            if former is not None:
                client.set_registered_model_alias(name, PREVIOUS, former)
            client.set_registered_model_alias(name, CHAMPION, version)
    return f"{name} version {version}"


def _version_of(run: Run, name: str, run_key: str) -> str | None:
    """Return the newest version that an equal training made."""
    found = run.client.search_model_versions(f"name = '{name}' and tags.run_key = '{run_key}'")
    return max((str(version.version) for version in found), key=int, default=None)


def _register(run: Run, name: str, weights: Path, model: Model, tags: Mapping[str, str]) -> str:
    from mlflow import register_model

    if _model_id(run) is None:
        log_model(run, weights, model.n_features, model.n_classes)
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
    # MLflow writes to stderr what the door says in its own words.
    with _current(run.client.tracking_uri), contextlib.redirect_stderr(io.StringIO()):
        return str(register_model(f"models:/{_model_id(run)}", name, tags=told).version)


def _model_id(run: Run) -> str | None:
    """Return the id of the model that a run has logged."""
    outputs = run.client.get_run(run.run_id).outputs
    return outputs.model_outputs[-1].model_id if outputs and outputs.model_outputs else None


@contextmanager
def _current(uri: str) -> Iterator[None]:
    """Make a store the current one: MLflow's registry reads a model's files there, not from its client's."""
    former = os.environ.get(_CURRENT)
    os.environ[_CURRENT] = uri
    try:
        yield
    finally:
        if former is None:
            del os.environ[_CURRENT]
        else:
            os.environ[_CURRENT] = former
