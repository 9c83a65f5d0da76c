"""Several workers on this machine under one parent: started, replaced when killed, stopped together.

Workers share nothing but the study. They leave the terminal's process group, so that Ctrl-C reaches the parent only,
which hands on one signal; they die with the parent, whose end they see as the end of a pipe.
"""

import contextlib
import gc
import itertools
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from mlpsweep.errors import MlpsweepError, NoResultError
from mlpsweep.search.forks import context
from mlpsweep.search.interrupt import Interrupt
from mlpsweep.search.settings import SearchSettings
from mlpsweep.search.study import Study
from mlpsweep.search.worker import SearchEnd

GRACE_S = 10.0
"""Seconds a worker has to leave its trial in order after a signal."""

POLL_S = 0.2


def supervise(
    study: Study,
    settings: SearchSettings,
    target: Callable[..., object],
    arguments: tuple[Any, ...],
    notice: Callable[[str], None],
) -> SearchEnd:
    """Run ``settings.n_workers`` workers until all are done, or until told to stop.

    Parameters
    ----------
    study : Study
        Open; it shows whether the search gets on.
    settings : SearchSettings
        Number of workers, limits.
    target, arguments : callable, tuple
        What a worker process calls: a module's function and arguments that can be pickled; it calls ``work``.
    notice : callable
        Takes a line for the user each time a worker was killed.

    Raises
    ------
    MlpsweepError, RuntimeError
        The first exception of a worker, once; the others are stopped. A trial's failure is not one.
    NoResultError
        If workers are killed again and again and no trial ends.
    """
    with Interrupt(settings.timeout_s) as interrupt, contextlib.closing(_Crew(target, arguments)) as crew:
        for seat in range(1, settings.n_workers + 1):
            crew.start(seat)
        patience = _Patience(study, (settings.max_retries + 1) * settings.n_workers)
        while crew.members and not interrupt.is_requested:
            for seat, exit_code in crew.ended():
                if exit_code >= 0:
                    continue
                why = f"worker {seat} was killed by signal {-exit_code}{' (out of memory?)' if exit_code == -9 else ''}"
                patience.lose(why)
                notice(f"{why}; another one takes its place")
                crew.start(seat)
        crew.close()
        return SearchEnd(len(study.counted()), interrupt.signal, interrupt.signal is None and interrupt.is_requested)


@dataclass
class _Patience:
    """How many workers may be killed before a trial ends: enough for one trial to use up its retries."""

    study: Study
    limit: int
    n_lost: int = 0
    n_counted: int = -1

    def lose(self, why: str) -> None:
        n_counted = len(self.study.counted())
        if n_counted > self.n_counted:
            self.n_lost, self.n_counted = 0, n_counted
        self.n_lost += 1
        if self.n_lost > self.limit:
            raise NoResultError(
                f"search: {why}, the last of {self.n_lost} in which no trial ended; expected workers that live. "
                "Look for what kills them, or search with fewer workers: search.n_workers=1"
            )


@dataclass
class _Member:
    process: BaseProcess
    fault: Connection


@dataclass
class _Crew:
    """The worker processes by seat."""

    target: Callable[..., object]
    arguments: tuple[Any, ...]
    members: dict[int, _Member] = field(default_factory=dict)

    def start(self, seat: int) -> None:
        """Start a worker; no thread or lock of this process is copied."""
        forks = context()
        here, there = forks.Pipe(duplex=False)
        arguments = (there, dict(os.environ), self.target, self.arguments)
        process = forks.Process(target=_enter, args=arguments, name=f"worker {seat}")
        # Ctrl-C must not end a process that has not yet left the terminal's group; it inherits the mask.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        process.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        there.close()
        self.members[seat] = _Member(process, here)

    def ended(self) -> Iterator[tuple[int, int]]:
        """Wait a moment; yield seat and exit code of each worker that ended, negative for a signal.

        Raises
        ------
        MlpsweepError, RuntimeError
            What a worker raised.
        """
        watched = [(member.process.sentinel, member.fault) for member in self.members.values()]
        wait(list(itertools.chain(*watched)), timeout=POLL_S)
        for seat, member in list(self.members.items()):
            with contextlib.suppress(EOFError):
                if member.fault.poll():
                    raise member.fault.recv()
            if member.process.exitcode is not None:
                del self.members[seat]
                yield seat, member.process.exitcode

    def close(self) -> None:
        """Ask every worker to stop, and end those that do not."""
        for member in self.members.values():
            member.process.terminate()
        deadline = time.monotonic() + GRACE_S
        for member in self.members.values():
            member.process.join(max(0.0, deadline - time.monotonic()))
            member.process.kill()
            member.process.join()
        self.members.clear()


def _enter(
    fault: Connection, environment: dict[str, str], target: Callable[..., object], arguments: tuple[Any, ...]
) -> None:
    """Be a worker: outlive neither the parent nor a fault without a word about it."""
    # Modules are no garbage. A collection would look at all of them, and copy their pages from the server of forks.
    gc.freeze()
    os.environ.clear()
    os.environ.update(environment)
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What the parent was told to ignore it hands on; by this signal it stops its workers.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()
    try:
        target(*arguments)
    except MlpsweepError as error:
        fault.send(error)
    except Exception:  # noqa: BLE001 - a bug, shown where the user looks: in the parent
        fault.send(RuntimeError(traceback.format_exc()))


def _die_with(sentinel: int) -> None:
    wait([sentinel])
    os.kill(os.getpid(), signal.SIGKILL)
