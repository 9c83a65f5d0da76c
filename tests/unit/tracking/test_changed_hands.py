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


LOOK = {"validation/accuracy": 0.625}


@dataclass
class Trial:
    """A trial in a study, which knows whose turn it is."""

    folder: Path
    parent_id: str
    token: int = 0

    def begun(self, store: Store) -> Any:
        self.token += 1
        mine = self.token
        recorder = TrialRecorder(store, "a study", "1", self.parent_id, {}, 64, 10)
        return recorder.open_trial(7, SETTINGS, self.folder, lambda: self.token == mine)

    def looked_at(self, log: Any) -> None:
        log.close("paused", "paused in epoch 1", {"run_key": KEY, **LOOK})

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


@pytest.fixture
def trial(stores: list[Store], tmp_path: Path) -> Trial:
    (tmp_path / "trial").mkdir()
    return Trial(tmp_path / "trial", stores[0].start_run("parent", tags={}).run_id)


@pytest.mark.parametrize("back", [(0, 1), (1, 0), (0,), (1,)], ids=["first", "second", "first alone", "second alone"])
@pytest.mark.parametrize("apart_s", [0.0, 0.03, 0.3])
@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
def test_a_trial_that_goes_on_elsewhere_in_an_outage_has_one_run(
    known: bool, apart_s: float, back: tuple[int, ...], stores: list[Store], trial: Trial
) -> None:
    first = trial.begun(stores[0])
    if known:
        assert stores[0].queue.drain() == 0
    away = [store.client.is_away for store in stores]  # type: ignore[attr-defined]
    for event in away:
        event.set()
    trial.trained(first, 1, "paused")
    trial.trained(trial.begun(stores[1]), 3, "complete")
    for place in back:
        away[place].clear()
        threading.Event().wait(apart_s)
    for event in away:
        event.clear()
    expect_whole(stores, trial)


@pytest.mark.parametrize("apart_s", [0.0, 0.05, 0.1, 0.2, 0.4])
def test_a_trial_that_goes_on_elsewhere_while_its_records_are_sent_has_one_run(
    apart_s: float, stores: list[Store], trial: Trial
) -> None:
    """A slow store that nobody waits for any more: a request of the former owner is under way."""
    for store in stores:
        store.queue._patience_s = 0.0
    trial.trained(trial.begun(stores[0]), 1, "paused")
    threading.Event().wait(apart_s)
    trial.trained(trial.begun(stores[1]), 3, "complete")
    expect_whole(stores, trial)


@pytest.mark.parametrize("place", [0, 1], ids=["here", "elsewhere"])
def test_a_trial_that_goes_on_three_times_in_an_outage_loses_not_even_its_look(
    place: int, stores: list[Store], trial: Trial
) -> None:
    away = [store.client.is_away for store in stores]  # type: ignore[attr-defined]
    for event in away:
        event.set()
    trial.looked_at(trial.begun(stores[0]))
    trial.trained(trial.begun(stores[place]), 1, "paused")
    trial.trained(trial.begun(stores[0]), 3, "complete")
    for event in away:
        event.clear()
    expect_whole(stores, trial, looked_at=True)


def expect_whole(stores: list[Store], trial: Trial, *, looked_at: bool = False) -> None:
    for store in stores:
        assert store.queue.drain(20.0) == 0
    store = stores[0]
    runs = store.client.search_runs([store.experiment_id], "tags.trial = '7'")
    assert len(runs) == 1
    (run,) = runs
    assert (run.info.status, run.data.tags["trial_state"]) == ("FINISHED", "complete")
    assert "reason" not in run.data.tags
    for name in ("train/loss", "validation/loss", "validation/accuracy"):
        history = store.client.get_metric_history(run.info.run_id, name)
        look = {0: 1} if looked_at and name in LOOK else {}
        assert Counter(point.step for point in history) == look | {1: 1, 2: 1, 3: 1}, name
    assert run.data.metrics["epoch_of_weights"] == 3
    files = {file.path for file in store.client.list_artifacts(run.info.run_id)}
    assert {"history.csv", "run.json"} <= files
    assert list(Path("mlruns/.running").glob(f"{run.info.run_id}*")) == []
