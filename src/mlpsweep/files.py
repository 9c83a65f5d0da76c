"""Reading and writing files: atomic writes, readers with helpful errors, JSON, checksums and locks."""

import contextlib
import fcntl
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from mlpsweep.errors import DataError, DataFormatError, MlpsweepError, SettingsError, StorageError, reason_of

PARTS: Final = ".*.????????.part"
"""Names of temporary files, as a pattern."""


@contextlib.contextmanager
def open_atomic(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that replaces ``path`` when the block ends without an exception.

    Missing parent folders are created. The bytes and the folder entry are on the disk when the block is left. What
    killed writers left in the folder is removed.

    Raises
    ------
    OSError
        If the folder cannot be written; ``path`` then stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    with open_part(path) as (stream, temporary):
        yield stream
        stream.flush()
        os.fsync(stream.fileno())
        os.fchmod(stream.fileno(), 0o666 & ~_umask())
        os.replace(temporary, path)
    _sync_folder(path.parent)


@contextlib.contextmanager
def open_part(path: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """Open a temporary file beside ``path``, and remove it after the block if it has not got another name.

    The file is locked inside the block: a part that nobody holds has lost its writer.
    """
    while True:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        with os.fdopen(descriptor, "wb") as stream:
            lock(stream)
            temporary = Path(name)
            if not temporary.exists():  # it was swept before it was locked
                continue
            try:
                yield stream, temporary
            finally:
                temporary.unlink(missing_ok=True)
            return


def left_parts(folder: Path, *, recursive: bool = False) -> Iterator[Path]:
    """Yield the temporary files of writers that were killed."""
    for path in sorted(folder.rglob(PARTS) if recursive else folder.glob(PARTS)):
        with contextlib.suppress(OSError):  # it has got its name by now, or is another user's
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as stream:
                    if lock(stream, wait=False):
                        yield path


def sweep(folder: Path) -> None:
    """Remove the temporary files of writers that were killed."""
    for path in left_parts(folder):
        with contextlib.suppress(OSError):
            path.unlink()


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, whole or not at all.

    Raises
    ------
    OSError
        If the folder cannot be written; ``path`` then stays as it was.
    """
    with open_atomic(path) as stream:
        stream.write(data)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON with sorted keys, atomically.

    Raises
    ------
    ValueError
        If ``value`` holds NaN or an infinity, which JSON does not know.
    OSError
        If the folder cannot be written.
    """
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_atomic(path, f"{text}\n".encode())


@contextlib.contextmanager
def storage_errors(place: Path | str, expected: str, kinds: tuple[type[Exception], ...] = (OSError,)) -> Iterator[None]:
    """Turn an error of the file system or a database inside the block into a StorageError.

    Parameters
    ----------
    place : Path or str
        The folder, file or address, without a password; an error that names a file is reported with that file.
    expected : str
        Text after "expected" in the message: the expected state, then its remedy.
    kinds : tuple of exception classes
        Exceptions to translate.

    Raises
    ------
    StorageError
        For an exception of ``kinds``; an ``MlpsweepError`` passes unchanged.
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
        The file.
    remedy : str
        Sentence that says how to get the file back.

    Raises
    ------
    DataError
        If the file does not exist.
    DataFormatError
        If the path is not a regular file; reading a pipe could wait for ever.
    StorageError
        If the file cannot be read.
    """
    with storage_errors(path, "a file that can be read. Mend its permissions"):
        try:
            if path.exists() and not path.is_file():
                raise DataFormatError(f"{path}: not a regular file; expected one. Remove it. {remedy}")
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise DataError(f"{path}: no such file. {remedy}") from error


def read_text(path: Path, remedy: str = MAKE_AGAIN) -> str:
    """Return the text of a UTF-8 file; the parameters are those of :func:`read_bytes`.

    Raises
    ------
    DataFormatError
        If the file is not UTF-8; further errors are those of :func:`read_bytes`.
    """
    try:
        return read_bytes(path, remedy).decode()
    except UnicodeDecodeError as error:
        raise DataFormatError(f"{path}: not UTF-8 ({error}). Delete it. {remedy}") from error


def read_json(path: Path, remedy: str = MAKE_AGAIN) -> Any:
    """Return the value of a JSON file; the parameters are those of :func:`read_bytes`.

    Raises
    ------
    DataFormatError
        If the file is not JSON, or holds NaN, an infinity or a number beyond all floats; further errors are those of
        :func:`read_bytes`.
    """
    try:
        content = read_bytes(path, remedy)
        return json.loads(content, parse_constant=_finite, parse_float=_finite, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataFormatError(f"{path}: not JSON ({error}). Delete it. {remedy}") from error


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text[:40]} is no finite number")
    return number


def _integer(text: str) -> int:
    _finite(text)
    return int(text)


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive ``flock`` on ``path`` inside the block; the kernel releases it if the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        lock(stream)
        yield


def lock(stream: IO[Any], *, wait: bool = True) -> bool:
    """Take the exclusive ``flock`` of an open file; without ``wait``, return False if another process holds it."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def beside(folder: Path, ending: str) -> Path:
    """Return what has a folder's name with ``ending`` behind it, and lies beside it, also if it is typed as ``.``.

    Raises
    ------
    SettingsError
        If the folder is the file system's root, which nothing lies beside.
    """
    named = folder if folder.name not in ("", "..") else folder.resolve()
    if not named.name:
        raise SettingsError(f"{folder}: the root of all files; expected a folder below it. Example: outputs/mine")
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
