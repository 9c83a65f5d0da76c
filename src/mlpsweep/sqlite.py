"""Whether a SQLite database is whole, asked before any library opens it to write; knows no tables."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

from mlpsweep.errors import StorageError

PREFIX: Final = "sqlite:///"
PATIENCE_S: Final = 120
"""How long other writers are waited for."""

REMEDY: Final = "Put a backup in its place, or move it away to start a new one"


def check_sqlite(url: str) -> None:
    """Refuse a database that is damaged, or a place that can hold none; nothing is written.

    Parameters
    ----------
    url : str
        ``sqlite:///<file>``; other addresses and files that are not there yet are passed.

    Raises
    ------
    StorageError
        If what lies there is no database, or a damaged one. Its file is left as it is.
    """
    path = Path(url.removeprefix(PREFIX).partition("?")[0])
    if not url.startswith(PREFIX) or not (path.exists() or path.is_symlink()):
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
