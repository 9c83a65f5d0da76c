"""Whether a training is finished is asked in one place: a trial that was stopped early is FINISHED and is none."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlpsweep.data.dataset import Dataset
from mlpsweep.settings import DataSettings, TrainSettings
from mlpsweep.tracking.abandoned import close_abandoned
from mlpsweep.tracking.lookup import open_runs
from mlpsweep.tracking.run import OUTPUTS, Run
from mlpsweep.tracking.settings import TrackingSettings
from mlpsweep.tracking.store import Store, open_store
from mlpsweep.tracking.training_runs import run_of, take_equal
from mlpsweep.tracking.trial_runs import TrialRecorder
from mlpsweep.training.folder import TrainingFolder
from mlpsweep.training.run import run_training

pytestmark = [
    pytest.mark.slow,
    # What MLflow says to itself of SQLAlchemy's future.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning"),
]
KEY, METRIC = "ab" * 32, "validation/accuracy"
SETTINGS = TrainSettings(data=DataSettings.named("digits"), hidden_sizes=(8,), n_epochs=1)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with open_store(TrackingSettings(uri=f"sqlite:///{tmp_path}/mlflow.db"), "digits") as store:
        yield store


def trial(store: Store, state: str, accuracy: float = 0.9) -> str:
    """Add the run of a trial that ended so, with all that a finished one has, and return its id."""
    recorder = TrialRecorder(store, "a study", "", store.start_run("parent", tags={}).run_id, {}, 64, 10)
    folder = Path(f"{state}-{accuracy}")
    folder.mkdir()
    log = recorder.open_trial(len(state), SETTINGS, folder)
    log.run.log_metrics({METRIC: accuracy, "validation/loss": 1.0}, step=1)
    facts = {"run_key": KEY, "weights_hash": "cd" * 32, "epoch_of_weights": 1}
    log.close(state, None if state == "complete" else f"it is {state}", facts)
    log.run.set_tags({OUTPUTS: "true"})
    assert store.queue.drain() == 0
    return log.run.run_id


def old_pruned(store: Store) -> str:
    """Add the run of a pruned trial as earlier versions ended it."""
    run = store.start_run("an old trial", tags={"run_key": KEY, "trial_state": "pruned", OUTPUTS: "true"})
    run.end("KILLED", "stopped by asha after epoch 1")
    return run.run_id


@pytest.mark.parametrize("unfinished", [lambda store: trial(store, "pruned"), old_pruned], ids=["pruned", "old pruned"])
@pytest.mark.parametrize("is_last", [True, False], ids=["after the complete one", "before the complete one"])
def test_the_complete_run_of_a_key_is_found_beside_a_pruned_one(
    store: Store, unfinished: Callable[[Store], str], is_last: bool
) -> None:
    if not is_last:
        unfinished(store)
    complete = trial(store, "complete")
    if is_last:
        unfinished(store)
    found = store.find_finished({"run_key": KEY})
    assert (found and found.run_id) == complete


@pytest.mark.parametrize("state", ["pruned", "failed", "interrupted"])
def test_nobody_takes_a_trial_that_is_not_complete(
    store: Store, state: str, tmp_path: Path, tiny_dataset: Dataset
) -> None:
    run_id = trial(store, state)
    folder, result = TrainingFolder(tmp_path / "first"), run_training(SETTINGS, tiny_dataset)
    folder.save(result, SETTINGS, b"png")
    model = result.model.with_metadata(run_key=KEY)
    assert store.find_finished({"run_key": KEY}) is None
    assert TrialRecorder(store, "a study", "", run_id, {}, 64, 10).find(KEY, METRIC) is None
    assert take_equal(store, KEY, store.start_run("another", tags={}), TrainingFolder(tmp_path / "new")) is None
    assert run_of(store, folder, model, SETTINGS).run_id != run_id


def test_a_training_that_was_no_trial_is_finished_without_the_tag(store: Store) -> None:
    run = store.start_run("a training", tags={"run_key": KEY})
    assert store.find_finished({"run_key": KEY}) is None
    run.end("FINISHED")
    assert store.find_finished({"run_key": KEY}) is not None


@pytest.mark.parametrize(
    ("state", "status", "shown"),
    [
        ("complete", "FINISHED", "FINISHED"),
        ("pruned", "FINISHED", "pruned"),
        ("paused", "FINISHED", "it is paused"),
        ("failed", "FAILED", "FAILED"),
        ("interrupted", "KILLED", "KILLED"),
    ],
)
def test_a_trial_that_was_stopped_early_is_finished_and_shown_as_pruned(
    store: Store, state: str, status: str, shown: str
) -> None:
    run_id = trial(store, state)
    assert store.client.get_run(run_id).info.status == status
    (told,) = open_runs(TrackingSettings(uri=store.client.tracking_uri)).of_ids([run_id])
    assert told.status == shown


def test_an_old_pruned_trial_is_read_by_its_tag(store: Store) -> None:
    (told,) = open_runs(TrackingSettings(uri=store.client.tracking_uri)).of_ids([old_pruned(store)])
    assert told.status == "pruned"


@pytest.mark.parametrize(
    ("state", "status"), [("complete", "FINISHED"), ("pruned", "FINISHED"), ("failed", "FAILED"), (None, "FAILED")]
)
def test_a_trial_whose_process_died_before_the_end_was_told_gets_what_it_had_earned(
    store: Store, state: str | None, status: str, tmp_path: Path
) -> None:
    run: Run = store.start_run("a trial", tags={} if state is None else {"trial_state": state})
    assert run.handle.lock
    run.handle.lock.release()
    assert close_abandoned(store.client, [store.experiment_id], tmp_path) == [run.run_id]
    assert store.client.get_run(run.run_id).info.status == status


def test_a_run_that_ends_while_others_look_for_abandoned_ones_keeps_its_end(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = store.start_run("a training", tags={})
    ask = store.client.search_runs

    def ask_slowly(*words: object, **more: object) -> object:
        page = ask(*words, **more)  # type: ignore[arg-type]
        run.end("FINISHED")
        return page

    monkeypatch.setattr(store.client, "search_runs", ask_slowly)
    assert close_abandoned(store.client, [store.experiment_id], tmp_path) == []
    assert store.client.get_run(run.run_id).info.status == "FINISHED"
