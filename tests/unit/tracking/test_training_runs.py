"""An equal training's outputs are taken whole or not at all, and never at the cost of what the folder holds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlpsweep.data.dataset import Dataset
from mlpsweep.settings import DataSettings, TrainSettings
from mlpsweep.tracking.run import Run
from mlpsweep.tracking.settings import TrackingSettings
from mlpsweep.tracking.store import Store, open_store
from mlpsweep.tracking.training_runs import log_start, log_training, take_equal
from mlpsweep.training.folder import TrainingFolder
from mlpsweep.training.run import run_training

pytestmark = [
    pytest.mark.slow,
    # What MLflow says to itself: of SQLAlchemy's future, and of its own types as they are imported.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint:UserWarning"),
]
KEY = "ab" * 32
NAMES = ["batches.csv", "config.yaml", "curves.png", "history.csv", "model.npz"]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_dataset: Dataset) -> Store:
    """A store with one finished training, and its folder for the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store = open_store(TrackingSettings(uri=f"sqlite:///{tmp_path}/mlflow.db"), "digits")
    settings = TrainSettings(data=DataSettings.named("digits"), hidden_sizes=(8,), n_epochs=1)
    folder, result = TrainingFolder(tmp_path / "first"), run_training(settings, tiny_dataset)
    folder.save(result, settings, b"png")
    with store.start_run("first", tags={"run_key": KEY}) as run:
        log_start(run, settings, tiny_dataset, "data")
        log_training(run, folder, result)
    return store


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def second(store: Store) -> Run:
    return store.start_run("second", tags={"run_key": "cd" * 32})


@pytest.mark.parametrize("place", [Path("again"), Path("deep/again")], ids=str)
def test_outputs_are_taken_into_a_folder_however_it_is_named(store: Store, tmp_path: Path, place: Path) -> None:
    run = second(store)
    taken = take_equal(store, KEY, run, TrainingFolder(place))
    assert taken is not None
    assert contents(tmp_path / place) == contents(tmp_path / "first")
    assert store.queue.drain() == 0
    assert run.tags()["reused_from"] == taken.run_id
    assert sorted(file.path for file in store.client.list_artifacts(run.run_id)) == NAMES


def lose(artifacts: Path) -> None:
    (artifacts / "history.csv").unlink()


def damage(artifacts: Path) -> None:
    (artifacts / "model.npz").write_bytes(b"not weights")


def edit(artifacts: Path) -> None:
    file = artifacts / "config.yaml"
    file.write_text(file.read_text().replace("seed: 0", "seed: 1"))


@pytest.mark.parametrize("harm", [lose, damage, edit])
def test_outputs_that_are_not_whole_are_left_where_they_are(
    store: Store, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    (artifacts,) = (tmp_path / "mlruns/digits").glob("*/artifacts")
    harm(artifacts)
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in (*NAMES, "notes.txt"):
        (mine / name).write_text("mine")
    before = contents(mine)
    assert take_equal(store, KEY, second(store), TrainingFolder(Path("mine"))) is None
    assert contents(mine) == before
    assert take_equal(store, KEY, second(store), TrainingFolder(Path("new"))) is None
    assert not (tmp_path / "new").exists()


def test_without_an_equal_training_nothing_is_taken(store: Store, tmp_path: Path) -> None:
    assert take_equal(store, "ef" * 32, second(store), TrainingFolder(Path("new"))) is None
    assert not (tmp_path / "new").exists()
