"""From stored pixels to rows of scaled floats, in arrays allocated once; the trainer shuffles."""

import numpy as np
import numpy.typing as npt

from mlpsweep.errors import ShapeError
from mlpsweep.types import FloatArray, ImageArray, IndexArray, LabelArray


class Gatherer:
    """Gathers rows of images into an array of its own and scales them: x = pixel * scale + shift.

    Parameters
    ----------
    images : ndarray of shape (n_rows, n_features), uint8 or float
        Never copied as a whole; may be memory-mapped.
    scale, shift : float
    max_rows : int
        Most rows gathered at once.
    dtype : dtype
        Type of the scaled floats.

    Attributes
    ----------
    x : ndarray of shape (max_rows, n_features + 1)
        The rows gathered last; the last column is 1, the input of the biases.
    """

    def __init__(
        self,
        images: ImageArray | FloatArray,
        scale: float,
        shift: float,
        max_rows: int,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        self.images, self.scale, self.shift = images, scale, shift
        self._pixels = np.empty((max_rows, images.shape[1]), images.dtype)
        self.x = np.empty((max_rows, images.shape[1] + 1), dtype)

    def gather(self, rows: IndexArray) -> FloatArray:
        """Return the scaled images of ``rows``.

        Returns
        -------
        ndarray of shape (len(rows), n_features + 1), the first rows of ``x``, valid until the next call.
        """
        pixels, x = self._pixels[: len(rows)], self.x[: len(rows)]
        # mode="clip" writes straight into `out`; "raise" would go through a copy. check_rows has seen every row.
        self.images.take(rows, axis=0, out=pixels, mode="clip")
        np.copyto(x[:, :-1], pixels, casting="unsafe")
        x *= self.scale  # with the column of ones: whole rows go faster than most of each
        if self.shift:
            x += self.shift
        x[:, -1] = 1.0
        return x


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
