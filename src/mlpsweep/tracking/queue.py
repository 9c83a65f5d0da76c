"""The way of records to the store: a queue off the training's path, in which nothing is lost and nothing doubled.

The output folder is the record and the store its copy. A store that is slow or away stops no training: records wait
here, and follow in their order when the store is back.
"""

import collections
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mlpsweep.errors import DataError, reason_of
from mlpsweep.files import storage_errors
from mlpsweep.tracking.points import Point, send_missing, send_points
from mlpsweep.tracking.project import RunningLock

if TYPE_CHECKING:
    from mlflow import MlflowClient

MAX_WAITING: Final = 100_000
"""Points that wait in memory; beyond, a run's end reads them from its folder."""
PAUSE_S: Final = 1.0
"""Points wait so long for others, because a request takes some 15 ms whatever it holds."""
DRAIN_S: Final = 27.0
"""Longest wait for the store at the end of the work, seconds: a process shall end within 30 s of its training."""
RETRY_S: Final = (0.2, 5.0)
"""First and longest wait between two attempts; each wait is twice the one before."""
DOCTOR: Final = "`python -m pipeline.doctor fix=true`"
CROWDED: Final = ("database is locked", "UNIQUE constraint", "unique constraint")
PATIENT_TRIES: Final = 3
"""A store with too many writers at once is busy, not away: said after so many tries only.

SQLite's file may still be locked after MLflow's own 20 s; of two writers that MLflow lets make the same row, one fails.
"""
FINAL: Final = frozenset(
    {
        "INVALID_PARAMETER_VALUE",
        "RESOURCE_DOES_NOT_EXIST",
        "RESOURCE_ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "INVALID_STATE",
    }
)
"""MLflow's codes of answers that no repetition would change."""


@dataclass
class RunHandle:
    """A run as the queue knows it.

    Parameters
    ----------
    run_id : str
        Empty until the queue has created the run.
    needs_check : bool
        Whether the store may hold points of this run that are sent again, or lack points that were dropped here.
    lock : RunningLock or None
        Held while this process works on the run.
    ending : mapping
        ``status`` and ``reason`` with which the run ended here, whether the store knows or not.
    after_end : list
        What is sent when the store knows the end.
    is_left : bool
        Whether the run is another process's now, so that nothing of it is sent any more.
    is_late : bool
        Whether its work has ended here with records still waiting, so that another process may go on with it.
    is_ours : callable
        Says of a late run whether nobody else has gone on with it.
    turn : callable
        Goes around each request, so that one process at a time sends of the run.
    """

    run_id: str = ""
    needs_check: bool = False
    lock: RunningLock | None = None
    ending: Mapping[str, str | None] = field(default_factory=dict)
    after_end: list[Callable[[], object]] = field(default_factory=list)
    is_left: bool = False
    is_late: bool = False
    is_ours: Callable[[], bool] = lambda: True
    turn: Callable[[], AbstractContextManager[object]] = nullcontext


@dataclass
class _Task:
    run: RunHandle
    send: Callable[[], object] | None = None
    points: list[Point] = field(default_factory=list)


