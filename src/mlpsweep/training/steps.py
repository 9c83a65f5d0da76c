"""The updates of a training on a piece of its data, some batches of one size, as calls that are bound once."""

import functools
from dataclasses import dataclass, replace

import numpy as np

from mlpsweep.data.batches import Gatherer
from mlpsweep.nn.dropout import draw_mask
from mlpsweep.nn.losses import PieceLoss, one_vs_rest_cost
from mlpsweep.nn.network import Network
from mlpsweep.nn.optimizers import Optimizer
from mlpsweep.nn.products import Call, sum_of_squares
from mlpsweep.types import FloatArray, ImageArray, IndexArray, LabelArray

BATCHES, BYTES = 32, 2**20
"""Batches of a piece and bytes of its rows, at most: enough that what is done once for all of them hardly counts."""


def n_batches(batch_size: int, network: Network, images: ImageArray | FloatArray) -> int:
    """Return how many batches make a piece: a row's image as it is stored, and four numbers for each class."""
    sizes, flat = network.params.layer_sizes, network.params.flat
    row_bytes = sizes[0] * images.itemsize + 4 * sizes[-1] * flat.itemsize
    return max(1, min(BATCHES, BYTES // (row_bytes * batch_size)))


@dataclass(frozen=True, slots=True)
class Told:
    """What the batches of a piece, of ``size`` rows each, gave before their updates.

    Parameters
    ----------
    size : int
    losses, penalties, n_correct : ndarray of shape (n_batches,)
        Mean loss, penalty and number of right decisions.
    costs : list of float
        One-vs-rest costs, if they were asked for.
    """

    size: int
    losses: FloatArray
    penalties: FloatArray
    n_correct: IndexArray
    costs: list[float]


class Steps:
    """One update after another on the batches of a piece.

    Parameters
    ----------
    network : Network
        Its parameters change with each step.
    optimizer : Optimizer
    gatherer : Gatherer
        It will have taken the piece's rows.
    batch_size, n : int
        Rows of a batch, and batches of a piece, at most.
    input_dropout : float
        Share of each row's inputs that a step drops.
    rng : Generator
        Draws what is dropped.
    class_weights : ndarray of shape (n_classes,) or None
        What each row's gradient is multiplied by, by its class.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        gatherer: Gatherer,
        batch_size: int,
        n: int,
        input_dropout: float,
        rng: np.random.Generator,
        class_weights: FloatArray | None = None,
    ) -> None:
        self._network, self._optimizer, self._batch_size = network, optimizer, batch_size
        cache = network.allocate(batch_size)
        x = gatherer.x[:batch_size]
        self._loss = PieceLoss(n, cache[-1].grad, class_weights)
        self._penalties = np.zeros(n)
        kept = np.empty((batch_size, x.shape[1] - 1), x.dtype) if input_dropout else None
        self._calls: list[list[Call]] = []
        for batch in range(n):
            layers = (*cache[:-1], replace(cache[-1], a=self._loss.logits[batch]))
            self._calls.append(
                [
                    gatherer.bind(batch * batch_size, batch_size),
                    *([] if kept is None else [functools.partial(_drop, x, kept, input_dropout, rng)]),
                    *network.bind_forward(x, layers, rng),
                    *self._loss.bind(batch),
                    *network.bind_backward(x, layers, optimizer.bind_gradient),
                    optimizer.finish,
                ]
            )

    def begin(self, labels: LabelArray) -> int:
        """Take the classes of a piece's rows, and return the number of its batches."""
        self._loss.begin(labels)
        return len(labels) // self._batch_size

    def take(self, batch: int, rate: float, l2_lambda: float) -> None:
        """Make the update of one batch."""
        decay = l2_lambda / self._batch_size
        if decay:
            self._penalties[batch] = 0.5 * decay * sum(map(sum_of_squares, self._network.params.weights))
        self._optimizer.begin(rate, decay)
        for call in self._calls[batch]:
            call()

    def told(self, labels: LabelArray, *, with_costs: bool) -> Told:
        """Return what the batches of the piece gave, whose updates were made, and whose rows are of these classes."""
        size, loss = self._batch_size, self._loss
        n = len(labels) // size
        parts = zip(loss.logits[:n], labels.reshape(n, size), strict=True) if with_costs else ()
        costs = [one_vs_rest_cost(logits.T, classes) for logits, classes in parts]
        losses, n_correct = loss.told(n)
        return Told(size, losses, self._penalties[:n], n_correct, costs)


def _drop(x: FloatArray, kept: FloatArray, dropout: float, rng: np.random.Generator) -> None:
    draw_mask(dropout, rng, kept)
    x[:, :-1] *= kept
