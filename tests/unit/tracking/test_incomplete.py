"""A run whose process ended before the store had everything is told by the next start."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlpsweep.tracking.project import left_running
from mlpsweep.tracking.settings import TrackingSettings
from mlpsweep.tracking.store import Store, open_store

pytestmark = [
    pytest.mark.slow,
    # What MLflow says to itself: of SQLAlchemy's future, and of its own types as they are imported.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint:UserWarning"),
]
# The store goes away behind an open run; the process does its work, waits a moment, and ends.
WORDS = """
import os, sys
from mlpsweep.tracking import queue
from mlpsweep.tracking.settings import TrackingSettings
from mlpsweep.tracking.store import open_store

queue.DRAIN_S = 0.3
store = open_store(TrackingSettings(uri="sqlite:///mlflow.db"), "digits")
store.queue._patience_s = 0.3
fault = sys.argv[1]
def gone(*words, **named):
    raise OSError("no route to host")
with store:
    try:
        with store.start_run("lone", tags={}, params={}) as run:
            print(run.run_id, flush=True)
            store.queue.drain(5)
            store.client.log_batch = gone
            if fault == "everything":
                store.client.set_terminated = gone
            run.log_metrics({"a": 1.0, "b": 2.0})
            if fault == "ends badly":
                store.client.set_terminated = gone
                raise ValueError("seven")
    except ValueError:
        pass
"""


def opened(home: Path) -> Store:
    return open_store(TrackingSettings(uri=f"sqlite:///{home}/mlflow.db"), "digits")


@pytest.mark.parametrize(
    ("fault", "status", "reason", "n_lacking"),
    [("everything", "FINISHED", None, "3"), ("ends badly", "FAILED", "ValueError: seven", "4")],
)
def test_the_next_start_tags_what_lacks_records_and_ends_it_as_it_ended(
    fault: str, status: str, reason: str | None, n_lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    done = subprocess.run([sys.executable, "-c", WORDS, fault], capture_output=True, text=True, check=True)
    run_id = done.stdout.strip()
    assert f"lacks {n_lacking} records" in done.stderr
    assert "doctor fix=true` sends them" in done.stderr
    run = opened(tmp_path).client.get_run(run_id)
    assert run.info.status == status
    assert run.data.tags["incomplete"] == n_lacking
    assert run.data.tags.get("reason") == reason
    assert left_running(tmp_path) == []


def test_a_run_of_another_store_is_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    opened(tmp_path)
    note = tmp_path / "mlruns/.running" / ("ab" * 16)
    note.parent.mkdir(exist_ok=True)
    note.write_text('{"records": 3, "status": "FINISHED", "reason": null}')
    opened(tmp_path)
    assert left_running(tmp_path) == [note]
