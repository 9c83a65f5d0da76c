"""Which workers live: each holds a lock that the kernel releases at its death, however it dies."""

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

from mlpsweep.files import lock


@contextlib.contextmanager
def worker_id(folder: Path) -> Iterator[str]:
    """Hold the lock of a new worker in ``folder`` and yield the worker's name; no name is ever used twice.

    The file descriptor is not inherited by programs that the worker starts; a plain ``fork`` would keep the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = uuid.uuid4().hex[:12]
    file = folder / f"{name}.lock"
    with (folder / f".{name}").open("x") as stream:
        lock(stream)
        # The file gets its name once it is locked, so that nobody sees it and takes its owner for dead.
        Path(stream.name).rename(file)
        try:
            yield name
        finally:
            file.unlink(missing_ok=True)


def remove_stale(folder: Path) -> None:
    """Remove the locks of dead workers."""
    for file in folder.glob("*.lock"):
        is_alive(folder, file.stem)


def is_held(file: Path) -> bool:
    """Return whether a process holds a lock; its file stays."""
    try:
        with file.open("r") as stream:
            return not lock(stream, wait=False)
    except FileNotFoundError:
        return False


def is_alive(folder: Path, name: str | None) -> bool:
    """Return whether the worker called ``name`` still holds its lock; a dead one's file is removed."""
    if name is None:
        return False
    file = folder / f"{name}.lock"
    try:
        with file.open("r") as stream:
            if not lock(stream, wait=False):
                return True
    except FileNotFoundError:
        return False
    file.unlink(missing_ok=True)
    return False
