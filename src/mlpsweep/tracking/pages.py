"""Addresses of MLflow's pages."""

from typing import TYPE_CHECKING, Final

from mlpsweep.errors import hide_passwords

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
    """Return the line that ends a training, a sweep or a search: where its runs are shown, and by which command."""
    starts = "" if client.tracking_uri.startswith("http") else "`mlflow ui` shows it: "
    return f"{starts}{training_view(client, experiment_id)}"
