"""A discrete-event simulation of many workers at one study: who waits for whom, at what throughput it ends.

It is fed with what workers measured, cut into segments. Workers and the server's processes take turns on the
processors, statement by statement. A lock of the server is had in the order of coming. SQLite has no such order: who
finds its file taken sleeps, longer each time, and tries again. What else a segment took, as for a disk, nobody shares.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

CLAIM, PROPOSE, RENEW, REPORT, TELL = "claim", "propose", "renew", "report", "tell"
GATE, STUDY, FILE, COMMIT, READ = "gate", "study", "file", "commit", "read"
NAPS_S: Final = tuple(ms / 1000 for ms in (1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100))
"""How long SQLite sleeps before it tries again, the last again and again (sqliteDefaultBusyCallback)."""
OWN, SERVER, ELSEWHERE = "own", "server", "elsewhere"
Step = tuple[str, Any]
Process = tuple[str, int]
"""A worker's own process, or the one that the server has for it."""


@dataclass(frozen=True)
class Segment:
    """A part of an operation that a worker did.

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


class _Cores:
    """Processors with a line before each, as Linux has them: who is woken stays where it is put until its turn.

    It is put where it ran last if nobody is there, else on any processor that is idle, else on that of whoever woke it
    if nobody waits there, else where it ran last (``select_task_rq_fair``); none is moved later.
    """

    def __init__(self, n_cores: int) -> None:
        self.n_cores, self.last = n_cores, dict[Process, int]()
        self.running: list[Process | None] = [None] * n_cores
        self.lines: list[deque[tuple[Process, float]]] = [deque() for _ in range(n_cores)]

    def wake(self, process: Process, work_s: float, waker: int | None) -> float | None:
        """Give a process work; return for how long it runs from now on, or None if it waits."""
        last = self.last.setdefault(process, process[1] % self.n_cores)
        idle = [core for core in range(self.n_cores) if self.running[core] is None]
        if last not in idle:
            last = idle[0] if idle else waker if waker is not None and not self.lines[waker] else last
        self.last[process] = last
        if self.running[last] is None:
            self.running[last] = process
            return work_s
        self.lines[last].append((process, work_s))
        return None

    def leave(self, core: int) -> tuple[Process, float] | None:
        """Free a processor; return who runs there now, and for how long."""
        if not self.lines[core]:
            self.running[core] = None
            return None
        process, work_s = self.lines[core].popleft()
        self.running[core] = process
        return process, work_s


class _Locks:
    """Who has which lock, and who waits for it."""

    def __init__(self) -> None:
        self.owners, self.lines = dict[str, int](), dict[str, deque[int]]()

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
        self.cores, self.locks, self.order = _Cores(site.n_cores), _Locks(), itertools.count()
        self.events: list[tuple[float, int, int, int | None]] = []
        for worker, at in enumerate(starts):
            self._later(float(at), worker)
        self.n_readers = 0
        self.pending: dict[int, tuple[str, int]] = {}  # what a worker is trying to take, for which time

    def run(self, until: float) -> Iterator[tuple[float, int, Step]]:
        """Yield what the workers say of their operations, with the time."""
        while self.events and self.events[0][0] < until:
            now, _, worker, core = heapq.heappop(self.events)
            yield from self._go_on(now, worker, core)
            if core is not None and (follower := self.cores.leave(core)) is not None:
                (_, heir), work_s = follower
                self._later(now + work_s, heir, core)

    def _go_on(self, now: float, worker: int, core: int | None) -> Iterator[tuple[float, int, Step]]:
        if worker in self.pending and not self._try(now, worker, *self.pending.pop(worker)):
            return
        for kind, value in self.lives[worker]:
            if kind in (OWN, SERVER, ELSEWHERE):
                if value > 0.0:
                    self._spend(now, worker, kind, value, core)
                    return
            elif kind == "take":
                if not self._try(now, worker, value, 0):
                    return
            elif (kind, value) == ("leave", READ):
                self.n_readers -= 1
            elif kind == "leave":
                heir = self.locks.leave(value)
                if heir is not None:
                    self._later(now, heir)
            else:
                yield now, worker, (kind, value)

    def _spend(self, now: float, worker: int, kind: str, seconds: float, core: int | None) -> None:
        if kind == SERVER or (kind == OWN and self.site.is_shared):
            lasts_s = self.cores.wake((kind, worker), seconds, core)
            if lasts_s is not None:
                self._later(now + lasts_s, worker, self.cores.last[kind, worker])
        else:
            self._later(now + seconds, worker)

    def _later(self, at: float, worker: int, core: int | None = None) -> None:
        """Let a worker go on at a time, as the last on a processor or from elsewhere."""
        heapq.heappush(self.events, (at, next(self.order), worker, core))

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
        self._later(now + nap_s, worker)
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
        Of workers that were traced, drawn from at random.
    site : Site
    lengths_s : sequence of float
        Seconds that trials train; each draws one, and spends it before its reports, in equal parts.
    span : tuple of float
        Seconds from and to which is counted. All workers begin in the first tenth of what is before.
    """
    rng = np.random.default_rng(seed)
    lives = [_life(trials, site.row_s * n_workers, site.is_shared, lengths_s, rng) for _ in range(n_workers)]
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
    trials: Sequence[Trial], rows_s: float, is_fine: bool, lengths_s: Sequence[float], rng: np.random.Generator
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
            yield from _steps(operation, rows_s if name == CLAIM else 0.0, is_file, is_fine)
            yield "end", name


def _steps(operation: Sequence[Segment], rows_s: float, is_file: bool, is_fine: bool) -> Iterator[Step]:
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
        n_parts = max(1, one.n_statements) if is_fine and not n_reads else 1
        for _ in range(n_parts):
            yield OWN, 0.0 if n_reads else one.client_s / n_parts
            yield SERVER, (one.server_s + rows_s * (one.lock == GATE)) / n_parts
    yield from (("leave", held.pop()) for _ in range(len(held)))


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return a percentile in milliseconds."""
    return 1000 * float(np.percentile(seconds, share)) if seconds else float("nan")
