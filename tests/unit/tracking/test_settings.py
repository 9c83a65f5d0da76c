"""Addresses of stores that would be gone with the process are refused, in a setting and in the environment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpsweep.errors import SettingsError
from mlpsweep.tracking.settings import TrackingSettings, is_lasting
from mlpsweep.tracking.store import experiment_name, tracking_uri

GONE = [
    "sqlite:///", "sqlite://", "sqlite:///:memory:", "sqlite:///?timeout=5", "sqlite:///file::memory:?cache=shared",
    "sqlite:///file:runs?mode=memory&cache=shared&uri=true", "sqlite:////", "sqlite+pysqlite:///:memory:", "SQLITE:///",
]  # fmt: skip
KEPT = ["sqlite:///mlflow.db", "sqlite:////tmp/a/b.db?timeout=5", "http://127.0.0.1:5000", "postgresql://h/memory"]


@pytest.mark.parametrize("uri", GONE)
def test_a_store_in_memory_is_refused(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="uri: .* does not fit|uri: '.*'"):
        TrackingSettings(experiment=None, uri=uri)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(SettingsError, match="MLFLOW_TRACKING_URI: '.*' keeps nothing; expected sqlite:///FILE"):
        tracking_uri(TrackingSettings())


@pytest.mark.parametrize("uri", KEPT)
def test_a_store_that_lasts_is_taken(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracking_uri(TrackingSettings(uri=uri)) == uri
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert tracking_uri(TrackingSettings()) == uri


@given(name=st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1), slash=st.sampled_from(["", "/"]))
def test_any_plain_file_lasts(name: str, slash: str) -> None:
    assert is_lasting(f"sqlite:///{slash}{name}.db")


def test_a_setting_goes_over_the_environments_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///:memory:")
    assert tracking_uri(TrackingSettings(uri="sqlite:///here.db")) == "sqlite:///here.db"


def test_the_experiment_is_the_setting_then_the_environments_then_the_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    assert experiment_name(TrackingSettings(), "mnist") == "mnist"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    assert experiment_name(TrackingSettings(), "mnist") == "mine"
    assert experiment_name(TrackingSettings(experiment="yours"), "mnist") == "yours"
