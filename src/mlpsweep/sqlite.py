"""SQLite databases before any library opens them to write: whole, and for their owner only; knows no tables."""

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

from mlpsweep.errors import StorageError

PREFIX: Final = "sqlite:///"
PATIENCE_S: Final = 120
"""How long other writers are waited for."""

REMEDY: Final = "Put a backup in its place, or move it away to start a new one"


SIDECARS: Final = ("", "-journal", "-wal", "-shm")
"""Endings of a database and of what SQLite keeps beside it; a new one there gets the database's permissions."""


def check_sqlite(url: str) -> None:
    """Refuse a database that is damaged, or a place that can hold none; nobody but its owner may read it from now on.

    One that is not there yet is made empty, so that it is private before anything is in it.

    Parameters
    ----------
    url : str
        ``sqlite:///<file>``; other addresses are passed.

    Raises
    ------
    StorageError
        If what lies there is no database, or a damaged one. Its file is left as it is.
    """
    path = Path(url.removeprefix(PREFIX).partition("?")[0])
    if not url.startswith(PREFIX) or url.startswith(f"{PREFIX}file:"):
        return
    if not (path.exists() or path.is_symlink()):
        with contextlib.suppress(OSError):  # no folder, or no permission: whoever opens it tells
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        return
    if not path.is_file():
        raise StorageError(f"{path}: unable to open database file, it is no regular file. Move it away")
    # Opened to be written, so that SQLite takes back what a killed process left half done; the check itself reads.
    address = f"file:{quote(str(path.absolute()))}?mode=rw"
    try:
        with contextlib.closing(sqlite3.connect(address, PATIENCE_S, uri=True)) as connection:
            verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise StorageError(f"{path}: damaged ({error}). {REMEDY}") from error
    if verdict != "ok":
        raise StorageError(f"{path}: damaged ({' '.join(verdict.split())}). {REMEDY}")
    for ending in SIDECARS:
        file = path.with_name(f"{path.name}{ending}")
        with contextlib.suppress(OSError):  # not there, or another user's
            file.chmod(file.stat().st_mode & 0o700)
