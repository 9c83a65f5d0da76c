"""Who is alive: a worker holds a lock that the kernel lets go at its death, however it dies."""

import contextlib
import fcntl
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def worker_id(folder: Path) -> Iterator[str]:
    """Hold a new worker's ``flock`` in ``folder`` and yield its name; no name is ever used twice.

    The file descriptor is not inherited by programs that the worker starts; a plain ``fork`` would keep the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = uuid.uuid4().hex[:12]
    file = folder / f"{name}.lock"
    with (folder / f".{name}").open("x") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        # It gets its name when it is locked: nobody can see it and take its owner for dead.
        Path(stream.name).rename(file)
        try:
            yield name
        finally:
            file.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove the locks of dead workers."""
    for file in folder.glob("*.lock"):
        is_alive(folder, file.stem)


def is_alive(folder: Path, name: str | None) -> bool:
    """Return whether the worker called ``name`` still holds its lock; a dead one's file is removed."""
    if name is None:
        return False
    file = folder / f"{name}.lock"
    try:
        with file.open("r") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    file.unlink(missing_ok=True)
    return False
