"""The rows of one raw file, in whatever format it is: what a reader makes, and what ``preprocess`` prepares."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlpsweep.data.raw import RawFile
from mlpsweep.datasets import DataSettings
from mlpsweep.errors import ShapeError


class Feature(NamedTuple):
    """A feature of a table: the number in a column, or whether a category stands there."""

    name: str
    category: str | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Part:
    """The rows of the train or of the test file.

    Parameters
    ----------
    source : str
        Name of the file, for messages.
    labels : ndarray of shape (n_rows,)
        Labels as the file has them, integers or texts.
    row_shape : tuple of int
        (height, width) of an image, or (n_features,) of a row of a table.
    pieces : callable
        Returns an iterator over consecutive rows, some at a time, of shape (b, *row_shape): uint8 for images, float64
        for tables. It can be called again.
    place_of : callable
        Returns what a message calls a row.
    features : tuple of Feature
        What the numbers of a table's row are; empty for images.
    """

    source: str
    labels: npt.NDArray[Any]
    row_shape: tuple[int, ...]
    pieces: Callable[[], Iterator[npt.NDArray[Any]]]
    place_of: Callable[[int], str]
    features: tuple[Feature, ...] = ()

    def __post_init__(self) -> None:
        if self.features and self.row_shape != (len(self.features),):
            raise ShapeError(f"{self.source}: rows of {self.row_shape} with {len(self.features)} features.")

    @property
    def is_table(self) -> bool:
        """Whether the rows are no images."""
        return bool(self.features)


Reader = Callable[[Mapping[str, RawFile], DataSettings], dict[str, Part]]
"""Returns the parts ``train`` and, if there is a test file, ``test`` of raw files, which it has by role."""


def turned(pieces: Iterator[npt.NDArray[Any]]) -> Iterator[npt.NDArray[Any]]:
    """Yield images with rows and columns exchanged."""
    return (np.swapaxes(piece, 1, 2) for piece in pieces)