class RecordQueue:
    """Sends what it is given to one store, from a thread of its own.

    Parameters
    ----------
    client : MlflowClient
        Client of the store.
    where : str
        The store's address, fit to be shown.
    remedy : str
        What sends later what the store did not take.
    """

    def __init__(self, client: "MlflowClient", where: str, remedy: str = DOCTOR) -> None:
        self.client, self.where, self.remedy = client, where, remedy
        self.is_failing = False
        self._tasks: collections.deque[_Task] = collections.deque()
        self._n_points, self._sent_at = 0, -PAUSE_S
        self._is_draining = self._is_told = False
        self._patience_s = DRAIN_S
        self._bug: BaseException | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, run: RunHandle, send: Callable[[], object]) -> None:
        """Have ``send`` called until the store takes it; twice must be as once."""
        with self._changed:
            self._append(_Task(run, send))

    def put_points(self, run: RunHandle, points: list[Point]) -> None:
        """Have points of metrics logged; those beyond ``MAX_WAITING`` are left to :meth:`complete`."""
        with self._changed:
            if self._n_points + len(points) > MAX_WAITING:
                run.needs_check = True
                return
            self._n_points += len(points)
            last = self._tasks[-1] if self._tasks else None
            if last and last.run is run and last.send is None:
                last.points += points
                self._changed.notify_all()
            else:
                self._append(_Task(run, None, list(points)))

    def complete(self, run: RunHandle, read: Callable[[], list[Point]]) -> None:
        """Have whatever the store then lacks of a run's points logged, if an attempt failed or points were dropped."""

        def send() -> None:
            if run.needs_check:
                with suppress(DataError):  # whoever goes on with the run has begun its folder anew, and sends it all
                    send_missing(self.client, run.run_id, read())

        self.put(run, send)

    def forget(self, run: RunHandle) -> None:
        """Send nothing more of a run, and let go of it; a request under way is not called back."""
        with self._changed:
            run.is_left = True
            for task in self._tasks:
                if task.run is run:
                    self._n_points -= len(task.points)
                    task.points.clear()
            self._changed.notify_all()
        if run.lock:
            run.lock.release()

    def drain(self, timeout_s: float | None = None, *, gives_up: bool = False) -> int:
        """Wait until the store has everything, and return how many records it still lacks.

        Parameters
        ----------
        timeout_s : float or None
            Longest wait, seconds; None: what is left of ``DRAIN_S``, which all waits share until the store has all.
        gives_up : bool
            Whether a store that does not answer is not waited for.
        """
        started = time.monotonic()
        deadline = started + (self._patience_s if timeout_s is None else timeout_s)
        with self._changed:
            self._is_draining = True
            self._changed.notify_all()
            while self._tasks and not self._bug and not (gives_up and self.is_failing):
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    break
                self._changed.wait(min(remaining, 0.1))
            self._is_draining = False
            if self._bug:
                raise self._bug
            waited_s = time.monotonic() - started
            self._patience_s = max(0.0, self._patience_s - waited_s) if self._tasks else DRAIN_S
            return _n_records(self._tasks)

    def close(self) -> None:
        """Wait for the store at the end of the work, in all at most ``DRAIN_S``, and say what it then lacks."""
        n_left = self.drain()
        if n_left:
            self._leave_notes()
            sys.stderr.write(
                f"warning: tracking.uri: {self.where} lacks {n_left} records, because it did not take them within "
                f"{DRAIN_S:g} s. The output folder has them; when the store is back, {self.remedy} sends them.\n"
            )

    def _leave_notes(self) -> None:
        """Have the next start tag the runs that lack records."""
        with self._changed:
            lacking: dict[str, list[_Task]] = {}
            for task in self._tasks:
                lacking.setdefault(task.run.run_id, []).append(task)
        for tasks in lacking.values():
            run = tasks[0].run
            if run.lock:
                run.lock.leave({"records": _n_records(tasks), **run.ending})

    def _append(self, task: _Task) -> None:
        self._tasks.append(task)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="records", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _work(self) -> None:
        wait_s, n_tries = RETRY_S[0], 0
        while True:
            task = self._next()
            try:
                self._send(task)
            except failures() as error:
                if _is_final(error):
                    self._tell(f"refuses a record ({reason_of(error)}); the output folder has it")
                    self._remove(task)
                    continue
                n_tries += 1
                task.run.needs_check = self.is_failing = True
                if n_tries >= PATIENT_TRIES or not any(sign in str(error) for sign in CROWDED):
                    self._tell(f"does not answer ({reason_of(error)}). Nothing stops for it: records wait and follow")
                with self._changed:
                    self._changed.wait(wait_s)
                wait_s = min(2 * wait_s, RETRY_S[1])
            except Exception as error:  # noqa: BLE001 - a bug, raised where the user looks: in the main thread
                with self._changed:
                    self._bug = error
                    self._changed.notify_all()
                return
            else:
                wait_s, n_tries, self.is_failing = RETRY_S[0], 0, False
                self._remove(task, only_if_sent=True)

    def _next(self) -> _Task:
        """Return the first task; points wait a moment for others, unless somebody waits for them."""
        with self._changed:
            while True:
                if self._tasks:
                    rest = self._sent_at + PAUSE_S - time.monotonic()
                    is_ripe = len(self._tasks) > 1 or self._tasks[0].send is not None or self._is_draining
                    if is_ripe or rest <= 0:
                        return self._tasks[0]
                    self._changed.wait(rest)
                else:
                    self._changed.wait()

    def _send(self, task: _Task) -> None:
        run = task.run
        with run.turn():
            if run.is_late and not run.is_left and not run.is_ours():
                self.forget(run)
            self._request(task)

    def _request(self, task: _Task) -> None:
        if task.send is not None:
            if not task.run.is_left:
                task.send()
            return
        with self._changed:
            points = list(task.points)
        if points and task.run.run_id:
            if task.run.needs_check:
                send_missing(self.client, task.run.run_id, points)
            else:
                send_points(self.client, task.run.run_id, points)
        with self._changed:
            n_sent = min(len(points), len(task.points))  # forgotten ones do not wait any more
            del task.points[:n_sent]
            self._n_points -= n_sent
        self._sent_at = time.monotonic()

    def _remove(self, task: _Task, *, only_if_sent: bool = False) -> None:
        with self._changed:
            # Points that came while others were sent go out next; this look and the removal are one step.
            if not (only_if_sent and task.points):
                self._n_points -= len(task.points)
                self._tasks.popleft()
            self._changed.notify_all()

    def _tell(self, what: str) -> None:
        """Say on stderr, once, what the store does."""
        if not self._is_told:
            self._is_told = True
            sys.stderr.write(f"warning: tracking.uri: {self.where} {what}.\n")


def _n_records(tasks: Iterable[_Task]) -> int:
    return sum(max(1, len(task.points)) for task in tasks)


@contextmanager
def answered(where: str) -> Iterator[None]:
    """Turn a failure of the store in the block into ours.

    Raises
    ------
    StorageError
        If the store cannot be asked.
    """
    expected = (
        "a store of MLflow that can be used. Start its server, or leave out tracking.uri and MLFLOW_TRACKING_URI: "
        "mlflow.db here is used then."
    )
    with storage_errors(f"tracking.uri: {where}", expected, failures()):
        yield


def failures() -> tuple[type[Exception], ...]:
    """Return what a store raises that fails; a database's driver may not be installed."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError, OSError, ImportError


def _is_final(error: BaseException) -> bool:
    return getattr(error, "error_code", None) in FINAL or isinstance(error, ImportError)
