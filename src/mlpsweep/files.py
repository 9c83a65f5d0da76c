"""Files that are whole or absent: atomic writes, readers that say what is wrong, checksums and locks.

No formats beyond JSON.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from mlpsweep.errors import DataError, DataFormatError, MlpsweepError, StorageError, reason_of


@contextlib.contextmanager
def open_atomic(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside ``path`` that takes its place when the block ends without an exception.

    Missing parent folders are made. The bytes and the folder entry are on the disk before this returns.

    Raises
    ------
    OSError
        If the folder cannot be written; ``path`` is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, whole or not at all."""
    with open_atomic(path) as stream:
        stream.write(data)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON with sorted keys, atomically.

    Raises
    ------
    ValueError
        If ``value`` holds NaN or an infinity, which JSON does not know.
    """
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_atomic(path, f"{text}\n".encode())


@contextlib.contextmanager
def storage_errors(place: Path | str, expected: str, kinds: tuple[type[Exception], ...] = (OSError,)) -> Iterator[None]:
    """Turn what a file system or a database says inside the block into an error with an exit code of its own.

    Parameters
    ----------
    place : Path or str
        The folder, file or address, fit to be shown; an error that names its own file is told with that.
    expected : str
        Follows "expected" in the message: what should be there, then how to put it right.
    kinds : tuple of exception classes
        What is translated.

    Raises
    ------
    StorageError
        For one of ``kinds``; our own exceptions pass.
    """
    try:
        yield
    except MlpsweepError:
        raise
    except kinds as error:
        named = getattr(error, "filename", None) or place
        raise StorageError(f"{named}: {reason_of(error)}; expected {expected}") from error


FOLDER_WANTED: Final = "a folder that can be written, with room in it. Free some space or mend its permissions"
MAKE_AGAIN: Final = "`dvc repro` makes it."


def read_bytes(path: Path, remedy: str = MAKE_AGAIN) -> bytes:
    """Return the bytes of a file that people may have moved, edited or damaged.

    Parameters
    ----------
    path : Path
    remedy : str
        A sentence that says how to get the file back.

    Raises
    ------
    DataError
        If there is no such file.
    DataFormatError
        If it is no regular file; a pipe would be waited for without end.
    StorageError
        If it cannot be read.
    """
    with storage_errors(path, "a file that can be read. Mend its permissions"):
        try:
            if path.exists() and not path.is_file():
                raise DataFormatError(f"{path}: not a regular file; expected one. Remove it. {remedy}")
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise DataError(f"{path}: no such file. {remedy}") from error


def read_text(path: Path, remedy: str = MAKE_AGAIN) -> str:
    """Return the text of a UTF-8 file; as :func:`read_bytes`.

    Raises
    ------
    DataFormatError
        If it is not UTF-8, too.
    """
    try:
        return read_bytes(path, remedy).decode()
    except UnicodeDecodeError as error:
        raise DataFormatError(f"{path}: not UTF-8 ({error}). Delete it. {remedy}") from error


def read_json(path: Path, remedy: str = MAKE_AGAIN) -> Any:
    """Return the value of a JSON file; as :func:`read_bytes`.

    Raises
    ------
    DataFormatError
        If it is not JSON, too.
    """
    try:
        return json.loads(read_bytes(path, remedy))
    except (ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataFormatError(f"{path}: not JSON ({error}). Delete it. {remedy}") from error


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive ``flock`` on ``path``; the kernel lets it go when this process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        lock(stream)
        yield


@contextlib.contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Yield whether nobody else held the lock of ``path``; it is then held inside the block, as in :func:`locked`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        yield lock(stream, wait=False)


def lock(stream: IO[Any], *, wait: bool = True) -> bool:
    """Take the exclusive ``flock`` of an open file; return False if another process has it and we do not wait."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def beside(folder: Path, ending: str) -> Path:
    """Return what has a folder's name with ``ending`` behind it, and lies beside it, also if it is typed as ``.``."""
    named = folder if folder.name not in ("", "..") else folder.resolve()
    return named.with_name(f"{named.name}{ending}")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
