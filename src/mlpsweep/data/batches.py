"""From stored pixels to rows of scaled floats, in arrays allocated once; the trainer shuffles."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.linalg import blas

from mlpsweep.errors import ShapeError
from mlpsweep.types import FloatArray, ImageArray, IndexArray, LabelArray

_SCAL: Final[Mapping[np.dtype[Any], Callable[..., Any]]] = MappingProxyType(
    {np.dtype(np.float32): blas.sscal, np.dtype(np.float64): blas.dscal}
)


class Gatherer:
    """Takes rows of images into an array of its own, and scales some of them at a time: x = pixel * scale + shift.

    Parameters
    ----------
    images : ndarray of shape (n_rows, n_features), uint8 or float
        Never copied as a whole; may be memory-mapped.
    scale, shift : float
    max_rows : int
        Most rows taken at once.
    dtype : dtype
        Type of the scaled floats.
    max_scaled : int or None
        Most rows scaled at once; None: as many as are taken.

    Attributes
    ----------
    x : ndarray of shape (max_scaled, n_features + 1)
        The rows scaled last; the last column is 1, the input of the biases.
    """

    def __init__(
        self,
        images: ImageArray | FloatArray,
        scale: float,
        shift: float,
        max_rows: int,
        dtype: npt.DTypeLike = np.float32,
        max_scaled: int | None = None,
    ) -> None:
        self.images, self.scale, self.shift = images, scale, shift
        self._pixels = np.empty((max_rows, images.shape[1]), images.dtype)
        self.x = np.empty((max_scaled or max_rows, images.shape[1] + 1), dtype)
        self.x[:, -1] = 1.0

    def take(self, rows: IndexArray) -> None:
        """Take the images of ``rows``."""
        # mode="clip" writes straight into `out`; "raise" would go through a copy. check_rows has seen every row.
        self.images.take(rows, axis=0, out=self._pixels[: len(rows)], mode="clip")

    def bind(self, first: int, n: int) -> Callable[[], object]:
        """Return the call that scales ``n`` of the rows taken, from ``first`` on, into the first rows of ``x``."""
        pixels, x, scale, shift = self._pixels[first : first + n], self.x[:n], self.scale, self.shift
        features, ones, numbers, multiply = x[:, :-1], x[:, -1], x.reshape(-1), _SCAL[x.dtype]

        def scaled() -> None:
            features[...] = pixels
            multiply(scale, numbers)  # with the column of ones: whole rows go faster than most of each
            if shift:
                np.add(x, shift, out=x)
            ones.fill(1.0)

        return scaled

    def gather(self, rows: IndexArray) -> FloatArray:
        """Return the scaled images of ``rows``.

        Returns
        -------
        ndarray of shape (len(rows), n_features + 1), the first rows of ``x``, valid until the next call.
        """
        self.take(rows)
        self.bind(0, len(rows))()
        return self.x[: len(rows)]


def check_rows(images: ImageArray | FloatArray, labels: LabelArray, rows: IndexArray) -> None:
    """Refuse rows that the arrays do not have.

    Raises
    ------
    ShapeError
        If images and labels differ in length, or a row number is outside them.
    """
    if len(images) != len(labels):
        raise ShapeError(f"images and labels: shapes {images.shape} and {labels.shape}; expected one label per image.")
    if len(rows) and not (int(rows.min()) >= 0 and int(rows.max()) < len(images)):
        raise ShapeError(
            f"rows: {int(rows.min())} .. {int(rows.max())} for images of shape {images.shape}; "
            f"expected row numbers 0 .. {len(images) - 1}. Run `dvc repro -f prepare`."
        )
