"""A discrete-event simulation of many workers at one study: who waits for whom, at what throughput it ends.

A database is a counter with a few clerks: each operation takes one of them for a while, and waits until one is free.
Claims pass a gate one at a time besides. A worker's life is claim, train and report by epoch, tell.
"""

import heapq
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

CLAIM, REPORT, TELL = "claim", "report", "tell"
OPERATIONS: Final = (CLAIM, REPORT, TELL)
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
    costs: Costs, n_workers: int, n_trials: int, epochs_s: Sequence[float], n_epochs: int, seed: int = 0
) -> Result:
    """Return how ``n_workers`` do ``n_trials``; an epoch of a trial lasts one of ``epochs_s``, the same for all of its.

    All workers begin within an epoch of one another, as processes do that a scheduler starts.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.choice(np.asarray(epochs_s), n_trials)
    work = [float(length) for length in lengths]
    lives = [_life(work, n_epochs) for _ in range(n_workers)]
    counter, waits = _Counter(costs.n_clerks), {name: list[float]() for name in OPERATIONS}
    events: list[tuple[float, int, int, str]] = []  # when, order, worker, what ended there
    began = dict[int, float]()
    order = iter(range(10**12))
    starts = rng.uniform(0.0, max(float(np.mean(lengths)), 1e-9), n_workers)
    for worker, start in enumerate(starts):
        heapq.heappush(events, (float(start), next(order), worker, "start"))
    now = trained_s = ended_s = 0.0
    while events:
        now, _, worker, ended = heapq.heappop(events)
        if ended in OPERATIONS:
            counter.leave(ended)
            waits[ended].append(now - began[worker])
            ended_s = now
        step = next(lives[worker], None)
        if step is not None and step[0] == "train":
            trained_s += step[1]
            heapq.heappush(events, (now + step[1], next(order), worker, "train"))
        elif step is not None:
            began[worker] = now
            counter.come(worker, step[0])
        while (served := counter.next()) is not None:
            duration = float(rng.choice(costs.seconds[served[1]]))
            heapq.heappush(events, (now + duration, next(order), *served))
    lasted = ended_s - float(starts.min())
    return Result(n_trials / lasted, 1.0 - trained_s / (lasted * n_workers), waits)


def _life(work: list[float], n_epochs: int) -> Generator[Step, None, None]:
    """Yield what a worker does until no trial is left."""
    while work:
        epoch_s = work.pop()
        yield CLAIM, 0.0
        for _ in range(n_epochs):
            if epoch_s:
                yield "train", epoch_s
            yield REPORT, 0.0
        yield TELL, 0.0


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return a percentile in milliseconds."""
    return 1000 * float(np.percentile(seconds, share)) if seconds else float("nan")
