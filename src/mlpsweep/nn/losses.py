"""The losses of logits, and the count of right decisions; ``optimizers`` defines the penalty on the weights."""

import functools
from typing import Any, Final

import numpy as np

from mlpsweep.nn.limits import max_exponent
from mlpsweep.nn.products import LARGEST, Call
from mlpsweep.types import FloatArray, IndexArray, LabelArray

FEW_CLASSES: Final = 32
"""Classes up to which a sum over them is a product with ones."""


def softmax_cross_entropy(logits: FloatArray, labels: LabelArray, grad: FloatArray) -> float:
    """Return the mean cross-entropy of the softmax of ``logits`` and write its gradient.

    Parameters
    ----------
    logits : ndarray of shape (b, n_classes)
        Raw scores; not modified.
    labels : ndarray of shape (b,), integers
        Class of each row.
    grad : ndarray of shape (b, n_classes), same dtype
        Receives d loss / d logits = (softmax - one_hot) / b.

    Returns
    -------
    float
        mean over rows of log(sum_j exp(logits_j)) - logits_label. It is not finite exactly if a logit is not.

    Notes
    -----
    Each row is shifted by its maximum, so that exp cannot overflow, and its exponents are cut off far below the
    dtype's precision, so that it cannot underflow. The loss uses the uncut difference: 2e4 for a wrong label at 1e4.

    Examples
    --------
    >>> grad = np.empty((1, 4))
    >>> round(softmax_cross_entropy(np.zeros((1, 4)), np.array([2]), grad), 6)  # log 4
    1.386294
    >>> grad.tolist()
    [[0.25, 0.25, -0.75, 0.25]]
    """
    n = len(logits)
    one_hot = _identity(logits.shape[1], grad.dtype).take(labels, axis=0)
    np.subtract(logits, np.maximum.reduce(logits, axis=1, keepdims=True), out=grad)
    loss_sum = -float(np.vdot(grad, one_hot))
    np.maximum(grad, -max_exponent(grad.dtype), out=grad)
    np.exp(grad, out=grad)
    totals = np.add.reduce(grad, axis=1, keepdims=True)
    grad /= totals
    grad -= one_hot
    grad *= 1.0 / n
    return (loss_sum + float(np.log(totals).sum())) / n


class PieceLoss:
    """The softmax cross-entropy of some batches of one size: a gradient for each in turn, then all losses at once.

    It does what :func:`softmax_cross_entropy` does, with a class as a row and a row of the batch as a column.

    Parameters
    ----------
    n_batches : int
    grad : ndarray of shape (n_classes, batch_size)
        Receives the gradient of the batch at hand.
    class_weights : ndarray of shape (n_classes,), same dtype, or None
        What each row's gradient is multiplied by, by its class; the losses stay without. None for 1.

    Attributes
    ----------
    logits : ndarray of shape (n_batches, n_classes, batch_size)
        To be filled, batch by batch.
    """

    def __init__(self, n_batches: int, grad: FloatArray, class_weights: FloatArray | None = None) -> None:
        (n_classes, n_rows), dtype = grad.shape, grad.dtype
        self.grad, self.logits, self._shares = grad, *np.zeros((2, n_batches, n_classes, n_rows), dtype)
        self._firsts = np.arange(n_batches)[:, np.newaxis] * grad.size + np.arange(n_rows)  # of each row in `logits`
        self._labels = np.empty_like(self._firsts)
        self._class_weights, self._row_weights = class_weights, np.ones((n_batches, n_rows), dtype)
        self._largest, self._limit = LARGEST[dtype], max_exponent(dtype)
        # A product with ones is a sum that stands in every row, so that nothing is broadcast; of many classes it costs.
        self._totals = np.empty((n_classes if n_classes <= FEW_CLASSES else 1, n_rows), dtype)
        self._add_up = functools.partial(np.full((len(self._totals), n_classes), n_rows, dtype).dot, grad, self._totals)

    def begin(self, labels: LabelArray) -> None:
        """Take the classes of some batches' rows, at most as many as there is room for."""
        n = len(labels) // self.grad.shape[1]
        self._labels[:n] = labels = labels.reshape(n, -1)
        self._shares[:n] = 0.0
        self._shares.put(self._firsts[:n] + labels * self.grad.shape[1], 1.0 / self.grad.shape[1])
        if self._class_weights is not None:
            self._row_weights[:n] = self._class_weights[labels]

    def bind(self, batch: int) -> list[Call]:
        """Return the calls that turn the logits of a batch into ``grad``."""
        logits, share = self.logits[batch], self._shares[batch]
        grad, totals, add_up = self.grad, self._totals, self._add_up
        vector, largest, limit = logits.reshape(-1), self._largest, self._limit
        number = vector.item

        def turn() -> None:
            if abs(number(largest(vector))) < limit:  # no exponential leaves the range of the dtype
                np.exp(logits, grad)
            else:
                np.subtract(logits, np.maximum.reduce(logits, axis=0, keepdims=True), grad)
                np.exp(np.maximum(grad, -limit, out=grad), grad)
            add_up()
            np.divide(grad, totals, grad)
            np.subtract(grad, share, grad)

        weigh = functools.partial(np.multiply, grad, self._row_weights[batch], grad)
        return [turn] if self._class_weights is None else [turn, weigh]

    def told(self, n: int) -> tuple[FloatArray, IndexArray]:
        """Return the mean loss and the number of right decisions of each of the first ``n`` batches.

        A loss is not finite exactly where the largest logit or the label's is not. The first of equal logits decides.
        """
        labels, (n_classes, n_rows) = self._labels[:n].reshape(-1), self.grad.shape
        logits = self.logits[:n].transpose(1, 0, 2).reshape(n_classes, -1)
        below = logits - np.maximum.reduce(logits, axis=0)
        own = below.take(labels * len(labels) + np.arange(len(labels)))
        losses = np.log(np.add.reduce(np.exp(below), axis=0)) - own
        is_right = own == 0
        if np.count_nonzero(below == 0) > len(labels):  # equal logits
            is_right = below.argmax(axis=0) == labels
        means: FloatArray = np.add.reduce(losses.reshape(n, n_rows), axis=1, dtype=np.float64) / n_rows
        return means, np.count_nonzero(is_right.reshape(n, n_rows), axis=1)


