"""A folder of images by class, as ``cats/tom.png``: the name of a folder is the label of the images in it."""

import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlpsweep.data.part import Part, turned
from mlpsweep.data.raw import PIECE_BYTES, RawFile
from mlpsweep.datasets import MAX_SIDE, DataSettings
from mlpsweep.errors import DataError, DataFormatError, quoted, reason_of

ENDINGS: Final = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".tif", ".tiff", ".webp"})
MODES: Final = frozenset({"1", "L", "LA", "P", "RGB", "RGBA"})
"""Kinds of pixels that become bytes of grey; those of 16 bits would lose half of what they hold."""
# What Pillow raises for bytes that are no whole image; a bomb is one of too many pixels.
MALFORMED: Final = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OverflowError,
    MemoryError, RuntimeError, struct.error, zlib.error, Warning,
)  # fmt: skip


def read_images(files: Mapping[str, RawFile], settings: DataSettings) -> dict[str, Part]:
    """Return the parts of a set in folders: see :data:`mlpsweep.data.part.Reader`."""
    return {split: _part(file.path, transpose=settings.transpose) for split, file in files.items()}


def _part(folder: Path, *, transpose: bool) -> Part:
    paths = _paths(folder)
    height, width = _grey(paths[0]).shape

    def images() -> Iterator[npt.NDArray[np.uint8]]:
        at_a_time = max(1, PIECE_BYTES // (height * width))
        for first in range(0, len(paths), at_a_time):
            yield np.stack([_of_size(path, paths[0], (height, width)) for path in paths[first : first + at_a_time]])

    return Part(
        source=str(folder),
        labels=np.array([path.parent.name for path in paths]),
        row_shape=(width, height) if transpose else (height, width),
        pieces=(lambda: turned(images())) if transpose else images,
        place_of=lambda row: str(paths[row]),
    )


def _paths(folder: Path) -> list[Path]:
    """Return the images, by class and name; there is at least one in each class."""
    if not folder.is_dir():
        state = "not a folder" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {state}; expected a folder with one folder of images for each class. Name one")
    entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    classes = [path for path in entries if path.is_dir()]
    if stray := next((path for path in entries if path.suffix.lower() in ENDINGS and path not in classes), None):
        raise DataFormatError(
            f"{stray}: an image outside of the classes; expected it in the folder of its class. Move it"
        )
    if not classes:
        raise DataFormatError(f"{folder}: no folder in it; expected one of images for each class. Make them")
    paths: list[Path] = []
    for place in classes:
        found = [path for path in sorted(place.iterdir()) if not path.name.startswith(".")]
        if odd := next((path for path in found if path.suffix.lower() not in ENDINGS or not path.is_file()), None):
            raise DataFormatError(
                f"{odd}: no image by its name; expected {', '.join(sorted(ENDINGS))}. Move it elsewhere"
            )
        if not found:
            raise DataFormatError(f"{place}: no image in it; expected one at least. Remove the folder, or fill it")
        paths += found
    return paths


def _of_size(path: Path, first: Path, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    image = _grey(path)
    if image.shape != shape:
        sizes = f"{image.shape[0]} x {image.shape[1]} pixels; expected {shape[0]} x {shape[1]}, as {first} has"
        raise DataFormatError(f"{path}: {sizes}. Bring all images to one size")
    return image


def _grey(path: Path) -> npt.NDArray[Any]:
    """Return an image as bytes of grey, of shape (height, width)."""
    from PIL import Image  # needed for this format only

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.mode not in MODES or max(image.size) > MAX_SIDE:
                    told = f"{image.size[1]} x {image.size[0]} pixels of mode {quoted(image.mode)}"
                    raise DataFormatError(
                        f"{path}: {told}; expected 8 bits a colour, and {MAX_SIDE} pixels a side at most. Convert it"
                    )
                return np.asarray(image.convert("L"))
    except DataFormatError:
        raise
    except (*MALFORMED, Image.DecompressionBombError) as error:
        told = reason_of(error)
        raise DataFormatError(f"{path}: not an image that can be read ({told}); expected one. Replace it") from error
