"""A summary is logged by whoever writes it: a second time adds nothing, and what has changed is replaced."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlpsweep.tracking import parents
from mlpsweep.tracking.parents import log_known, log_summary
from mlpsweep.tracking.points import send_points
from mlpsweep.tracking.run import Run
from mlpsweep.tracking.settings import TrackingSettings
from mlpsweep.tracking.store import open_store

pytestmark = [
    pytest.mark.slow,
    # What MLflow says to itself of SQLAlchemy's future.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning"),
]
METRIC = "validation/accuracy"


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with open_store(TrackingSettings(uri=f"sqlite:///{tmp_path}/mlflow.db"), "digits") as store:
        yield store.start_run("search", tags={})


def points(run: Run, name: str) -> list[tuple[int, float]]:
    assert run.queue.drain() == 0
    return [(point.step, point.value) for point in run.client.get_metric_history(run.run_id, name)]


def test_the_best_value_grows_by_what_is_new(parent: Run) -> None:
    # Earlier versions asked the clock, and at another time the store takes the same point twice.
    at_ms = int(time.time() * 1000) + 10
    told = [(f"best/{METRIC}", 0.5, 1, at_ms), (f"best/{METRIC}", 0.5, 2, at_ms), ("ended/complete", 2.0, 2, at_ms)]
    send_points(parent.client, parent.run_id, told)
    log_summary(parent, METRIC, {1: 0.5, 2: 0.5}, {"ended/complete": 2}, "two again")
    log_summary(parent, METRIC, {1: 0.5, 2: 0.5, 3: 0.9}, {"ended/complete": 3}, "three")
    assert points(parent, f"best/{METRIC}") == [(1, 0.5), (2, 0.5), (3, 0.9)]
    assert points(parent, "ended/complete") == [(2, 2), (3, 3)]
    assert parent.tags()["mlflow.note.content"] == "three"


def test_two_hosts_that_say_the_same_at_once_say_it_once(parent: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[tuple[Any, ...]] = []
    monkeypatch.setattr(parents, "send_points", lambda *batch: held.append(batch))
    for _ in range(2):  # neither sees what the other is about to send
        log_summary(parent, METRIC, {1: 0.5, 2: 0.7}, {"winner/mean": 0.6}, "")
        assert parent.queue.drain() == 0
        time.sleep(0.01)  # their clocks differ
    for batch in held:
        send_points(*batch)
    assert points(parent, f"best/{METRIC}") == [(1, 0.5), (2, 0.7)]
    assert points(parent, "winner/mean") == [(2, 0.6)]


def test_another_winner_after_as_many_trials_is_shown(parent: Run) -> None:
    for mean in (0.5, 0.6, 0.4):
        log_summary(parent, METRIC, {1: 0.5}, {"winner/mean": mean}, "")
        assert points(parent, "winner/mean")[-1] == (1, mean)
        assert parent.metrics()["winner/mean"] == mean


def test_a_param_keeps_its_first_value_and_new_ones_come_in(parent: Run, capsys: pytest.CaptureFixture[str]) -> None:
    log_known(parent, {"n_trials": "4"})
    log_known(parent, {"n_trials": "8", "sampler": "tpe"})
    assert parent.queue.drain() == 0
    assert parent.client.get_run(parent.run_id).data.params == {"n_trials": "4", "sampler": "tpe"}
    assert capsys.readouterr().err == ""
