"""The door ``doctor`` at work on a project that is not well: what it must tell, mend, and leave."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

from tests.pipeline.doors import door, repoint, tracked

STATUSES = "select status, count(*) from runs group by status"
POINTS = "select run_uuid, key, step, count(*) from metrics group by 1, 2, 3 order by 1, 2, 3"
WELL = (0, "doctor: all is well\n", "")


def doctor(folder: Path, *words: str, **environment: str) -> tuple[int, str, str]:
    done = door(folder, "doctor", *words, **environment)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def is_mended(folder: Path, *named: str, store: Path | None = None, **environment: str) -> None:
    """Check that doctor tells of something, changes nothing unless asked to, mends it, and finds nothing then.

    The store lies in the folder, or in ``store`` behind a server that the environment names.
    """
    before = tracked(store or folder, STATUSES)
    code, table, fault = doctor(folder, **environment)
    assert (code, tracked(store or folder, STATUSES)) == (5, before)
    assert "python -m pipeline.doctor fix=true" in fault
    assert max(map(len, table.splitlines())) <= 80
    assert all(word in table for name in named for word in name.split()), table
    code, table, fault = doctor(folder, "fix=true", **environment)
    assert (code, fault) == (0, ""), table
    assert "fixed" in table
    assert doctor(folder, **environment) == WELL
    assert doctor(folder, "fix=true", **environment) == WELL


def change(folder: Path, *statements: str, database: str = "mlflow.db") -> None:
    with contextlib.closing(sqlite3.connect(folder / database)) as store, store:
        for statement in statements:
            assert store.execute(statement).rowcount


def copied(folder: Path, copy: Path) -> Path:
    """Return a copy of a project that looks for its artifacts in itself."""
    return repoint(shutil.copytree(folder, copy))
