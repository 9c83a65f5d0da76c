"""The run of a trial that is continued: the same run, and each point of it once."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlpsweep.tracking.settings import TrackingSettings
from mlpsweep.tracking.store import Store, open_store
from mlpsweep.tracking.trial_record import TrialRecord
from mlpsweep.tracking.trial_runs import TrialRecorder, TrialRun
from tests.search_lab import base_settings, make_record

pytestmark = [
    pytest.mark.slow,
    # What MLflow says to itself of SQLAlchemy's future.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning"),
]
SETTINGS, KEY = base_settings(), "ab" * 32
OPENED: dict[str, Callable[[TrialRecorder, Path], TrialRun]] = {
    "trial": lambda recorder, folder: recorder.open_trial(7, SETTINGS, folder),
    "finalist": lambda recorder, folder: recorder.open_finalist(7, 1, KEY, SETTINGS, folder),
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with open_store(TrackingSettings(uri=f"sqlite:///{tmp_path}/mlflow.db"), "digits") as store:
        yield store


def steps(store: Store, run_id: str, metric: str) -> list[int]:
    return [point.step for point in store.client.get_metric_history(run_id, metric)]


@pytest.mark.parametrize("opened", OPENED.values(), ids=OPENED)
@pytest.mark.parametrize("is_told", [True, False], ids=["interrupted", "killed"])
def test_a_continued_trial_logs_no_epoch_twice(
    opened: Callable[[TrialRecorder, Path], TrialRun], is_told: bool, store: Store, tmp_path: Path
) -> None:
    recorder = TrialRecorder(store, "a study", "", store.start_run("parent", tags={}).run_id, {}, 64, 10)
    (tmp_path / "trial").mkdir()
    run_ids = list[str]()
    for epochs in ((1, 2), (1, 2, 3)):  # the restored records are reported again
        log = opened(recorder, tmp_path / "trial")
        for epoch in epochs:
            log.log_epoch(make_record(SETTINGS, epoch))
        if is_told and epochs == (1, 2):
            log.close("interrupted", "interrupted", {})
        assert store.queue.drain() == 0
        run_ids.append(log.run.run_id)
    log.close("complete", None, {"run_key": KEY})
    assert store.queue.drain() == 0
    assert run_ids[0] == run_ids[1]
    for metric in ("train/loss", "validation/loss", "validation/accuracy"):
        assert Counter(steps(store, run_ids[0], metric)) == {1: 1, 2: 1, 3: 1}
    assert store.client.get_run(run_ids[0]).info.status == "FINISHED"


@pytest.mark.parametrize(("study", "uid", "is_found"), [("a", "1", False), ("a", "2", True), ("b", "1", True)])
def test_an_equal_training_is_one_outside_the_study(
    study: str, uid: str, is_found: bool, store: Store, tmp_path: Path
) -> None:
    """A worker may die after the run of its trial was closed, and before the study was told."""
    parent_id = store.start_run("parent", tags={}).run_id
    log = TrialRecorder(store, "a", "1", parent_id, {}, 64, 10).open_trial(7, SETTINGS, tmp_path)
    log.log_epoch(make_record(SETTINGS, 1))
    log.close("complete", None, {"run_key": KEY, "weights_hash": "cd" * 32, "epoch_of_weights": 1})
    assert store.queue.drain() == 0
    found = TrialRecorder(store, study, uid, parent_id, {}, 64, 10).find(KEY, "validation/accuracy")
    assert (found is not None) is is_found


def test_a_first_look_is_the_run_s_and_the_folder_s_and_the_trial_s_curve_follows_it(
    store: Store, tmp_path: Path
) -> None:
    recorder = TrialRecorder(store, "a study", "", store.start_run("parent", tags={}).run_id, {}, 64, 10)
    folder = tmp_path / "trial"
    folder.mkdir()
    log = recorder.open_trial(7, SETTINGS, folder)
    log.close("paused", "paused in epoch 1", {"run_key": KEY, "validation/accuracy": 0.625})
    assert store.queue.drain() == 0
    run = store.client.get_run(log.run.run_id)
    assert (run.info.status, run.data.tags["trial_state"]) == ("FINISHED", "paused")
    assert run.data.metrics == {"validation/accuracy": 0.625}
    # From the folder alone the same run is made where the store lacks it.
    told = TrialRecord.read(folder)
    again = store.client.get_run(told.create(store.client, store.experiment_id, 1, {}))
    assert again.data.metrics == run.data.metrics
    log = recorder.open_trial(7, SETTINGS, folder)
    for epoch in (1, 2):
        log.log_epoch(make_record(SETTINGS, epoch))
    log.close("complete", None, {"run_key": KEY, "epoch_of_weights": 2})
    assert store.queue.drain() == 0
    assert steps(store, log.run.run_id, "validation/accuracy") == [0, 1, 2]
    assert store.client.get_run(log.run.run_id).data.metrics["epoch_of_weights"] == 2


def test_a_trial_whose_worker_died_before_it_told_has_its_figures_once(store: Store, tmp_path: Path) -> None:
    recorder = TrialRecorder(store, "a study", "", store.start_run("parent", tags={}).run_id, {}, 64, 10)
    facts = {"run_key": KEY, "epoch_of_weights": 2}
    recorder.open_trial(7, SETTINGS, tmp_path).close("complete", None, facts)
    assert store.queue.drain() == 0
    (run,) = store.client.search_runs([store.experiment_id], "tags.trial = '7'")
    store.client.delete_run(run.info.run_id)  # as if nothing of it had come so far
    log = recorder.open_trial(7, SETTINGS, tmp_path)
    assert store.queue.drain() == 0
    log.close("complete", None, facts)
    assert store.queue.drain() == 0
    assert log.run.run_id != run.info.run_id
    assert steps(store, log.run.run_id, "epoch_of_weights") == [0]


@pytest.mark.parametrize("damage", ["[]", "{", '{"metrics": {"validation/accuracy": "high"}}'])
def test_a_damaged_record_stops_no_trial_that_goes_on(damage: str, store: Store, tmp_path: Path) -> None:
    recorder = TrialRecorder(store, "a study", "", store.start_run("parent", tags={}).run_id, {}, 64, 10)
    recorder.open_trial(7, SETTINGS, tmp_path).close("paused", "paused in epoch 1", {"run_key": KEY})
    file = tmp_path / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | json.loads(damage)) if "metrics" in damage else damage)
    log = recorder.open_trial(7, SETTINGS, tmp_path)
    log.close("complete", None, {"run_key": KEY})
    assert store.queue.drain() == 0
    assert "validation/accuracy" not in store.client.get_run(log.run.run_id).data.metrics


def test_a_reopened_run_logs_no_point_twice(store: Store) -> None:
    run = store.start_run("a training", tags={})
    run.log_epoch(make_record(SETTINGS, 1))
    run.end("KILLED", "interrupted")
    again = store.open_run(run.run_id)
    assert again is not None
    again.reopen()
    for epoch in (1, 2):
        again.log_epoch(make_record(SETTINGS, epoch))
    again.end("FINISHED")
    assert steps(store, run.run_id, "train/loss") == [1, 2]
