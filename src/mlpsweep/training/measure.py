"""Logits, loss and accuracy of many rows in large batches, without a float copy of the data."""

import functools
from collections.abc import Iterator
from typing import Final

import numpy as np

from mlpsweep.data.batches import Gatherer
from mlpsweep.nn.losses import count_correct, softmax_cross_entropy
from mlpsweep.nn.network import Network
from mlpsweep.types import FloatArray, ImageArray, IndexArray, LabelArray

ROWS_AT_A_TIME: Final = 512


class Measurer:
    """Runs a network forward over rows of one set of images.

    Parameters
    ----------
    network : Network
        Its current parameters are used at each call; no unit is dropped. It may be replaced by one of the same shape.
    images : ndarray of shape (n_rows, n_features)
    scale, shift : float
        x = pixel * scale + shift.
    """

    def __init__(self, network: Network, images: ImageArray | FloatArray, scale: float, shift: float) -> None:
        self.network = network
        self._rows_at_a_time = max(1, min(ROWS_AT_A_TIME, len(images)))
        self._gatherer = Gatherer(images, scale, shift, self._rows_at_a_time, network.params.flat.dtype)
        self._cache = functools.cache(lambda n: network.allocate(n, trains=False))

    def iter_logits(self, rows: IndexArray) -> Iterator[tuple[IndexArray, FloatArray]]:
        """Yield pieces of ``rows`` and their logits of shape (b, n_classes), valid until the next piece."""
        for first in range(0, len(rows), self._rows_at_a_time):
            piece = rows[first : first + self._rows_at_a_time]
            yield piece, self.network.forward(self._gatherer.gather(piece), self._cache(len(piece)))

    def loss_and_accuracy(self, labels: LabelArray, rows: IndexArray) -> tuple[float, float]:
        """Return the mean cross-entropy and the share of right decisions over ``rows``, of which there is at least one.

        Parameters
        ----------
        labels : ndarray of shape (n_rows,)
        rows : ndarray of shape (n_samples,)
        """
        loss_sum, n_correct = 0.0, 0
        for piece, logits in self.iter_logits(rows):
            piece_labels = labels[piece].astype(np.intp)
            grad = self._cache(len(piece))[-1].grad.T
            loss_sum += softmax_cross_entropy(logits, piece_labels, grad) * len(piece)
            n_correct += count_correct(logits, piece_labels)
        return loss_sum / len(rows), n_correct / len(rows)
