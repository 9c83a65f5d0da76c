"""Epochs that end in quick succession go to the store together, and none is left behind."""

import pytest

from mlpsweep.tracking import run as run_module
from mlpsweep.tracking.breaker import CircuitBreaker
from mlpsweep.tracking.run import PAUSE_S, Run
from mlpsweep.training.history import EpochRecord


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


class Client:
    """Keeps what each request brought, as (name, step)."""

    def __init__(self) -> None:
        self.requests: list[list[tuple[str, int]]] = []

    def log_batch(self, run_id: str, metrics: list[object]) -> None:
        self.requests.append([(metric.key, metric.step) for metric in metrics])  # type: ignore[attr-defined]

    def set_terminated(self, run_id: str, status: str) -> None:
        self.status = status


def record(epoch: int) -> EpochRecord:
    return EpochRecord(
        epoch=epoch, update=epoch, learning_rate=0.1, train_loss=1.0, train_penalty=0.0, train_accuracy=0.5,
        seconds=0.1, samples_per_s=1.0,
    )  # fmt: skip


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(run_module, "time", clock)
    return clock


def test_quick_epochs_share_a_request_and_the_last_one_goes_with_the_end(clock: Clock) -> None:
    client = Client()
    run = Run(client, "id", CircuitBreaker("here"))  # type: ignore[arg-type]
    for epoch in range(1, 8):
        run.log_epoch(record(epoch))
        clock.now += PAUSE_S / 4
    run.end("FINISHED")
    steps = [[step for name, step in request if name == "train/loss"] for request in client.requests]
    assert steps == [[1], [2, 3, 4, 5], [6, 7]]
    assert client.status == "FINISHED"
