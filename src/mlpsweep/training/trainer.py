"""The training loop: batches in, epoch records out; ``run`` saves checkpoints and passes the records on."""

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from mlpsweep.data.augment import Augment
from mlpsweep.data.batches import Gatherer, iter_batches
from mlpsweep.data.dataset import Split
from mlpsweep.errors import DivergenceError
from mlpsweep.nn.averaging import Average
from mlpsweep.nn.dropout import draw_mask
from mlpsweep.nn.losses import count_correct, one_vs_rest_cost, softmax_cross_entropy, weigh_rows
from mlpsweep.nn.network import LayerCache, Network
from mlpsweep.nn.optimizers import Optimizer
from mlpsweep.nn.products import sum_of_squares
from mlpsweep.training.history import BatchRecord, EpochRecord
from mlpsweep.training.measure import Measurer
from mlpsweep.types import FloatArray, IndexArray, LabelArray

PROGRESS_EVERY: Final = 50
"""Updates between two calls of ``on_progress``."""

OnProgress = Callable[[int, int, float, float], object]
"""Called with updates done, updates in all, and the epoch's mean loss and accuracy so far."""


@dataclass(frozen=True)
class TrainingPlan:
    """The settings of a training in the form that its loop needs.

    Parameters
    ----------
    rate : callable
        Learning rate of an update, counted from 0.
    l2_lambda : float
    batch_size, updates_per_epoch, n_epochs : int
    shuffle, drop_last : bool
    log_every, monitor_every : int or None
        Updates between batch records, and between measurements of the monitored split.
    patience : int or None
    input_dropout : float
        Share of each row's inputs that a training step drops; the others are scaled by 1 / (1 - p).
    report_cost : bool
        Whether the one-vs-rest cost is recorded.
    augment : callable or None
        Changes the training images before each epoch.
    class_weights : ndarray of shape (n_classes,) or None
        What each row's gradient is multiplied by, by its class; None for 1.
    """

    rate: Callable[[int], float]
    l2_lambda: float
    batch_size: int
    updates_per_epoch: int
    n_epochs: int
    shuffle: bool
    drop_last: bool
    log_every: int
    monitor_every: int | None
    patience: int | None
    input_dropout: float = 0.0
    report_cost: bool = False
    augment: Augment | None = None
    class_weights: FloatArray | None = None


@dataclass
class State:
    """Everything that changes while a training runs; ``network`` holds the parameters.

    Parameters
    ----------
    network : Network
    optimizer : Optimizer
    batch_rng, dropout_rng, augment_rng : Generator
        The last is used with an augmentation only.
    update : int
        Updates done.
    records : list of EpochRecord
    best : ndarray or None
        Copy of the flat parameters of the best epoch, kept with ``patience`` only.
    average : Average or None
        Average of the parameters, which is measured in their place before the last epoch; with ``averaging`` only.
    """

    network: Network
    optimizer: Optimizer
    batch_rng: np.random.Generator
    dropout_rng: np.random.Generator
    update: int
    records: list[EpochRecord]
    best: FloatArray | None = None
    augment_rng: np.random.Generator = field(default_factory=np.random.default_rng)
    average: Average | None = None

    @property
    def best_epoch(self) -> int:
        """The first epoch with the lowest validation loss; 0 if none was measured."""
        losses = {r.epoch: r.validation_loss for r in self.records if r.validation_loss is not None}
        return min(losses, key=lambda epoch: losses[epoch], default=0)


@dataclass
class _Sums:
    """Sums over rows since the epoch began."""

    n: int = 0
    loss: float = 0.0
    penalty: float = 0.0
    cost: float = 0.0
    n_correct: int = 0

    def add(self, n: int, loss: float, penalty: float, cost: float, n_correct: int) -> None:
        self.n += n
        self.cost += cost * n
        self.loss += loss * n
        self.penalty += penalty * n
        self.n_correct += n_correct


