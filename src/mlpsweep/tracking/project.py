"""One project among others on a machine or a server: its folder and id, and which runs are at work; asks no store."""

import contextlib
import fcntl
import json
import os
import re
import socket
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

from mlpsweep.errors import StorageError
from mlpsweep.files import open_part

ID: Final = Path("mlruns", ".project")
RUNNING: Final = Path("mlruns", ".running")
GATE: Final = ".gate"
"""A file of ``RUNNING`` that is no run: held while a run is created, until its own lock is taken."""


def work_tree(folder: Path | None = None) -> Path:
    """Return the folder that holds the stores: the current one, or the main tree of a DVC experiment's copy."""
    folder = (folder or Path.cwd()).resolve()
    parts = folder.parts
    for i in range(len(parts) - 1):
        if parts[i : i + 2] == (".dvc", "tmp"):
            return Path(*parts[:i])
    return folder


def project_id(root: Path) -> str:
    """Return the project's random id, 32 hexadecimal digits, made at first use in ``mlruns/.project``.

    Raises
    ------
    StorageError
        If the file holds something else.
    """
    file = root / ID
    if not file.exists():
        _make_id(file)
    known = file.read_text(errors="replace").strip()
    if not re.fullmatch("[0-9a-f]{32}", known):
        raise StorageError(
            f"{file}: {known[:40]!r}; expected an id of 32 hexadecimal digits. Delete it: a new one is made"
        )
    return known


def _make_id(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with open_part(file) as (stream, temporary):
        stream.write(f"{uuid.uuid4().hex}\n".encode())
        stream.flush()
        # Of several processes that start at once the first one names the project.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, file)


def project_tags(root: Path) -> dict[str, str]:
    """Return the tags by which a run is known as this project's, on this host.

    A copy of the project has its id too; the folder tells where the lock of a run that is at work lies.
    """
    return {"project": project_id(root), "project_folder": str(root), "host": socket.gethostname()}


def place_of(folder: Path) -> str:
    """Return a folder as a run tells it: relative to the project if it lies in there, so that both may move."""
    root, place = work_tree(), folder.resolve()
    return str(place.relative_to(root) if place.is_relative_to(root) else place)


class RunningLock:
    """Shows that a run is at work, until it is released or the process ends, however it ends.

    Several processes may hold the lock of one run, such as the workers of a search that of its parent.

    Parameters
    ----------
    file : Path
        Made if it is not there.
    kind : int
        ``fcntl.LOCK_SH``, or ``fcntl.LOCK_EX`` for one holder at a time: the others wait.
    """

    def __init__(self, file: Path, kind: int = fcntl.LOCK_SH) -> None:
        self._file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        while True:
            # A bare descriptor: a run that is dropped without an end is at work until its process ends.
            self._descriptor: int | None = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
            fcntl.flock(self._descriptor, kind)
            if _is_at(self._descriptor, file):
                return
            os.close(self._descriptor)  # its last holder has just removed it

    def leave(self, note: Mapping[str, object]) -> None:
        """Write down what the next start shall know of the run, if this process ends before the release."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps(note).encode(), 0)

    def release(self) -> None:
        """Let go, and remove the file if nobody else holds it; a second time nothing happens."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            if _is_free(descriptor):
                self._file.unlink(missing_ok=True)
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def hold_running(run_id: str, root: Path) -> RunningLock:
    """Show that a run of the project in ``root`` is at work in this process; also a context manager."""
    return RunningLock(root / RUNNING / run_id)


def is_running(run_id: str, root: Path) -> bool:
    """Return whether a process holds the run."""
    try:
        with (root / RUNNING / run_id).open() as stream:
            return not _is_free(stream.fileno())
    except (FileNotFoundError, NotADirectoryError):
        return False


def left_running(root: Path) -> list[Path]:
    """Return the locks that no process holds any more."""
    files = sorted(file for file in (root / RUNNING).glob("[!.]*") if file.is_file())
    return [file for file in files if not is_running(file.name, root)]


def note_of(file: Path) -> Mapping[str, Any]:
    """Return what a process left in a run's lock; nothing if it ended without a word."""
    with contextlib.suppress(OSError, ValueError):
        note = json.loads(file.read_text())
        return note if isinstance(note, dict) else {}
    return {}


def remove_left(file: Path) -> None:
    """Remove a lock unless a process has taken it by now."""
    with contextlib.suppress(FileNotFoundError), file.open() as stream:
        if _is_free(stream.fileno()):
            file.unlink(missing_ok=True)


def in_turn(name: str, root: Path) -> RunningLock:
    """Go around a request that several processes of this host may make of the same run: one at a time."""
    return RunningLock(root / RUNNING / f".{name}", fcntl.LOCK_EX)


@contextlib.contextmanager
def starting(root: Path) -> Iterator[None]:
    """Go around the creation of a run and the taking of its lock: nobody takes it for abandoned in between."""
    with _gate(root, fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def judging(root: Path) -> Iterator[None]:
    """Go around the question which runs are abandoned; waits for those that are being created."""
    with _gate(root, fcntl.LOCK_EX):
        yield


@contextlib.contextmanager
def _gate(root: Path, kind: int) -> Iterator[None]:
    file = root / RUNNING / GATE
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as stream:
        fcntl.flock(stream, kind)
        yield


def _is_at(descriptor: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def _is_free(descriptor: int) -> bool:
    """Return whether no other process has the file locked; it is then locked by us until it is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
