"""A discrete-event simulation of many workers at one study: who waits for whom, at what throughput it ends.

It is fed with what one worker alone measured, cut into segments. Workers and the server share processors: of n that
want one of k, each has k/n of one. A lock of the server is had in the order of coming. SQLite has no such order: who
finds its file taken sleeps, longer each time, and tries again. What else a segment took, as for a disk, nobody shares.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

CLAIM, PROPOSE, RENEW, REPORT, TELL = "claim", "propose", "renew", "report", "tell"
GATE, STUDY, FILE, COMMIT, READ = "gate", "study", "file", "commit", "read"
NAPS_S: Final = tuple(ms / 1000 for ms in (1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100))
"""How long SQLite sleeps before it tries again, the last again and again (sqliteDefaultBusyCallback)."""
OWN, SERVER, ELSEWHERE = "own", "server", "elsewhere"
Step = tuple[str, Any]


@dataclass(frozen=True)
class Segment:
    """A part of an operation that one worker alone did.

    Parameters
    ----------
    operation, lock : str
        What it is a part of; and what it had that others wait for, or nothing.
    n_statements, inside_s : int, float
        Statements, each of which finds SQLite's file open or taken, and how long they took: readers keep a commit off.
    client_s, server_s, else_s : float
        Seconds that the worker's processor and the server's were busy, and that neither was.
    """

    operation: str
    lock: str
    n_statements: int
    inside_s: float
    client_s: float
    server_s: float
    else_s: float


Trial = Sequence[Sequence[Segment]]
"""Operations in turn, each of them segments."""


@dataclass(frozen=True)
class Site:
    """Where workers and server run.

    Parameters
    ----------
    n_cores : int
        Of the machine with the server.
    is_shared : bool
        Whether the workers run there too; otherwise each has a processor of its own elsewhere.
    row_s : float
        Processor time of the server, within the gate, that a claim takes for each trial at work.
    """

    n_cores: int
    is_shared: bool
    row_s: float = 0.0


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
class _Processors:
    """Processors that share themselves out: ``done`` is what each job has had since the beginning."""

    n_cores: int
    now: float = 0.0
    done: float = 0.0
    jobs: list[tuple[float, int, int]] = field(default_factory=list)

    def go_to(self, now: float) -> None:
        self.done += (now - self.now) * self._rate()
        self.now = now

    def add(self, work_s: float, order: int, worker: int) -> None:
        heapq.heappush(self.jobs, (self.done + work_s, order, worker))

    def next_at(self) -> float:
        """Return when the next job ends, if none comes before."""
        return self.now + max(0.0, self.jobs[0][0] - self.done) / self._rate() if self.jobs else float("inf")

    def _rate(self) -> float:
        return min(1.0, self.n_cores / len(self.jobs)) if self.jobs else 1.0


@dataclass
class _Locks:
    """Who has which lock, and who waits for it."""

    owners: dict[str, int] = field(default_factory=dict)
    lines: dict[str, deque[int]] = field(default_factory=dict)

    def take(self, name: str, worker: int) -> bool:
        return self.owners.setdefault(name, worker) == worker

    def leave(self, name: str) -> int | None:
        """Give a lock to whoever is next in its line, who goes on then."""
        del self.owners[name]
        line = self.lines.get(name)
        if not line:
            return None
        self.owners[name] = line.popleft()
        return self.owners[name]


class Simulation:
    """Workers, processors and locks; see :func:`simulate`."""

    def __init__(self, site: Site, lives: Sequence[Iterator[Step]], starts: Sequence[float]) -> None:
        self.site, self.lives = site, lives
        self.processors, self.locks, self.order = _Processors(site.n_cores), _Locks(), itertools.count()
        self.events = [(float(at), next(self.order), worker) for worker, at in enumerate(starts)]
        heapq.heapify(self.events)
        self.n_readers = 0
        self.pending: dict[int, tuple[str, int]] = {}  # what a worker is trying to take, for which time

    def run(self, until: float) -> Iterator[tuple[float, int, Step]]:
        """Yield what the workers say of their operations, with the time."""
        while True:
            at = self.processors.next_at()
            if self.events and self.events[0][0] <= at:
                at, _, worker = self.events[0]
                is_event = True
            else:
                is_event = False
            if at >= until:
                return
            self.processors.go_to(at)
            worker = heapq.heappop(self.events)[2] if is_event else heapq.heappop(self.processors.jobs)[2]
            yield from self._go_on(at, worker)

    def _go_on(self, now: float, worker: int) -> Iterator[tuple[float, int, Step]]:
        if worker in self.pending and not self._try(now, worker, *self.pending.pop(worker)):
            return
        for kind, value in self.lives[worker]:
            if kind in (OWN, SERVER, ELSEWHERE):
                if value > 0.0:
                    self._spend(now, worker, kind, value)
                    return
            elif kind == "take":
                if not self._try(now, worker, value, 0):
                    return
            elif (kind, value) == ("leave", READ):
                self.n_readers -= 1
            elif kind == "leave":
                heir = self.locks.leave(value)
                if heir is not None:
                    heapq.heappush(self.events, (now, next(self.order), heir))
            else:
                yield now, worker, (kind, value)

    def _spend(self, now: float, worker: int, kind: str, seconds: float) -> None:
        if kind == SERVER or (kind == OWN and self.site.is_shared):
            self.processors.add(seconds, next(self.order), worker)
        else:
            heapq.heappush(self.events, (now + seconds, next(self.order), worker))

    def _try(self, now: float, worker: int, name: str, n_tries: int) -> bool:
        """Return whether a worker has a lock, or finds the file open; otherwise it comes back."""
        if name in (GATE, STUDY):
            if self.locks.take(name, worker):
                return True
            self.locks.lines.setdefault(name, deque()).append(worker)
            return False
        if name == COMMIT:  # its owner has the file, and lets no more readers in
            if self.locks.take(name, worker) and not self.n_readers:
                return True
        elif COMMIT not in self.locks.owners and (name == READ or self.locks.take(FILE, worker)):
            self.n_readers += name == READ
            return True
        self.pending[worker] = name, n_tries + 1
        nap_s = NAPS_S[min(n_tries, len(NAPS_S) - 1)]
        heapq.heappush(self.events, (now + nap_s, next(self.order), worker))
        return False


def simulate(
    trials: Sequence[Trial],
    site: Site,
    n_workers: int,
    lengths_s: Sequence[float],
    span: tuple[float, float],
    seed: int = 0,
) -> Result:
    """Return how ``n_workers`` fare at a study without an end.

    Parameters
    ----------
    trials : sequence of Trial
        Of one worker alone, drawn from at random.
    site : Site
    n_workers : int
    lengths_s : sequence of float
        Seconds that trials train; each draws one, and spends it before its reports, in equal parts.
    span : tuple of float
        Seconds from and to which is counted. All workers begin in the first tenth of what is before.
    seed : int
    """
    rng = np.random.default_rng(seed)
    lives = [_life(trials, site.row_s * n_workers, lengths_s, rng) for _ in range(n_workers)]
    simulation = Simulation(site, lives, list(rng.uniform(0.0, span[0] / 10, n_workers)))
    waits = {name: list[float]() for name in (CLAIM, PROPOSE, RENEW, REPORT, TELL)}
    since, trained_s, n_ended = dict[int, float](), 0.0, 0
    for now, worker, (kind, value) in simulation.run(span[1]):
        if kind == "train":
            trained_s += max(0.0, min(now + value, span[1]) - max(now, span[0]))
        elif kind == "begin":
            since[worker] = now
        elif now >= span[0]:
            waits[value].append(now - since[worker])
            n_ended += value == TELL
    counted_s = span[1] - span[0]
    return Result(n_ended / counted_s, 1.0 - trained_s / (counted_s * n_workers), waits)


def _life(
    trials: Sequence[Trial], rows_s: float, lengths_s: Sequence[float], rng: np.random.Generator
) -> Iterator[Step]:
    """Yield what a worker does, trial after trial."""
    is_file = any(one.lock == FILE for operation in trials[0] for one in operation)
    while True:
        trial = trials[int(rng.integers(len(trials)))]
        n_reports = sum(operation[0].operation == REPORT for operation in trial)
        epoch_s = float(rng.choice(np.asarray(lengths_s))) / n_reports
        for operation in trial:
            name = operation[0].operation
            if name == REPORT and epoch_s:
                yield "train", epoch_s
                yield ELSEWHERE, epoch_s
            yield "begin", name
            yield from _steps(operation, rows_s if name == CLAIM else 0.0, is_file)
            yield "end", name


def _steps(operation: Sequence[Segment], rows_s: float, is_file: bool) -> Iterator[Step]:
    held: list[str] = []
    for one in operation:
        if not one.lock:
            yield from (("leave", held.pop()) for _ in range(len(held)))
        elif one.lock not in held:
            yield "take", one.lock
            held.append(one.lock)
        n_reads = one.n_statements if is_file and not one.lock else 0
        inside_s = min(one.inside_s, one.client_s) if n_reads else 0.0
        for _ in range(n_reads):
            yield "take", READ
            yield OWN, inside_s / n_reads
            yield "leave", READ
            yield OWN, (one.client_s - inside_s) / n_reads
        yield ELSEWHERE, one.else_s
        yield OWN, 0.0 if n_reads else one.client_s
        yield SERVER, one.server_s + rows_s * (one.lock == GATE)
    yield from (("leave", held.pop()) for _ in range(len(held)))


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return a percentile in milliseconds."""
    return 1000 * float(np.percentile(seconds, share)) if seconds else float("nan")
