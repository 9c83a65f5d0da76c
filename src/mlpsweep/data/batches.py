"""From stored pixels to batches of scaled floats, in arrays allocated once; the trainer shuffles."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from mlpsweep.errors import ShapeError
from mlpsweep.types import FloatArray, ImageArray, IndexArray, LabelArray


class Gatherer:
    """Gathers rows of images into arrays of its own and scales them: x = pixel * scale + shift.

    Parameters
    ----------
    images : ndarray of shape (n_rows, n_features), uint8 or float
        Never copied as a whole; may be memory-mapped.
    scale, shift : float
    max_rows : int
        Most rows gathered at once.
    dtype : dtype
        Type of the scaled floats.
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
        self._x = np.empty(self._pixels.shape, dtype)

    def gather(self, rows: IndexArray) -> FloatArray:
        """Return the scaled images of ``rows``.

        Returns
        -------
        ndarray of shape (len(rows), n_features), valid until the next call.
        """
        pixels, x = self._pixels[: len(rows)], self._x[: len(rows)]
        # mode="clip" writes straight into `out`; "raise" would go through a copy. check_rows has seen every row.
        self.images.take(rows, axis=0, out=pixels, mode="clip")
        np.copyto(x, pixels, casting="unsafe")
        x *= self.scale
        x += self.shift
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


def iter_batches(
    gatherer: Gatherer, labels: LabelArray, order: IndexArray, batch_size: int, *, drop_last: bool = False
) -> Iterator[tuple[FloatArray, LabelArray]]:
    """Yield images and labels of consecutive pieces of ``order``.

    Parameters
    ----------
    gatherer : Gatherer
        Gatherer of at least ``batch_size`` rows; owns the images that are yielded.
    labels : ndarray of shape (n_rows,)
        Class of each row of the file.
    order : ndarray of shape (n_samples,)
        Row numbers in the order of use.
    batch_size : int
        Rows of a batch; the last one holds what remains, or is left out with ``drop_last``.

    Yields
    ------
    x : ndarray of shape (b, n_features), valid until the next batch.
    labels : ndarray of shape (b,), intp.
    """
    ordered_labels = labels[order].astype(np.intp)
    stop = len(order) - len(order) % batch_size if drop_last else len(order)
    for first in range(0, stop, batch_size):
        piece = slice(first, first + batch_size)
        yield gatherer.gather(order[piece]), ordered_labels[piece]
