"""NumPy's archives of arrays, with the names of Keras: ``x_train y_train x_test y_test``, or the first two alone."""

import struct
import tokenize
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlpsweep.data.part import Feature, Part, turned
from mlpsweep.data.raw import RawFile, StoredArray
from mlpsweep.datasets import DataSettings
from mlpsweep.errors import DataError, DataFormatError, ShapeError

# What NumPy raises for a header that is none.
MALFORMED: Final = (
    ValueError, TypeError, SyntaxError, KeyError, IndexError, AttributeError, OverflowError, RecursionError,
    MemoryError, EOFError, struct.error, tokenize.TokenError, Warning,
)  # fmt: skip
HINT: Final = "Write it anew: np.savez_compressed(path, x_train=x, y_train=y)"


def read_npz(files: Mapping[str, RawFile], settings: DataSettings) -> dict[str, Part]:
    """Return the parts of a set in an archive: see :data:`mlpsweep.data.part.Reader`."""
    (file,) = files.values()
    if not zipfile.is_zipfile(file.path):
        state = "no archive of arrays" if file.path.is_file() else "no such file"
        raise DataFormatError(f"{file}: {state}; expected an .npz with x_train and y_train. {HINT}")
    try:
        with zipfile.ZipFile(file.path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise DataFormatError(f"{file}: not an archive that can be read ({error}); expected an .npz. {HINT}") from error
    halves = [split for split in ("train", "test") if {f"x_{split}", f"y_{split}"} & names]
    lacking = [name for split in {"train", *halves} for name in (f"x_{split}", f"y_{split}") if name not in names]
    if lacking:
        shown = ", ".join(sorted(names)[:20]) or "nothing"
        raise DataFormatError(f"{file}: no array {' and '.join(sorted(lacking))}, only {shown}; expected both. {HINT}")
    return {split: _part(file, split, settings) for split in halves}


def _part(file: RawFile, split: str, settings: DataSettings) -> Part:
    rows, stored = _open(file, f"x_{split}"), _open(file, f"y_{split}")
    labels = _labels(stored)
    if len(labels) != rows.shape[0]:
        raise ShapeError(
            f"{file}: x_{split} has shape {rows.shape} and y_{split} {stored.shape}; expected one label per row. {HINT}"
        )

    def place_of(row: int) -> str:
        return f"{file}: row {row + 1} of {split}"

    shape = _image_shape(rows, settings)
    if shape is None:
        features = tuple(Feature(f"x{column}") for column in range(rows.shape[1]))

        def numbers() -> Any:
            return (piece.astype(np.float64) for piece in rows.pieces())

        return Part(source=str(rows.file), labels=labels, row_shape=rows.shape[1:], pieces=numbers, place_of=place_of,
                    features=features)  # fmt: skip

    def images() -> Any:
        return (piece.reshape(len(piece), *shape) for piece in rows.pieces())

    return Part(
        source=str(rows.file),
        labels=labels,
        row_shape=shape[::-1] if settings.transpose else shape,
        pieces=(lambda: turned(images())) if settings.transpose else images,
        place_of=place_of,
    )


def _image_shape(rows: StoredArray, settings: DataSettings) -> tuple[int, int] | None:
    """Return height and width of the images as an array holds them; None if it is a table of numbers."""
    shape, told = rows.shape[1:], settings.image_shape
    is_grey = len(shape) == 2 or (len(shape) == 3 and shape[2] == 1)
    if rows.dtype == np.uint8 and is_grey:
        return shape[0], shape[1]
    if rows.dtype == np.uint8 and told is not None and shape == (told[0] * told[1],):
        return told[::-1] if settings.transpose else told
    if len(shape) == 1 and told is None and rows.dtype.kind in "uifb":
        return None
    raise DataFormatError(
        f"{rows.file}: {rows.dtype.name} of shape {rows.shape}; expected a table of numbers, or grey images as uint8 "
        "in an array n_samples x height x width. Average the colours, multiply shares by 255, and convert to uint8"
    )


def _labels(stored: StoredArray) -> npt.NDArray[Any]:
    is_column = len(stored.shape) == 1 or (len(stored.shape) == 2 and stored.shape[1] == 1)
    if not is_column or stored.dtype.kind not in "iubU":
        raise DataFormatError(
            f"{stored.file}: {stored.dtype.name} of shape {stored.shape}; expected a label, integer or text, for each "
            "row. Of one-hot rows take y.argmax(axis=1)"
        )
    labels = stored.whole().reshape(-1)
    return labels.astype(np.int64) if labels.dtype.kind == "b" else labels


def _open(file: RawFile, name: str) -> StoredArray:
    """Return an array of the archive, of which only the header has been read."""
    member = RawFile(file.path, f"{name}.npy")
    with member.open() as stream:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                if (version := np.lib.format.read_magic(stream)) != (1, 0):
                    raise ValueError(f"format {version}, not 1.0")
                shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        except DataError:
            raise
        except MALFORMED as error:
            told = " ".join(str(error).split())
            raise DataFormatError(f"{member}: not an array that can be read ({told}); expected one. {HINT}") from error
        offset = stream.tell()
    if dtype.hasobject or dtype.names or is_fortran or not shape or any(size < 0 for size in shape):
        kind = "Python objects" if dtype.hasobject else "columns first" if is_fortran else f"{dtype} {shape}"
        raise DataFormatError(f"{member}: holds {kind}; expected numbers or texts, row by row. {HINT}")
    return StoredArray(member, offset, dtype, tuple(map(int, shape)), HINT)
