"""Files of a folder on this machine, known by their contents: whatever they are called, and however they are packed."""

import bz2
import contextlib
import gzip
import hashlib
import lzma
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final

from mlpsweep.data.http import MirrorFault
from mlpsweep.data.source import DataFile
from mlpsweep.files import open_atomic, sha256_file, write_atomic

# How a packed file begins, and what unpacks it.
PACKINGS: Final[tuple[tuple[bytes, Callable[[Any], Any]], ...]] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\x00", lzma.open),
)
DAMAGED: Final = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


def take(file: DataFile, place: Path, raw: Path) -> Path:
    """Copy one file of a data set from the folder ``place`` into ``raw``, and return what was written.

    The file as it is downloaded is copied as it is, whatever its name. Else its contents are written, unpacked, so that
    the bytes do not depend on who packed them. Files lie in ``place`` or in a folder of it; pipes are not opened.

    Raises
    ------
    MirrorFault
        If there is no such folder, or no file of it holds the contents.
    OSError
        If ``raw`` cannot be written.
    """
    if not place.is_dir():
        raise MirrorFault("no such folder", was_reached=False)
    candidates = _candidates(place, file)
    for path in candidates:
        if path.stat().st_size <= file.max_bytes and _is_wanted(path, file):
            with path.open("rb") as stream, open_atomic(raw / file.name) as copy:
                shutil.copyfileobj(stream, copy)
            return raw / file.name
    for contents in (contents for path in candidates if file.contents_sha256 for contents in _unpacked(path, file)):
        if hashlib.sha256(contents).hexdigest() == file.contents_sha256:
            write_atomic(raw / file.unpacked_name, contents)
            return raw / file.unpacked_name
    raise MirrorFault(_reason(file, place / file.name), was_reached=True)


def _is_wanted(path: Path, file: DataFile) -> bool:
    """Tell whether a file is the one that is downloaded; without a checksum it is known by its name."""
    return path.name == file.name if file.sha256 is None else sha256_file(path) == file.sha256


def _candidates(place: Path, file: DataFile) -> list[Path]:
    """Return the files that may be the wanted one, by name, the one of the right name first."""
    found: set[Path] = set()
    for folder in (place, *place.glob("*/")):
        with contextlib.suppress(OSError):
            found |= {path for path in folder.iterdir() if _may_be(path, file)}
    return sorted(found, key=lambda path: (path.name != file.name, path))


def _may_be(path: Path, file: DataFile) -> bool:
    if path.name.startswith(".") or not path.is_file():
        return False
    with contextlib.suppress(OSError), path.open("rb") as stream:
        head = stream.read(6)
        is_packed = head.startswith(tuple(magic for magic, _ in PACKINGS)) or zipfile.is_zipfile(path)
        return is_packed or path.name == file.name or path.stat().st_size == file.n_bytes
    return False


def _unpacked(path: Path, file: DataFile) -> Iterator[bytes]:
    """Yield each contents of a file, or of an archive's members, that have the right size."""
    # A damaged archive holds nothing; the others may.
    with contextlib.suppress(*DAMAGED):
        for stream in _streams(path):
            with stream:
                contents = stream.read(file.max_bytes + 1)
            if file.n_bytes in (None, len(contents)):
                yield contents


def _streams(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as stream:
        head = stream.read(6)
    opened = next((unpack for magic, unpack in PACKINGS if head.startswith(magic)), None)
    if opened is None and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                yield archive.open(member)
        return
    yield opened(path) if opened else path.open("rb")


def _reason(file: DataFile, path: Path) -> str:
    """Return why the file of the right name is not the wanted one."""
    if path.is_file():
        found = f"{path.stat().st_size:,} bytes with SHA-256 {sha256_file(path)}"
        return f"wrong contents, {found} instead of {file.sha256}"
    state = "not a regular file" if path.exists() else "No such file or directory"
    return f"{file.name}: {state}, and no other file here has its contents"
