"""The registry: one champion, its predecessor, and no version for a model that is there already."""

import os
from pathlib import Path

import pytest

from mlpsweep.nn.network import Params
from mlpsweep.tracking.registry import make_champion
from mlpsweep.tracking.run import Run
from mlpsweep.tracking.settings import TrackingSettings
from mlpsweep.tracking.store import Store, open_store
from mlpsweep.training.model import Model

pytestmark = [
    pytest.mark.slow,
    # What MLflow says to itself: of SQLAlchemy's future, and of its own types as they are imported.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint:UserWarning"),
]
NAME = "digits-mlp"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return open_store(TrackingSettings(experiment=None, uri=f"sqlite:///{folder}/mlflow.db"), "digits")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: Store) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for model in store.client.search_registered_models():
        store.client.delete_registered_model(model.name)


def weights(tmp_path: Path, run_key: str) -> Path:
    file = tmp_path / f"{run_key}.npz"
    metadata = {"dataset": "digits", "run_key": run_key, "data_digest": "d" * 64}
    Model(Params.zeros((64, 10)), (), 1.0, 0.0, metadata).save(file)
    return file


def started(store: Store) -> Run:
    return store.start_run("a training", tags={"mlflow.source.git.commit": "c0ffee", "git_dirty": "false"})


def aliases(store: Store) -> dict[str, int]:
    return {alias: int(version) for alias, version in store.client.get_registered_model(NAME).aliases.items()}


def n_versions(store: Store) -> int:
    return len(store.client.search_model_versions(f"name = '{NAME}'"))


def test_the_champion_knows_where_it_comes_from(
    store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = started(store)
    assert make_champion(run, weights(tmp_path, "aa"), {"study": "digits-1234"}) == f"{NAME} version 1"
    version = store.client.get_model_version_by_alias(NAME, "champion")
    (logged,) = store.client.get_run(run.run_id).outputs.model_outputs
    assert (version.source, version.run_id) == (f"models:/{logged.model_id}", run.run_id)
    assert version.tags == {
        "run_id": run.run_id,
        "run_key": "aa",
        "weights_hash": Model.load(tmp_path / "aa.npz").weights_hash,
        "data_digest": "d" * 64,
        "git_commit": "c0ffee",
        "git_dirty": "false",
        "study": "digits-1234",
    }
    assert capfd.readouterr() == ("", "")
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_the_card_of_a_version_is_the_last_one(store: Store, tmp_path: Path) -> None:
    for card in ("**good**", "**better**", ""):
        make_champion(started(store), weights(tmp_path, "aa"), {}, card)
    assert store.client.get_model_version_by_alias(NAME, "champion").description == "**better**"


def test_a_new_champion_leaves_the_former_one_as_previous(store: Store, tmp_path: Path) -> None:
    for run_key in ("aa", "bb", "cc"):
        make_champion(started(store), weights(tmp_path, run_key), {})
    assert aliases(store) == {"champion": 3, "previous": 2}


def test_an_equal_model_makes_no_new_version(store: Store, tmp_path: Path) -> None:
    for run_key in ("aa", "bb", "bb"):
        make_champion(started(store), weights(tmp_path, run_key), {})
    assert (n_versions(store), aliases(store)) == (2, {"champion": 2, "previous": 1})


def test_a_former_model_can_be_champion_again(store: Store, tmp_path: Path) -> None:
    for run_key in ("aa", "bb", "aa"):
        make_champion(started(store), weights(tmp_path, run_key), {})
    assert (n_versions(store), aliases(store)) == (2, {"champion": 1, "previous": 2})


def test_a_version_left_without_its_alias_by_a_kill_is_taken_up(store: Store, tmp_path: Path) -> None:
    make_champion(started(store), weights(tmp_path, "aa"), {})
    store.client.delete_registered_model_alias(NAME, "champion")
    make_champion(started(store), weights(tmp_path, "aa"), {})
    assert (n_versions(store), aliases(store)) == (1, {"champion": 1})


def test_a_store_that_refuses_is_told_and_stops_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*words: object, **named: object) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    run = started(store)
    monkeypatch.setattr(store.client, "search_model_versions", refuse)
    assert make_champion(run, weights(tmp_path, "aa"), {}) is None
    assert "Connection refused" in capsys.readouterr().err
