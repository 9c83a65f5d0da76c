"""The artifacts of a project that was moved or copied: MLflow stores absolute paths and has no call to change one.

The one use of MLflow's own tables. Only a SQLite file of a schema that was looked at is written, never a server's.
"""

import contextlib
import os
import sqlite3
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from mlpsweep.errors import StorageError
from mlpsweep.files import storage_errors

SQLITE: Final = "sqlite:///"
SCHEMAS: Final = frozenset({"dc11669786a5"})
"""Versions of MLflow's schema, as its table ``alembic_version`` names them, whose tables were looked at: 3.17."""
COLUMNS: Final = (
    ("experiments", "artifact_location", "experiment_id"),
    ("runs", "artifact_uri", "experiment_id"),
    ("logged_models", "artifact_location", "experiment_id"),
    ("model_versions", "source", None),
    ("model_versions", "storage_location", None),
)
"""Table, column with a path, and the column that names the experiment; a path alone tells whose a version is."""
TIMEOUT_S: Final = 120


def store_file(uri: str) -> Path | None:
    """Return the file of a store, or None for one that is no SQLite file."""
    return Path(uri.removeprefix(SQLITE).partition("?")[0]) if uri.startswith(SQLITE) else None


def is_misplaced(uri: str, location: str | None, root: Path) -> bool:
    """Return whether an experiment's artifacts are looked for where another place of this project was or is.

    Parameters
    ----------
    uri : str
        Address of the store.
    location : str or None
        Where the experiment's artifacts are; one that no project of ours chose is left alone.
    root : Path
        Folder of this project.
    """
    file, folder = store_file(uri), _local(location or "")
    if file is None or folder is None or folder.parent.name != "mlruns":
        return False
    if folder.is_relative_to(root) or folder.resolve().is_relative_to(root.resolve()):
        return False
    # A store outside the project may be shared with the project that still lies there.
    return file.resolve().is_relative_to(root.resolve()) or not folder.parent.parent.exists()


def location_fault(uri: str, name: str, location: str | None, root: Path) -> str | None:
    """Return what to say of an experiment whose artifacts go where this project was, or was copied from."""
    if not is_misplaced(uri, location, root):
        return None
    return (
        f"mlruns: the artifacts of experiment {name!r} are stored in {location}; expected {_beside(location, root)}, "
        "because the project lies here now. If it was moved or copied: python -m pipeline.doctor fix=true"
    )


def relocate(uri: str, locations: Mapping[str, str], root: Path) -> Path:
    """Let experiments' artifacts be looked for in this project, and return the copy of the store made before.

    Parameters
    ----------
    uri : str
        Address of the store, a SQLite file.
    locations : mapping of str to str
        By id of the experiment, where its artifacts are looked for now.
    root : Path
        Folder of this project.

    Raises
    ------
    StorageError
        If the file's schema is not known, or it cannot be copied or written; it is then as it was.
    """
    file = store_file(uri)
    if file is None:
        raise StorageError("tracking.uri: a server; expected a SQLite file. A server's artifacts stay where they are")
    expected = "MLflow's store as a SQLite file that can be written, with room for a copy beside it"
    with storage_errors(file, expected, (sqlite3.Error, OSError)), _writing(file) as store:
        versions = {row[0] for row in store.execute("select version_num from alembic_version")}
        if not versions <= SCHEMAS or not versions:
            raise StorageError(
                f"{file}: MLflow's schema is {', '.join(map(str, versions)) or 'not named'}; expected "
                f"{', '.join(SCHEMAS)}, whose tables are known. Install mlflow 3.17, or move the project back"
            )
        copy = _copied(file)
        for experiment_id, location in locations.items():
            _repoint(store, experiment_id, location.rstrip("/"), _beside(location, root))
    return copy


def _repoint(store: sqlite3.Connection, experiment_id: str, old: str, new: str) -> None:
    """Put ``new`` in the place of ``old`` at the head of every path of an experiment."""
    for table, column, owner in COLUMNS:
        narrowed = f" and {owner} = :experiment" if owner else ""
        store.execute(
            # Names of COLUMNS only; what comes from outside are parameters.
            f"update {table} set {column} = :new || substr({column}, length(:old) + 1) "  # noqa: S608
            f"where ({column} = :old or substr({column}, 1, length(:old) + 1) = :old || '/'){narrowed}",
            {"old": old, "new": new, "experiment": int(experiment_id)},
        )


@contextlib.contextmanager
def _writing(file: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection inside a transaction that holds the write lock; it is undone if the block raises."""
    store = sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True, timeout=TIMEOUT_S, isolation_level=None)
    with contextlib.closing(store):
        store.execute("begin immediate")
        try:
            yield store
        except BaseException:
            store.rollback()
            raise
        store.commit()


def _copied(file: Path) -> Path:
    """Copy the store beside itself, under a name that is free, for its owner only."""
    number, copy = 1, file.with_name(f"{file.name}.before-move")
    while copy.exists():
        number, copy = number + 1, file.with_name(f"{file.name}.before-move-{number + 1}")
    os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with contextlib.closing(sqlite3.connect(file)) as source, contextlib.closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def _local(location: str) -> Path | None:
    """Return the folder that a location names on this machine, or None for one elsewhere."""
    parts = urllib.parse.urlsplit(location)
    if parts.scheme == "file":
        return Path(urllib.parse.unquote(parts.path))
    return Path(location) if location.startswith("/") else None


def _beside(location: str | None, root: Path) -> str:
    """Return where the artifacts belong: the same name in this project's ``mlruns``, written as the former one was."""
    place = root / "mlruns" / Path(str(_local(location or ""))).name
    return place.as_uri() if (location or "").startswith("file:") else str(place)
