"""A discrete-event simulation of many workers at one study: who waits for whom, at what throughput it ends.

A database is a counter with a few clerks: each operation takes one of them for a while, and waits until one is free.
Claims pass a gate one at a time besides. A worker claims, proposes, trains and reports by epoch, tells.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

CLAIM, PROPOSE, REPORT, TELL = "claim", "propose", "report", "tell"
OPERATIONS: Final = (CLAIM, PROPOSE, REPORT, TELL)
Step = tuple[str, float]


@dataclass(frozen=True)
class Costs:
    """What a database takes for each operation when nobody else is there.

    Parameters
    ----------
    seconds : dict
        By operation: measured durations, drawn from at random.
    n_clerks : int
        How many operations it does at once: 1 for a file with one writer, about the number of processors for a server.
    """

    seconds: dict[str, Sequence[float]]
    n_clerks: int


@dataclass(frozen=True)
class Result:
    """How a simulated study went.

    Parameters
    ----------
    trials_s : float
        Trials that ended a second.
    idle : float
        Share of the workers' time that is no training.
    waits : dict
        By operation: how long each took, waiting included.
    """

    trials_s: float
    idle: float
    waits: dict[str, list[float]]


@dataclass
class _Counter:
    """Clerks, and two lines before them: claims, of which one at a time is served, and all others."""

    n_free: int
    claims: deque[tuple[int, int, str]] = field(default_factory=deque)
    others: deque[tuple[int, int, str]] = field(default_factory=deque)
    gate_is_open: bool = True
    n_come: int = 0

    def come(self, worker: int, operation: str) -> None:
        self.n_come += 1
        (self.claims if operation == CLAIM else self.others).append((self.n_come, worker, operation))

    def next(self) -> tuple[int, str] | None:
        """Return who is served now, with what: of those who can be, the one that came first."""
        lines = [line for line in (self.claims if self.gate_is_open else None, self.others) if line]
        if not self.n_free or not lines:
            return None
        _, worker, operation = min(lines, key=lambda line: line[0]).popleft()
        self.n_free -= 1
        self.gate_is_open = self.gate_is_open and operation != CLAIM
        return worker, operation

    def leave(self, operation: str) -> None:
        self.n_free += 1
        self.gate_is_open = self.gate_is_open or operation == CLAIM


def simulate(
    costs: Costs, n_workers: int, epochs_s: Sequence[float], n_epochs: int, span: tuple[float, float], seed: int = 0
) -> Result:
    """Return how ``n_workers`` fare at a study without an end.

    Parameters
    ----------
    costs : Costs
        Of the database.
    n_workers : int
    epochs_s : sequence of float
        Seconds of an epoch; each trial draws one of them for all of its epochs.
    n_epochs : int
        Epochs of a trial.
    span : tuple of float
        Seconds from and to which is counted. All workers begin in the first tenth of what is before.
    seed : int
    """
    rng = np.random.default_rng(seed)
    lives = [_life(epochs_s, n_epochs, rng) for _ in range(n_workers)]
    counter, waits = _Counter(costs.n_clerks), {name: list[float]() for name in OPERATIONS}
    starts, order = rng.uniform(0.0, span[0] / 10, n_workers), itertools.count()
    events: list[tuple[float, int, int, str]] = [(float(at), next(order), n, "start") for n, at in enumerate(starts)]
    heapq.heapify(events)
    since: dict[int, float] = {}
    trained_s, n_ended = 0.0, 0
    while events and events[0][0] < span[1]:
        now, _, worker, ended = heapq.heappop(events)
        if ended in OPERATIONS:
            counter.leave(ended)
            if now >= span[0]:
                waits[ended].append(now - since[worker])
                n_ended += ended == TELL
        kind, lasts_s = next(lives[worker])
        if kind == "train":
            trained_s += max(0.0, min(now + lasts_s, span[1]) - max(now, span[0]))
            heapq.heappush(events, (now + lasts_s, next(order), worker, kind))
        else:
            since[worker] = now
            counter.come(worker, kind)
        while (served := counter.next()) is not None:
            lasts_s = float(rng.choice(costs.seconds[served[1]]))
            heapq.heappush(events, (now + lasts_s, next(order), *served))
    counted_s = span[1] - span[0]
    return Result(n_ended / counted_s, 1.0 - trained_s / (counted_s * n_workers), waits)


def _life(epochs_s: Sequence[float], n_epochs: int, rng: np.random.Generator) -> Iterator[Step]:
    """Yield what a worker does, trial after trial."""
    while True:
        epoch_s = float(rng.choice(np.asarray(epochs_s)))
        yield CLAIM, 0.0
        yield PROPOSE, 0.0
        for _ in range(n_epochs):
            if epoch_s:
                yield "train", epoch_s
            yield REPORT, 0.0
        yield TELL, 0.0


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return a percentile in milliseconds."""
    return 1000 * float(np.percentile(seconds, share)) if seconds else float("nan")
