"""Addresses of MLflow's pages; run as a module, it prints those of this folder's store."""

import sys
from typing import TYPE_CHECKING, Final

from mlpsweep.errors import hide_passwords
from mlpsweep.tracking.lookup import open_runs
from mlpsweep.tracking.relocate import store_file
from mlpsweep.tracking.settings import TrackingSettings
from mlpsweep.tracking.store import tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCAL: Final = "http://127.0.0.1:5000"
"""Where ``mlflow ui`` serves a local store, unless it is told otherwise."""


def training_view(client: "MlflowClient", experiment_id: str) -> str:
    """Return the address of an experiment's runs; without the last word MLflow opens its view of language models."""
    uri = client.tracking_uri
    base = hide_passwords(uri).rstrip("/") if uri.startswith("http") else LOCAL
    return f"{base}/#/experiments/{experiment_id}/runs?workflowType=machine_learning"


def where_to_look(client: "MlflowClient", experiment_id: str) -> str:
    """Return what ends a training, a sweep or a search: by which command its runs are shown, and where.

    The address has a line of its own, which fits 80 columns.
    """
    starts = "" if client.tracking_uri.startswith("http") else "`mlflow ui` shows it at\n"
    return f"{starts}{training_view(client, experiment_id)}"


def addresses() -> list[str]:
    """Return a line for each data set's experiment in this folder's store; none if it has no store yet.

    Raises
    ------
    StorageError
        If the store cannot be read.
    """
    settings = TrackingSettings()
    file = store_file(tracking_uri(settings))
    if file is not None and not file.exists():
        return []
    runs = open_runs(settings)
    # MLflow makes the experiment Default itself.
    ours = (experiment for experiment in runs.experiments() if experiment.experiment_id != "0")
    return [f"{one.name}: {training_view(runs.client, one.experiment_id)}" for one in ours]


if __name__ == "__main__":  # `make ui`
    sys.stdout.writelines(f"{line}\n" for line in addresses())
