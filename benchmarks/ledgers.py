"""Workers of a study that train nothing: what each operation on its ledger takes, alone and in a crowd.

A traced worker is cut into segments besides, for benchmarks/events.py: which lock it held, and how much of the time its
own processor and the server's were busy. What a study does with these figures is said in benchmarks/scale.py.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.events import CLAIM, COMMIT, FILE, GATE, PROPOSE, RENEW, REPORT, STUDY, TELL, Segment, percentile

if TYPE_CHECKING:
    from mlpsweep.search.study import Study

N_EPOCHS: Final = 8
N_WARM: Final = 3
"""Trials of each worker that do not count: the first ones compile statements and open connections."""
PROC: Final = Path("/proc")


@dataclass
class Trace:
    """Cuts a worker's time wherever its operation changes, or a lock that others wait for."""

    is_file: bool
    trials: list[list[list[Segment]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.operation, self.lock, self.n_statements, self.inside_s, self.asked_at = "", "", 0, 0.0, 0.0
        self.at, self.coming = (0.0, 0.0, 0.0), ""
        self.servers: list[int] = []

    def listen(self, engine: Any) -> None:
        from sqlalchemy import event

        event.listen(engine, "checkout", self._connected)
        event.listen(engine, "before_cursor_execute", self._before)
        event.listen(engine, "after_cursor_execute", self._after)
        event.listen(engine, "commit", self._committing)
        event.listen(engine, "checkin", self._left)

    def cut(self, operation: str = "", lock: str = "") -> None:
        """End a segment, and begin another; one of no operation is not kept."""
        times = (time.perf_counter(), time.process_time(), busy_s(self.servers))
        wall, client, server = (now - then for now, then in zip(times, self.at, strict=True))
        if self.operation:
            other = max(0.0, wall - client - server)
            one = Segment(self.operation, self.lock, self.n_statements, self.inside_s, client, server, other)
            self.trials[-1][-1].append(one)
        self.operation, self.lock, self.n_statements, self.inside_s = operation, lock, 0, 0.0
        self.at = (time.perf_counter(), time.process_time(), times[2])  # what the cut itself took belongs to nobody

    def _before(self, connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        self.coming = self._lock_of(statement)
        self.n_statements += 1
        self.asked_at = time.perf_counter()

    def _after(self, *statement: Any) -> None:
        self.inside_s += time.perf_counter() - self.asked_at
        if self.operation and self.coming and not self.lock:
            self.cut(self.operation, self.coming)  # who waited for it has it now

    def _connected(self, connection: Any, *record: Any) -> None:
        if not self.is_file and connection.info.backend_pid not in self.servers:
            self.servers.append(connection.info.backend_pid)

    def _committing(self, connection: Any) -> None:
        if self.lock == FILE:
            self.cut(self.operation, COMMIT)

    def _left(self, *connection: Any) -> None:
        if self.lock:
            self.cut(self.operation)

    def _lock_of(self, statement: str) -> str:
        if self.is_file:
            return "" if statement.lstrip().startswith(("SELECT", "PRAGMA")) else FILE
        if statement.startswith("UPDATE mlpsweep_gate"):
            return GATE
        return STUDY if "FROM studies" in statement and "FOR UPDATE" in statement else ""


@dataclass(frozen=True)
class Task:
    """What a worker of the benchmark does."""

    root: Path
    url: str | None
    span_s: float
    lengths_s: Sequence[float] = ()
    """Seconds for which it holds a trial, drawn at random; it sleeps instead of training. Without any it does not."""
    is_traced: bool = False


def open_at(root: Path, url: str | None) -> "Study":
    """Return the study of the benchmark, new or joined; no data are looked at."""
    from mlpsweep.search.space import Space
    from mlpsweep.search.study import Plan, open_study
    from pipeline.compose import check
    from pipeline.settings import SearchJob

    words = ["data=digits", f"n_epochs={N_EPOCHS}", "hidden_sizes=[64]"]
    job = check("search", SearchJob, words, multirun=False)[0].settings
    plan = Plan("digits", "d" * 64, "s" * 64, Space.build(job.space, job.training(), 64, 10), job.search.metric)
    return open_study(plan, replace(job.search, storage=url), root)


class Worker:
    """It takes trials and ends them."""

    def __init__(self, task: Task, number: int) -> None:
        from mlpsweep.search.ownership import new_owner

        self.study, self.owner, self.task = open_at(task.root, task.url), new_owner(), task
        self.rng = np.random.default_rng(number)
        self.seconds: dict[str, list[float]] = {name: [] for name in (CLAIM, PROPOSE, RENEW, REPORT, TELL)}
        self.trace = Trace(task.url is None) if task.is_traced else None
        if self.trace:
            for engine in (self.study.ledger.database.engine, self.study.ledger.database.storage.engine):
                self.trace.listen(engine)

    def warm_up(self) -> None:
        """Do some trials that do not count, but if each would take its time."""
        for _ in range(0 if self.task.lengths_s else N_WARM):
            self.trial()
        for times in self.seconds.values():
            times.clear()
        if self.trace:
            self.trace.trials.clear()

    def work(self, until: float) -> dict[str, Any]:
        """Do trials for a while, and return what they took; those that take their time begin one after another."""
        if self.task.lengths_s:
            time.sleep(self.rng.uniform(0.0, float(np.mean(self.task.lengths_s))))
        began, trials = time.perf_counter(), list[tuple[float, float]]()
        while time.perf_counter() < until:
            trials.append(self.trial())
        # A trial that was under way at the end counts in part.
        n_done = len(trials) - (time.perf_counter() - until) / trials[-1][1]
        traced = (
            [[[astuple(one) for one in part] for part in trial] for trial in self.trace.trials] if self.trace else []
        )
        trials_s = n_done / (until - began)
        return {"n": n_done, "trials_s": trials_s, "trials": trials, "seconds": self.seconds, "traced": traced}

    def trial(self) -> tuple[float, float]:
        """Do one trial; return how long it was held, and how long it took."""
        from mlpsweep.search.leases import COMPLETE

        ledger, params = self.study.ledger, self.study.plan.space.baseline() or {}
        facts = {"run_key": "0" * 64, "seed": 0, "weights_hash": "0" * 64, "validation/loss": 0.5}
        length_s = float(self.rng.choice(np.asarray(self.task.lengths_s))) if self.task.lengths_s else 0.0
        began = time.perf_counter()
        if self.trace:
            self.trace.trials.append([])
        claim = self.timed(CLAIM, partial(ledger.claim, self.owner, 10**6))
        self.timed(PROPOSE, partial(ledger.propose, claim, params))
        self.timed(RENEW, partial(ledger.claims.keep, claim))
        for epoch in range(1, N_EPOCHS + 1):
            time.sleep(length_s / N_EPOCHS)
            self.timed(REPORT, partial(ledger.report, claim, epoch, 0.5))
        self.timed(TELL, partial(ledger.tell, claim, COMPLETE, 0.5, facts))
        return length_s, time.perf_counter() - began

    def timed(self, name: str, call: Callable[[], Any]) -> Any:
        if self.trace:
            self.trace.trials[-1].append([])
            self.trace.cut(name)
        began = time.perf_counter()
        result = call()
        self.seconds[name].append(time.perf_counter() - began)
        if self.trace:
            self.trace.cut()
        return result


def be_workers(task: Task, numbers: Sequence[int], barrier: Any, told: Any) -> None:
    """Be workers of one process, each with connections of its own, and tell how long each operation took."""
    workers = [Worker(task, number) for number in numbers]
    with ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(Worker.warm_up, workers))
        barrier.wait()
        own_s, began = time.process_time(), time.perf_counter()
        parts = list(pool.map(partial(Worker.work, until=began + task.span_s), workers))
        told.put((time.process_time() - own_s, parts))
    barrier.wait()  # a server's process that ends takes its times along


def measure(
    url: str | None, server: int | None, n_workers: int, span_s: float, n_threads: int, **how: Any
) -> dict[str, Any]:
    """Return one point: trials a second, latencies in milliseconds, processor time a trial; ``how`` is of the task.

    A process has ``n_threads`` workers, or the rest.
    """
    forks = get_context("forkserver")
    forks.set_forkserver_preload(["mlpsweep.search.study"])
    shares = [range(first, min(first + n_threads, n_workers)) for first in range(0, n_workers, n_threads)]
    told, barrier = forks.SimpleQueue(), forks.Barrier(len(shares) + 1)
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        open_at(Path(folder), url)
        task = Task(Path(folder), url, span_s, **how)
        processes = [forks.Process(target=be_workers, args=(task, share, barrier, told)) for share in shares]
        for process in processes:
            process.start()
        barrier.wait()
        before, machine = server_busy_s(server), machine_s()
        answers = [told.get() for _ in processes]
        server_s, now = server_busy_s(server) - before, machine_s()
        barrier.wait()
        for process in processes:
            process.join()
    parts, client_s = [part for _, mine in answers for part in mine], sum(own_s for own_s, _ in answers)
    used = client_s, server_s, now[0] - machine[0], now[1] - machine[1]
    return _point("sqlite" if url is None else "postgresql", parts, used)


def _point(kind: str, parts: list[Any], used: tuple[float, float, float, float]) -> dict[str, Any]:
    n_done, (client_s, server_s, machine, there_was) = sum(part["n"] for part in parts), used
    held = [trial for part in parts for trial in part["trials"]]
    seconds = {name: [one for part in parts for one in part["seconds"][name]] for name in parts[0]["seconds"]}
    return {
        "database": kind,
        "workers": len(parts),
        "trials_s": sum(part["trials_s"] for part in parts),
        "idle": 1.0 - sum(length for length, _ in held) / sum(took for _, took in held),
        "ms": {name: [percentile(times, share) for share in (50, 99)] for name, times in seconds.items()},
        "client_ms": 1000 * client_s / n_done,
        "server_ms": 1000 * server_s / n_done,
        "others": (machine - client_s - server_s) / there_was,
        "traced": [trial for part in parts for trial in part["traced"]],
    }


def server_busy_s(pid: int | None) -> float:
    """Return the processor time of a server's processes, seconds."""
    return busy_s(map(int, (PROC / str(pid) / "task" / str(pid) / "children").read_text().split())) if pid else 0.0


def busy_s(pids: Iterable[int]) -> float:
    """Return the processor time that processes have had, seconds."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += int((PROC / str(pid) / "schedstat").read_text().split()[0])
    return total / 1e9


def machine_s() -> tuple[float, float]:
    """Return the processor time that all processes have had, and all that there was."""
    user, nice, system, idle, iowait, *rest = map(int, (PROC / "stat").read_text().split("\n")[0].split()[1:9])
    busy = user + nice + system + sum(rest)
    return busy / os.sysconf("SC_CLK_TCK"), (busy + idle + iowait) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def database(is_sqlite: bool) -> Iterator[tuple[Callable[[], str | None], int | None]]:
    """Yield what gives the address of an empty database, or None for a file; and the server's process."""
    from tests.servers import postgres

    if is_sqlite:
        yield lambda: None, None
        return
    with postgres() as server:
        numbers = iter(range(10**6))

        def fresh() -> str:
            import psycopg

            name = f"scale{next(numbers)}"
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}".encode())
            return f"{server.url.rpartition('/')[0]}/{name}"

        yield fresh, int((server.folder / "postmaster.pid").read_text().split()[0])
