"""The IDX format of MNIST: every byte of the header is checked before one of the contents is read."""

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlpsweep.data.part import Part, turned
from mlpsweep.data.raw import RawFile, StoredArray
from mlpsweep.datasets import DataSettings
from mlpsweep.errors import DataFormatError, ShapeError

HINT: Final = "Run `dvc repro -f download`; if that changes nothing, data.files in conf/data/ describes another file."
TYPES: Final[Mapping[int, np.dtype[Any]]] = MappingProxyType(
    {8: np.dtype(np.uint8), 9: np.dtype(np.int8), 11: np.dtype(">i2"), 12: np.dtype(">i4")}
)
"""The integers that a file may hold, by the third byte of it."""


def open_idx(file: RawFile) -> StoredArray:
    """Return the array of an IDX file of integers, of which only the header has been read.

    Raises
    ------
    DataError
        If the file does not exist.
    DataFormatError
        If the header is not one of an IDX file of integers.
    """
    with file.open() as stream:
        head = stream.read(4)
        dtype = TYPES.get(head[2]) if len(head) > 2 and head[:2] == b"\0\0" else None
        if dtype is None:
            raise DataFormatError(
                f"{file}: it starts with {head.hex() or 'nothing'}; expected an IDX file of unsigned bytes (000008..), "
                f"or of other integers (000009.., 00000b.., 00000c..). {HINT}"
            )
        n_dims = head[3] if len(head) > 3 else 0
        sizes = stream.read(4 * n_dims)
        n_bytes = 4 + 4 * n_dims
        if n_dims == 0 or len(head) + len(sizes) < n_bytes:
            raise DataFormatError(
                f"{file}: the header ends after {len(head) + len(sizes)} bytes; expected {n_bytes} for {n_dims} "
                f"dimensions, and one dimension at least. {HINT}"
            )
    return StoredArray(file, n_bytes, dtype, struct.unpack(f">{n_dims}I", sizes), HINT)


def encode_idx(array: npt.NDArray[np.uint8]) -> bytes:
    """Return the bytes of the uncompressed IDX file that holds ``array``."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def read_idx(files: Mapping[str, RawFile], settings: DataSettings) -> dict[str, Part]:
    """Return the parts of a set in IDX files: see :data:`mlpsweep.data.part.Reader`."""
    return {
        split: _part(files[f"{split}_images"], files[f"{split}_labels"], transpose=settings.transpose)
        for split in ("train", "test")
        if f"{split}_images" in files
    }


def _part(image_file: RawFile, label_file: RawFile, *, transpose: bool) -> Part:
    images, labels = open_idx(image_file), _labels(open_idx(label_file))
    if len(images.shape) != 3 or images.dtype != np.uint8:
        raise DataFormatError(
            f"{image_file}: {images.dtype.name} of shape {images.shape}; expected unsigned bytes of shape n_samples x "
            f"height x width. {HINT}"
        )
    if images.shape[0] != len(labels):
        raise ShapeError(
            f"{image_file} has shape {images.shape} and {label_file} {labels.shape}; expected one label for each "
            f"image. {HINT}"
        )
    height, width = images.shape[1:]
    return Part(
        source=str(image_file),
        labels=labels,
        row_shape=(width, height) if transpose else (height, width),
        pieces=(lambda: turned(images.pieces())) if transpose else images.pieces,
        place_of=lambda row: f"{label_file}: image {row + 1}",
    )


def _labels(stored: StoredArray) -> npt.NDArray[Any]:
    """Return the labels; of a table of integers, as QMNIST has it, its first column."""
    is_table = len(stored.shape) == 2 and stored.dtype.itemsize == 4
    if len(stored.shape) != 1 and not is_table:
        raise DataFormatError(f"{stored.file}: shape {stored.shape}; expected n_samples labels. {HINT}")
    labels = stored.whole()
    return labels[:, 0] if is_table else labels
