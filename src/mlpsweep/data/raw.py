"""Raw files as streams of their contents, whether plain, packed or in a zip archive; and arrays read piece by piece."""

import contextlib
import hashlib
import io
import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from mlpsweep.data.local import DAMAGED, PACKINGS
from mlpsweep.errors import DataError, DataFormatError, quoted, reason_of
from mlpsweep.files import sha256_file, storage_errors

PIECE_BYTES: Final = 1 << 20
"""Rows that are read at once take about so much memory, whatever the size of their file."""
MAX_ROW_BYTES: Final = 10**8
READABLE: Final = "a file that can be read. Mend its permissions"


class _Contents(io.RawIOBase):
    """A stream whose damage is told as a DataFormatError, wherever it is met."""

    def __init__(self, stream: IO[bytes], source: str) -> None:
        self._stream, self._source, self._n_read = stream, source, 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._n_read

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except DAMAGED as error:
            raise DataFormatError(
                f"{self._source}: damaged data after {self._n_read:,} bytes ({reason_of(error)}); expected more, or an "
                "end. Put a whole file in its place"
            ) from error
        buffer[: len(data)] = data
        self._n_read += len(data)
        return len(data)


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file as somebody left it, one in a zip archive, or a folder of files.

    Parameters
    ----------
    path : Path
        The file, archive or folder.
    member : str or None
        Name in the archive.
    """

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return str(self.path if self.member is None else self.path / self.member)

    @contextlib.contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open the contents, unpacked.

        Raises
        ------
        DataError
            If there is no such file. While reading: a DataFormatError, if the bytes are damaged.
        """
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(self._stored())
            head = self._head(stream)
            unpack = next((unpack for magic, unpack in PACKINGS if head.startswith(magic)), None)
            if unpack is not None:
                stream = stack.enter_context(unpack(stream))
            yield io.BufferedReader(_Contents(stream, str(self)), PIECE_BYTES)

    def sha256(self) -> str:
        """Return the SHA-256 of the bytes as they are stored; of a folder, over the names and bytes of its files."""
        if self.path.is_dir():
            lines = (f"{path.relative_to(self.path).as_posix()}\0{sha256_file(path)}\n" for path in tree(self.path))
            return hashlib.sha256("".join(lines).encode()).hexdigest()
        with self._stored() as stream:
            contents = io.BufferedReader(_Contents(stream, str(self)), PIECE_BYTES)
            return hashlib.file_digest(contents, "sha256").hexdigest()

    @contextlib.contextmanager
    def _stored(self) -> Iterator[IO[bytes]]:
        if not self.path.is_file():
            state = "not a regular file" if self.path.exists() else "no such file"
            raise DataError(f"{self.path}: {state}; expected the data. Put it there, or set data.path")
        with contextlib.ExitStack() as stack:
            with storage_errors(self.path, READABLE):
                stream: IO[bytes] = stack.enter_context(self.path.open("rb"))
            yield stream if self.member is None else stack.enter_context(self._unzipped(stream))

    def _head(self, stream: IO[bytes]) -> bytes:
        """Return the first bytes of a stream, which is then at its beginning again."""
        try:
            head = stream.read(6)
            stream.seek(0)
        except DAMAGED as error:
            raise DataFormatError(f"{self}: damaged data ({reason_of(error)}); expected a file. Replace it") from error
        return head

    def _unzipped(self, stream: IO[bytes]) -> IO[bytes]:
        try:
            archive = zipfile.ZipFile(stream)
            return archive.open(self.member or "")
        except KeyError as error:
            names = ", ".join(archive.namelist()[:20])
            raise DataError(f"{self.path}: no file {quoted(self.member)} in it; expected one of {names}") from error
        except DAMAGED as error:
            told = f"not a zip archive that can be read ({reason_of(error)})"
            raise DataFormatError(f"{self.path}: {told}; expected one. Put a whole file in its place") from error


def tree(folder: Path) -> list[Path]:
    """Return the files below a folder, by path, without hidden ones."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if not any(p.startswith(".") for p in path.relative_to(folder).parts))


@dataclass(frozen=True, slots=True)
class StoredArray:
    """An array in a file, which is never in memory as a whole.

    Parameters
    ----------
    file : RawFile
        The file.
    offset : int
        Bytes of its header.
    dtype : dtype
        Type of the numbers.
    shape : tuple of int
        Shape as the header says; rows are counted along its first axis.
    hint : str
        How a message about it ends.
    """

    file: RawFile
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    hint: str

    def pieces(self) -> Iterator[npt.NDArray[Any]]:
        """Yield consecutive rows, some at a time.

        Raises
        ------
        DataFormatError
            If there are more or fewer bytes than the header promises.
        """
        row_bytes = self.dtype.itemsize * math.prod(self.shape[1:])
        if not 0 < row_bytes <= MAX_ROW_BYTES or not self.shape[0]:
            raise DataFormatError(
                f"{self.file}: shape {self.shape}; expected one sample at least, and 1 .. {MAX_ROW_BYTES:,} bytes in "
                f"each. {self.hint}"
            )
        at_a_time = max(1, PIECE_BYTES // row_bytes)
        n_bytes = self.offset + self.shape[0] * row_bytes
        with self.file.open() as stream:
            n_read = len(stream.read(self.offset))
            for first in range(0, self.shape[0], at_a_time):
                n_rows = min(at_a_time, self.shape[0] - first)
                data = stream.read(n_rows * row_bytes)
                n_read += len(data)
                if len(data) < n_rows * row_bytes:
                    raise self._wrong_size(str(n_read), n_bytes)
                yield np.frombuffer(data, self.dtype).reshape(n_rows, *self.shape[1:])
            if stream.read(1):
                raise self._wrong_size(f"more than {n_bytes}", n_bytes)

    def whole(self) -> npt.NDArray[Any]:
        """Return the array; memory grows with the bytes that are there, not with what the header promises."""
        return np.concatenate(list(self.pieces()))

    def _wrong_size(self, amount: str, n_bytes: int) -> DataFormatError:
        promised = f"expected {n_bytes}, because the header promises shape {self.shape}"
        return DataFormatError(f"{self.file}: holds {amount} bytes; {promised}. {self.hint}")
