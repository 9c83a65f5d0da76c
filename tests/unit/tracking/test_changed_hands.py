"""A trial that goes on in another process while the store is away: one run in the end, whole, each point of it once."""

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from mlpsweep.tracking import queue as queue_module
from mlpsweep.tracking.queue import RecordQueue
from mlpsweep.tracking.settings import TrackingSettings
from mlpsweep.tracking.store import Store, open_store
from mlpsweep.tracking.trial_runs import TrialRecorder
from mlpsweep.training.folder import TrainingFolder
from mlpsweep.training.history import History
from tests.search_lab import base_settings, make_record

pytestmark = [
    pytest.mark.slow,
    # What MLflow says to itself of SQLAlchemy's future.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning"),
]
SETTINGS, KEY = base_settings(), "ab" * 32


class Client:
    """MLflow's client of a store that can be away; each answer takes its time, as a server's does."""

    def __init__(self, client: Any) -> None:
        self.client, self.is_away = client, threading.Event()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)

        def asked(*args: Any, **words: Any) -> Any:
            if self.is_away.is_set():
                raise MlflowException("API request failed")
            answer = method(*args, **words)
            threading.Event().wait(0.02)
            return answer

        return asked


@dataclass
class Trial:
    """A trial in a study, which knows whose turn it is."""

    folder: Path
    token: int = 0

    def begun(self, store: Store, parent_id: str) -> Any:
        self.token += 1
        mine = self.token
        recorder = TrialRecorder(store, "a study", "1", parent_id, {}, 64, 10)
        return recorder.open_trial(7, SETTINGS, self.folder, lambda: self.token == mine)

    def trained(self, log: Any, n_epochs: int, status: str) -> None:
        records = [make_record(SETTINGS, epoch) for epoch in range(1, n_epochs + 1)]
        for record in records:
            log.log_epoch(record)
        TrainingFolder(self.folder).save_history(History(tuple(records)))
        facts: dict[str, object] = {"run_key": KEY} | ({"epoch_of_weights": n_epochs} if status == "complete" else {})
        log.close(status, f"{status} after epoch {n_epochs}" if status == "paused" else None, facts)


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Store]]:
    """Two processes' ways to one store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(queue_module, "RETRY_S", (0.01, 0.02))
    settings = TrackingSettings(uri=f"sqlite:///{tmp_path}/mlflow.db")
    with open_store(settings, "digits") as one, open_store(settings, "digits") as two:
        clients = [Client(store.client) for store in (one, two)]
        yield [
            replace(store, client=client, queue=RecordQueue(client, "the store"))  # type: ignore[arg-type]
            for store, client in zip((one, two), clients, strict=True)
        ]


@pytest.mark.parametrize("back", [(0, 1), (1, 0), (0,), (1,)], ids=["first", "second", "first alone", "second alone"])
@pytest.mark.parametrize("apart_s", [0.0, 0.03, 0.3])
@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
def test_a_trial_that_goes_on_elsewhere_in_an_outage_has_one_run(
    known: bool, apart_s: float, back: tuple[int, ...], stores: list[Store], tmp_path: Path
) -> None:
    parent_id = stores[0].start_run("parent", tags={}).run_id
    trial = Trial(tmp_path / "trial")
    trial.folder.mkdir()
    first = trial.begun(stores[0], parent_id)
    if known:
        assert stores[0].queue.drain() == 0
    away = [store.client.is_away for store in stores]  # type: ignore[attr-defined]
    for event in away:
        event.set()
    trial.trained(first, 1, "paused")
    second = trial.begun(stores[1], parent_id)
    trial.trained(second, 3, "complete")
    for place in back:
        away[place].clear()
        threading.Event().wait(apart_s)
    for event in away:
        event.clear()
    for store in stores:
        assert store.queue.drain(20.0) == 0
    expect_whole(stores[0], tmp_path, trial)


@pytest.mark.parametrize("apart_s", [0.0, 0.05, 0.1, 0.2, 0.4])
def test_a_trial_that_goes_on_elsewhere_while_its_records_are_sent_has_one_run(
    apart_s: float, stores: list[Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow store that nobody waits for any more: a request of the former owner is under way."""
    monkeypatch.setattr(queue_module, "DRAIN_S", 0.0)
    parent_id = stores[0].start_run("parent", tags={}).run_id
    for store in stores:
        store.queue._patience_s = 0.0
    trial = Trial(tmp_path / "trial")
    trial.folder.mkdir()
    trial.trained(trial.begun(stores[0], parent_id), 1, "paused")
    threading.Event().wait(apart_s)
    trial.trained(trial.begun(stores[1], parent_id), 3, "complete")
    for store in stores:
        assert store.queue.drain(20.0) == 0
    expect_whole(stores[0], tmp_path, trial)


def expect_whole(store: Store, root: Path, trial: Trial) -> None:
    runs = store.client.search_runs([store.experiment_id], "tags.trial = '7'")
    assert len(runs) == 1
    (run,) = runs
    assert (run.info.status, run.data.tags["trial_state"]) == ("FINISHED", "complete")
    assert "reason" not in run.data.tags
    for name in ("train/loss", "validation/loss", "validation/accuracy"):
        history = store.client.get_metric_history(run.info.run_id, name)
        assert Counter(point.step for point in history) == {1: 1, 2: 1, 3: 1}, name
    assert run.data.metrics["epoch_of_weights"] == 3
    files = {file.path for file in store.client.list_artifacts(run.info.run_id)}
    assert {"history.csv", "run.json"} <= files
    assert [file.name for file in (root / "mlruns" / ".running").glob(f"{run.info.run_id}*")] == []
