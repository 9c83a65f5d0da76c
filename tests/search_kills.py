"""Deaths inside one process: a worker's life ends before or after its n-th write, and nothing of it is cleaned up."""

import dataclasses
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from optuna.storages import RDBStorage

from mlpsweep.search import claims, worker
from mlpsweep.search.database import Database
from mlpsweep.search.kinds import KINDS
from mlpsweep.search.settings import SearchSettings
from mlpsweep.search.study import Study
from mlpsweep.training import folder
from mlpsweep.training.checkpoint import CheckpointStore
from tests.search_lab import Book, Page, make_services


class Killed(BaseException):
    """No handler of the product's may know it, as none knows SIGKILL."""


class Hasty(sqlite3.Connection):
    """A connection that leaves it to the system when to write."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.execute("PRAGMA synchronous = OFF")


_SQLITE = KINDS["sqlite"]
HASTE = dataclasses.replace(_SQLITE, arguments={**_SQLITE.arguments, "connect_args": {"factory": Hasty}})
# What a worker writes to Optuna, each in a transaction of its own.
TOLD = ("create_new_trial", "set_trial_param", "set_trial_intermediate_value", "set_trial_user_attr")
TOLD += ("set_trial_system_attr", "set_trial_state_values")


class Reaper:
    """Counts points, two around each write, and kills at one of them; ``at_each`` sees every one."""

    def __init__(self, at_each: Callable[[], object] = lambda: None) -> None:
        self.passed, self.fatal, self.at_each = 0, -1, at_each

    def arm(self, after: int) -> None:
        """Kill at the point that is ``after`` points away; 0 is the next one."""
        self.passed, self.fatal = 0, after

    def point(self) -> None:
        self.passed += 1
        self.at_each()
        if self.passed - 1 == self.fatal:
            raise Killed

    def around(self, function: Any) -> Any:
        def write(*arguments: Any, **named: Any) -> Any:
            self.point()
            result = function(*arguments, **named)
            self.point()
            return result

        return write

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put points around each write to the database, a checkpoint, a file and the tracker."""
        # The machine does not fail here, only the worker: what is written need not reach the disk.
        monkeypatch.setattr("os.fsync", lambda descriptor: None)
        monkeypatch.setitem(KINDS, "sqlite", HASTE)  # type: ignore[arg-type]
        # Every life is lived in this process: whoever has a slot is a former life.
        monkeypatch.setattr(claims, "is_gone", lambda owner: True)
        # Each write to Optuna is a point of its own, however short the trial.
        monkeypatch.setattr("mlpsweep.search.ledger.SHOWN_AFTER_S", 0.0)
        run = Database.run

        def fatal(database: Database, work: Callable[[Any], Any]) -> Any:
            writes = []

            def whole(connection: Any) -> Any:
                result = work(connection)
                writes.append(connection.connection.dbapi_connection.in_transaction)
                if writes[-1]:
                    self.point()  # before the commit: the rollback is what the kernel's end of the process does
                return result

            result = run(database, whole)
            if writes[-1]:
                self.point()
            return result

        monkeypatch.setattr(Database, "run", fatal)
        for owner, name in (
            *((RDBStorage, name) for name in TOLD),
            (CheckpointStore, "save"),
            (CheckpointStore, "clear"),
            (folder, "write_atomic"),
            (Book, "open_trial"),
            (Page, "log_epoch"),
            (Page, "close"),
        ):
            monkeypatch.setattr(owner, name, self.around(getattr(owner, name)))


def live_until_done(study: Study, settings: SearchSettings, book: Book, reaper: Reaper, lives: Iterator[int]) -> int:
    """Run worker after worker, each killed after its number of points, until one comes through; return the deaths."""
    deaths = 0
    for after in lives:
        reaper.arm(after)
        try:
            worker.work(study, settings, make_services(book=book))
        except Killed:
            deaths += 1
        else:
            return deaths
    raise AssertionError("the lives did not suffice")
