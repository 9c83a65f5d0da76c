"""Named arrays as the bytes of an .npz file without pickles; equal arrays give equal bytes."""

import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlpsweep.errors import DataFormatError

_ZIP_ERRORS: Final = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, KeyError, RuntimeError, SyntaxError)


def pack_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return an uncompressed .npz archive with fixed time stamps, entries in the order given."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = io.BytesIO()
            np.lib.format.write_array(entry, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), entry.getvalue())
    return stream.getvalue()


def unpack_arrays(data: bytes, source: str) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of :func:`pack_arrays`.

    Parameters
    ----------
    data : bytes
        The whole archive; no array may claim to be larger than its bytes.
    source : str
        Name of the data, for messages.

    Raises
    ------
    DataFormatError
        If the bytes are not such an archive, or an array's header does not fit its bytes.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {info.filename.removesuffix(".npy"): _read(archive, info) for info in archive.infolist()}
    except _ZIP_ERRORS as error:
        raise DataFormatError(f"{source}: not an archive of arrays that this program wrote ({error}).") from error


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> npt.NDArray[Any]:
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{info.filename} is compressed")
    content = archive.read(info)
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError(f"{info.filename} is of another format version")
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    n_bytes = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or is_fortran or n_bytes != len(content) - stream.tell():
        raise ValueError(f"{info.filename} says shape {shape} of {dtype}, and has {len(content) - stream.tell()} bytes")
    return np.frombuffer(content, dtype, offset=stream.tell()).reshape(shape).copy()
