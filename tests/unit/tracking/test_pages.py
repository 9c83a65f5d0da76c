"""The address that opens an experiment's trainings, of a local store and of a server."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from mlpsweep.tracking.pages import addresses, training_view, where_to_look
from mlpsweep.tracking.settings import TrackingSettings
from mlpsweep.tracking.store import open_store

VIEW = "#/experiments/3/runs?workflowType=machine_learning"


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("sqlite:////home/me/mlflow.db", f"http://127.0.0.1:5000/{VIEW}"),
        ("https://mlflow.example.org/", f"https://mlflow.example.org/{VIEW}"),
    ],
)
def test_the_address_is_the_servers_or_that_of_mlflow_ui(uri: str, address: str) -> None:
    client = SimpleNamespace(tracking_uri=uri)
    assert training_view(client, "3") == address
    assert ("`mlflow ui`" in where_to_look(client, "3")) == uri.startswith("sqlite")


def test_an_address_shows_no_password() -> None:
    client = SimpleNamespace(tracking_uri="http://me:hunter2@mlflow.example.org")
    assert "hunter2" not in where_to_look(client, "3")


@pytest.mark.slow
# What MLflow says to itself of SQLAlchemy's future.
@pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning")
def test_each_experiment_of_the_store_has_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert addresses() == []
    assert list(tmp_path.iterdir()) == []
    for name in ("digits", "mnist"):
        open_store(TrackingSettings(), name)
    base = "http://127.0.0.1:5000/#/experiments/{}/runs?workflowType=machine_learning"
    assert sorted(addresses()) == [f"digits: {base.format(1)}", f"mnist: {base.format(2)}"]