class Trainer:
    """Trains the network of a state on the rows of a split.

    Parameters
    ----------
    state : State
        Modified by :meth:`fit`.
    plan : TrainingPlan
    split : Split
    scaling : tuple of float
        Scale and shift: x = pixel * scale + shift.
    monitored : tuple of (str, Split) or None
        The split measured after each epoch and its name, ``validation`` or ``test``.
    on_progress : callable or None
    """

    def __init__(
        self,
        state: State,
        plan: TrainingPlan,
        split: Split,
        scaling: tuple[float, float],
        monitored: tuple[str, Split] | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self.state, self.plan, self.split, self.monitored = state, plan, split, monitored
        self._on_progress = on_progress
        network, dtype = state.network, state.network.params.flat.dtype
        self._images = split.images if plan.augment is None else np.empty_like(split.images)
        self._gatherer = Gatherer(self._images, *scaling, plan.batch_size, dtype)
        self._kept = np.empty((plan.batch_size, split.images.shape[1]), dtype) if plan.input_dropout else None
        whole = network.allocate(plan.batch_size, trains=True)
        self._caches = functools.cache(lambda n: tuple(layer.first(n) for layer in whole))
        self._measurer = Measurer(network, monitored[1].images, *scaling) if monitored else None

    def fit(self) -> Iterator[EpochRecord]:
        """Train, and yield each epoch's record when the state holds all of it.

        Raises
        ------
        DivergenceError
            At the first batch whose loss or penalty is not finite, before its update; or after an update, if the
            monitored split's loss, or at the end of an epoch a parameter, is not finite.
        """
        while not self._is_finished():
            with np.errstate(all="ignore"):  # a loss that is not finite says what warnings would
                record = self._run_epoch(len(self.state.records) + 1)
            self.state.records.append(record)
            if self.plan.patience is not None and self.state.best_epoch == record.epoch:
                self.state.best = self.state.network.params.flat.copy()
            yield record

    def _is_finished(self) -> bool:
        n_done, patience = len(self.state.records), self.plan.patience
        is_stale = patience is not None and n_done - self.state.best_epoch >= patience
        return n_done >= self.plan.n_epochs or is_stale

    def _run_epoch(self, epoch: int) -> EpochRecord:
        start, measuring_s = time.perf_counter(), 0.0
        sums, batches = _Sums(), list[BatchRecord]()
        for x, labels in self._iter_batches():
            loss, cost, n_correct = self._step(epoch, x, labels, sums)
            stepped = time.perf_counter()
            batches += self._batch_records(epoch, loss, cost, n_correct / len(labels))
            measuring_s += time.perf_counter() - stepped
            self._tell_progress(sums)
        trained_s = time.perf_counter() - start - measuring_s
        metrics = self._measure(epoch)
        if not np.isfinite(self.state.network.params.flat).all():
            raise self._divergence(epoch, math.nan)
        return EpochRecord(
            epoch=epoch,
            update=self.state.update,
            learning_rate=self.plan.rate(self.state.update - 1),
            train_loss=sums.loss / sums.n,
            train_penalty=sums.penalty / sums.n,
            train_accuracy=sums.n_correct / sums.n,
            train_cost=sums.cost / sums.n if self.plan.report_cost else None,
            batches=tuple(batches),
            seconds=time.perf_counter() - start,
            samples_per_s=sums.n / trained_s,
            **metrics,
        )

    def _batch_records(self, epoch: int, loss: float, cost: float | None, accuracy: float) -> list[BatchRecord]:
        """Return a record of the batch just learned from, if one is due."""
        update, monitor_every = self.state.update, self.plan.monitor_every
        is_measured = monitor_every is not None and update % monitor_every == 0
        if not is_measured and update % self.plan.log_every:
            return []
        metrics = self._measure(epoch) if is_measured else {}
        return [BatchRecord(update=update, loss=loss, accuracy=accuracy, cost=cost, **metrics)]

    def _tell_progress(self, sums: _Sums) -> None:
        if self._on_progress is not None and self.state.update % PROGRESS_EVERY == 0:
            n_updates = self.plan.n_epochs * self.plan.updates_per_epoch
            self._on_progress(self.state.update, n_updates, sums.loss / sums.n, sums.n_correct / sums.n)

    def _iter_batches(self) -> Iterator[tuple[FloatArray, LabelArray]]:
        rows: IndexArray = self.split.rows
        if self.plan.augment is not None:
            self.plan.augment(self.split.images, rows, self._images, self.state.augment_rng)
        order = self.state.batch_rng.permutation(rows) if self.plan.shuffle else rows
        plan = self.plan
        return iter_batches(self._gatherer, self.split.labels, order, plan.batch_size, drop_last=plan.drop_last)

    def _step(self, epoch: int, x: FloatArray, labels: LabelArray, sums: _Sums) -> tuple[float, float | None, int]:
        """Make one update; return the batch's loss, cost and number of right decisions, all before it."""
        state, n = self.state, len(labels)
        network, optimizer = state.network, state.optimizer
        rate, decay = self.plan.rate(state.update), self.plan.l2_lambda / n
        cache: tuple[LayerCache, ...] = self._caches(n)
        if self._kept is not None:
            mask = self._kept[:n]
            draw_mask(self.plan.input_dropout, state.dropout_rng, mask)
            x *= mask
        logits, grad = network.forward(x, cache, state.dropout_rng), cache[-1].grad
        loss = softmax_cross_entropy(logits, labels, grad)
        penalty = 0.5 * decay * sum_of_squares(network.params.all_weights) if decay else 0.0
        if not math.isfinite(loss + penalty):
            raise DivergenceError(epoch, state.update + 1, rate, loss + penalty)
        cost = one_vs_rest_cost(logits, labels) if self.plan.report_cost else None
        n_correct = count_correct(logits, labels)
        if self.plan.class_weights is not None:
            weigh_rows(grad, labels, self.plan.class_weights)
        optimizer.begin(rate, decay)
        network.backward(x, cache, grad, optimizer.accept)
        optimizer.finish()
        state.update += 1
        if state.average is not None and epoch < self.plan.n_epochs:
            state.average.follow(state.update)
        sums.add(n, loss, penalty, cost or 0.0, n_correct)
        return loss, cost, n_correct

    def _measure(self, epoch: int) -> dict[str, float]:
        """Return what was measured of the monitored split as a record's fields; averaged, before the last epoch."""
        if self.monitored is None or self._measurer is None:
            return {}
        (name, split), average = self.monitored, self.state.average
        if average is not None:
            params = average.params if epoch < self.plan.n_epochs else self.state.network.params
            self._measurer.network = dataclasses.replace(self.state.network, params=params)
        measured = self._measurer.measure(split.labels, split.rows)
        if not math.isfinite(measured.loss):
            raise self._divergence(epoch, measured.loss)
        return {f"{name}_{what}": value for what, value in dataclasses.asdict(measured).items()}

    def _divergence(self, epoch: int, loss: float) -> DivergenceError:
        """Return the error of an update that was made."""
        return DivergenceError(epoch, self.state.update, self.plan.rate(self.state.update - 1), loss)
