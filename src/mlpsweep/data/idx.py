"""The IDX format of MNIST: parsing, with every byte of the header checked, and encoding."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mlpsweep.errors import DataError, DataFormatError

UNSIGNED_BYTE = b"\x00\x00\x08"
GZIP_MAGIC = b"\x1f\x8b"
HINT = "Run `dvc repro -f download`; if that changes nothing, data.files in conf/data/ describes another file."


def parse_idx(raw: bytes, source: str) -> npt.NDArray[np.uint8]:
    """Return the array that an uncompressed IDX file of unsigned bytes holds.

    Parameters
    ----------
    raw : bytes
        Content of the whole file.
    source : str
        Name of the file, for messages.

    Returns
    -------
    ndarray of uint8, of the shape in the header
        A read-only view of ``raw``.

    Raises
    ------
    DataFormatError
        If the magic number is wrong, or the header promises more or fewer bytes than the file has.
    """
    if raw[:3] != UNSIGNED_BYTE:
        hint = "it is still gzipped" if raw[:2] == GZIP_MAGIC else f"it starts with {raw[:4].hex() or 'nothing'}"
        raise DataFormatError(f"{source}: {hint}; expected an IDX file of unsigned bytes (000008..). {HINT}")
    n_dims = raw[3] if len(raw) > 3 else 0
    header_bytes = 4 + 4 * n_dims
    if n_dims == 0 or len(raw) < header_bytes:
        raise DataFormatError(
            f"{source}: the header ends after {len(raw)} bytes; expected {header_bytes} for {n_dims} dimensions, "
            f"and one dimension at least. {HINT}"
        )
    shape = struct.unpack_from(f">{n_dims}I", raw, offset=4)
    expected_bytes = header_bytes + math.prod(shape)
    if len(raw) != expected_bytes:
        raise DataFormatError(
            f"{source}: {len(raw)} bytes; expected {expected_bytes}, because the header promises shape {shape}. {HINT}"
        )
    return np.frombuffer(raw, np.uint8, offset=header_bytes).reshape(shape)


def encode_idx(array: npt.NDArray[np.uint8]) -> bytes:
    """Return the bytes of the uncompressed IDX file that holds ``array``."""
    return UNSIGNED_BYTE + struct.pack(f">B{array.ndim}I", array.ndim, *array.shape) + array.tobytes()


def read_idx(path: Path, n_bytes: int) -> npt.NDArray[np.uint8]:
    """Return the array of an IDX file, gzipped or not; at most ``n_bytes + 1`` bytes are unpacked.

    Parameters
    ----------
    path : Path
        The file.
    n_bytes : int
        Size of its uncompressed contents, bytes.

    Returns
    -------
    ndarray of uint8, of the shape in the header

    Raises
    ------
    DataError
        If the file does not exist.
    DataFormatError
        If the file is damaged, or its contents have another size.
    """
    try:
        with path.open("rb") as stream:
            is_gzipped = stream.read(2) == GZIP_MAGIC
        with gzip.open(path) if is_gzipped else path.open("rb") as stream:
            raw = stream.read(n_bytes + 1)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file. `dvc repro -f download` fetches it.") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataFormatError(f"{path}: damaged gzip data ({error}). {HINT}") from error
    if len(raw) != n_bytes:
        amount = f"more than {n_bytes}" if len(raw) > n_bytes else str(len(raw))
        raise DataFormatError(f"{path}: holds {amount} bytes; expected {n_bytes}. {HINT}")
    return parse_idx(raw, str(path))
