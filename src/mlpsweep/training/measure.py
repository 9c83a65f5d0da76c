"""Logits, loss and right decisions of many rows in large batches, without a float copy of the data."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from mlpsweep.data.batches import Gatherer
from mlpsweep.nn.losses import softmax_cross_entropy
from mlpsweep.nn.network import Network
from mlpsweep.types import FloatArray, ImageArray, IndexArray, LabelArray

ROWS_AT_A_TIME: Final = 512


@dataclass(frozen=True, slots=True)
class Measures:
    """What a network's decisions on some rows are worth.

    Parameters
    ----------
    loss : float
        Mean cross-entropy, nats; every row counts alike, whatever ``class_weight`` is.
    accuracy : float
        Share of right decisions.
    balanced_accuracy, macro_f1 : float
        See :func:`class_means`.
    """

    loss: float
    accuracy: float
    balanced_accuracy: float
    macro_f1: float


def class_means(counts: LabelArray, decided: LabelArray, right: LabelArray) -> tuple[float, float]:
    """Return balanced accuracy and macro F1: the means over the classes present of their recall and of their F1.

    Parameters
    ----------
    counts, decided, right : ndarray of shape (n_classes,)
        Rows of each class, rows that were taken for it, and those of them that are of it. A class without rows has
        neither figure, however many rows were taken for it; one class at least has rows.

    Examples
    --------
    >>> class_means(np.array([8, 2, 0]), np.array([6, 3, 1]), np.array([6, 1, 0]))
    (0.625, 0.6285714285714286)
    """
    present = counts > 0
    n, hits = counts[present], right[present]
    return float((hits / n).mean()), float((2 * hits / (n + decided[present])).mean())


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

    def measure(self, labels: LabelArray, rows: IndexArray) -> Measures:
        """Return what the network's decisions on ``rows`` are worth, of which there is at least one.

        Parameters
        ----------
        labels : ndarray of shape (n_rows,)
        rows : ndarray of shape (n_samples,)
        """
        loss_sum, n_classes = 0.0, self.network.params.layer_sizes[-1]
        tally = np.zeros((3, n_classes), np.intp)
        for piece, logits in self.iter_logits(rows):
            piece_labels = labels[piece].astype(np.intp)
            grad = self._cache(len(piece))[-1].grad.T
            loss_sum += softmax_cross_entropy(logits, piece_labels, grad) * len(piece)
            decided = logits.argmax(axis=1)
            told = (piece_labels, decided, piece_labels[decided == piece_labels])
            tally += [np.bincount(classes, minlength=n_classes) for classes in told]
        return Measures(loss_sum / len(rows), int(tally[2].sum()) / len(rows), *class_means(*tally))