@functools.cache
def _identity(n_classes: int, dtype: np.dtype[Any]) -> FloatArray:
    return np.eye(n_classes, dtype=dtype)


def softmax(logits: FloatArray) -> FloatArray:
    """Return the class probabilities of each row.

    Parameters
    ----------
    logits : ndarray of shape (b, n_classes)
        Raw scores; not modified.

    Returns
    -------
    ndarray of shape (b, n_classes), same dtype, whose rows sum to 1.
    """
    probabilities: FloatArray = logits - logits.max(axis=1, keepdims=True)
    np.clip(probabilities, -max_exponent(logits.dtype), 0.0, out=probabilities)
    np.exp(probabilities, out=probabilities)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return probabilities


def one_vs_rest_cost(logits: FloatArray, labels: LabelArray) -> float:
    """Return the mean over rows of -sum_k (y_k log p_k + (1 - y_k) log(1 - p_k)), p the softmax of ``logits``.

    Reported to compare with sources that print it; nothing minimises it here. Ten equal probabilities give 3.25.

    Notes
    -----
    log(1 - p_k) comes from the sum of the *other* classes' exponentials. Where k is the row's largest, that sum is
    taken apart with its own shift; anywhere else the largest is among the others and no digit cancels.
    """
    rows = np.arange(len(logits))
    z = logits.astype(np.float64)
    top = z.argmax(axis=1)
    top_z = z[rows, top][:, np.newaxis]
    e = np.exp(np.maximum(z - top_z, -max_exponent(z.dtype)))
    total = e.sum(axis=1, keepdims=True)
    log_p = z - top_z - np.log(total)
    log_others = np.log(np.maximum(total - e, np.finfo(np.float64).tiny))  # right except in column `top`
    rest = z.copy()
    rest[rows, top] = -np.inf
    rest_top = rest.max(axis=1, keepdims=True)
    rest_sum = np.exp(np.maximum(rest - rest_top, -max_exponent(z.dtype))).sum(axis=1)
    log_others[rows, top] = (rest_top - top_z)[:, 0] + np.log(rest_sum)
    log_not_p = log_others - np.log(total)
    own = log_p[rows, labels] - log_not_p[rows, labels]
    return -float((log_not_p.sum(axis=1) + own).mean())
