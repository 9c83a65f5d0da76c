"""The training loop: batches in, epoch records out; ``run`` saves checkpoints and passes the records on."""

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from mlpsweep.data.augment import Augment
from mlpsweep.data.batches import Gatherer
from mlpsweep.data.dataset import Split
from mlpsweep.errors import DivergenceError
from mlpsweep.nn.averaging import Average
from mlpsweep.nn.network import Network
from mlpsweep.nn.optimizers import Optimizer
from mlpsweep.training.history import BatchRecord, EpochRecord, Measured
from mlpsweep.training.measure import Measurer
from mlpsweep.training.steps import Steps, Told, n_batches
from mlpsweep.types import FloatArray, IndexArray, LabelArray

PROGRESS_EVERY: Final = 50
"""Updates between two calls of ``on_progress``."""

OnProgress = Callable[[int, int, float, float], object]
"""Called with updates done, updates in all, and the epoch's mean loss and accuracy so far."""


@dataclass(frozen=True)
class Look:
    """A measurement within the first epoch; it changes nothing, and no record tells of it.

    Parameters
    ----------
    after : float
        Share of the epoch's updates, 0 < after <= 1; rounded up to whole ones.
    on_look : callable
        Called with the metrics of the monitored split; an exception of it ends the training.
    """

    after: float
    on_look: Callable[[Mapping[str, float]], object]


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

    def add(self, told: Told) -> None:
        self.n += told.size * len(told.losses)
        # One after the other: no sum depends on where a piece ends.
        for loss, penalty in zip(told.losses.tolist(), told.penalties.tolist(), strict=True):
            self.loss += told.size * loss
            self.penalty += told.size * penalty
        for cost in told.costs:
            self.cost += told.size * cost
        self.n_correct += int(told.n_correct.sum())


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
    look : Look or None
    """

    def __init__(
        self,
        state: State,
        plan: TrainingPlan,
        split: Split,
        scaling: tuple[float, float],
        monitored: tuple[str, Split] | None = None,
        on_progress: OnProgress | None = None,
        look: Look | None = None,
    ) -> None:
        self.state, self.plan, self.split, self.monitored = state, plan, split, monitored
        self._on_progress, self._look = on_progress, look
        self._look_at = math.ceil(look.after * plan.updates_per_epoch) if look else 0
        network, size = state.network, plan.batch_size
        self._images = split.images if plan.augment is None else np.empty_like(split.images)
        self._n_batches = n_batches(size, network, split.images)
        self._gatherer = Gatherer(self._images, *scaling, size * self._n_batches, network.params.flat.dtype, size)
        self._steps = functools.cache(self._bind_steps)
        stops = (plan.monitor_every, PROGRESS_EVERY if on_progress else None)
        self._stops = [every for every in stops if every is not None]
        self._measurer = Measurer(network, monitored[1].images, *scaling) if monitored else None

    def fit(self) -> Iterator[EpochRecord]:
        """Train, and yield each epoch's record when the state holds all of it.

        Raises
        ------
        DivergenceError
            For the first batch whose loss or penalty is not finite, at the end of its piece; or after an update, if the
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
        for steps, labels in self._iter_pieces():
            self._learn(epoch, steps, labels)
            told = self._told(epoch, steps, labels)
            sums.add(told)
            learnt = time.perf_counter()
            batches += self._batch_records(epoch, told)
            measuring_s += time.perf_counter() - learnt
            self._tell_progress(sums)
            measuring_s += self._take_look(epoch)
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

    def _iter_pieces(self) -> Iterator[tuple[Steps, LabelArray]]:
        """Yield the steps and the labels of each piece of an epoch's rows; pieces end where something is due."""
        rows, plan = self.split.rows, self.plan
        if plan.augment is not None:
            plan.augment(self.split.images, rows, self._images, self.state.augment_rng)
        order: IndexArray = self.state.batch_rng.permutation(rows) if plan.shuffle else rows
        labels = self.split.labels[order].astype(np.intp)
        size, first = plan.batch_size, 0
        while first < len(order) - (len(order) % size if plan.drop_last else 0):
            left = (len(order) - first) // size
            until = [every - self.state.update % every for every in self._stops]
            until += [self._look_at - self.state.update] if self.state.update < self._look_at else []
            n_rows = min(self._n_batches, left, *until) * size or len(order) - first
            piece = slice(first, first + n_rows)
            self._gatherer.take(order[piece])
            yield self._steps(min(size, n_rows)), labels[piece]
            first += n_rows

    def _bind_steps(self, batch_size: int) -> Steps:
        state, plan = self.state, self.plan
        n = self._n_batches if batch_size == plan.batch_size else 1
        return Steps(
            state.network,
            state.optimizer,
            self._gatherer,
            batch_size,
            n,
            plan.input_dropout,
            state.dropout_rng,
            plan.class_weights,
        )

    def _learn(self, epoch: int, steps: Steps, labels: LabelArray) -> None:
        """Make the updates of a piece."""
        state, plan = self.state, self.plan
        for batch in range(steps.begin(labels)):
            steps.take(batch, plan.rate(state.update), plan.l2_lambda)
            state.update += 1
            if state.average is not None and epoch < plan.n_epochs:
                state.average.follow(state.update)

    def _told(self, epoch: int, steps: Steps, labels: LabelArray) -> Told:
        """Return what the batches of a piece gave; raise DivergenceError for the first that gave no number."""
        told = steps.told(labels, with_costs=self.plan.report_cost)
        values = told.losses + told.penalties
        for before, value in enumerate(values, self.state.update - len(values)):
            if not math.isfinite(value):
                raise DivergenceError(epoch, before + 1, self.plan.rate(before), float(value))
        return told

    def _batch_records(self, epoch: int, told: Told) -> list[BatchRecord]:
        """Return the records that are due of the batches that were learned from; a measurement ends a piece."""
        records, monitor_every = [], self.plan.monitor_every
        for k, update in enumerate(range(self.state.update - len(told.losses) + 1, self.state.update + 1)):
            is_measured = monitor_every is not None and update % monitor_every == 0
            if is_measured or update % self.plan.log_every == 0:
                metrics = self._measure(epoch) if is_measured else {}
                cost = told.costs[k] if told.costs else None
                accuracy = int(told.n_correct[k]) / told.size
                records.append(
                    BatchRecord(update=update, loss=float(told.losses[k]), accuracy=accuracy, cost=cost, **metrics)
                )
        return records

    def _tell_progress(self, sums: _Sums) -> None:
        if self._on_progress is not None and self.state.update % PROGRESS_EVERY == 0:
            n_updates = self.plan.n_epochs * self.plan.updates_per_epoch
            self._on_progress(self.state.update, n_updates, sums.loss / sums.n, sums.n_correct / sums.n)

    def _take_look(self, epoch: int) -> float:
        """Take the look if it is due; return its seconds."""
        if self._look is None or self.state.update != self._look_at:
            return 0.0
        start = time.perf_counter()
        self._look.on_look(Measured(**self._measure(epoch)).measured())
        return time.perf_counter() - start

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
