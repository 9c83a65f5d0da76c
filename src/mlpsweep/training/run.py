"""One training from settings and data to a model, as train, search, recipes and verify share it."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mlpsweep.data.batches import check_rows
from mlpsweep.data.dataset import Dataset
from mlpsweep.errors import NoResultError, SettingsError
from mlpsweep.nn.network import Params
from mlpsweep.schema import nearest
from mlpsweep.settings import TrainSettings
from mlpsweep.training.blas import blas_threads
from mlpsweep.training.checkpoint import CheckpointStore
from mlpsweep.training.history import EpochRecord, History
from mlpsweep.training.identity import run_key, settings_digest
from mlpsweep.training.model import Model
from mlpsweep.training.setup import float_type, make_plan, make_state, monitored_split, restore, to_checkpoint
from mlpsweep.training.trainer import Look, OnProgress, State, Trainer

OnEpoch = Callable[[EpochRecord], object]


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training.

    Parameters
    ----------
    model : Model
        Model with the parameters of the last epoch, or of the best one if ``patience`` is set.
    history : History
        Records of all epochs.
    epoch_of_weights : int
        Epoch after which the model's parameters were taken; 0 if none was trained.
    seconds : float
        Wall time of all epochs, those before a resumption included.
    samples_per_s : float
        Rows trained on per second of training, measuring left out; 0 if no epoch was trained.
    resumed_from : int
        Epochs that came from a checkpoint.
    passed_over : tuple of str
        A message for each checkpoint that could not be used.
    """

    model: Model
    history: History
    epoch_of_weights: int
    seconds: float
    samples_per_s: float
    resumed_from: int = 0
    passed_over: tuple[str, ...] = ()

    def metrics(self) -> dict[str, float]:
        """Return the metrics of the epoch whose weights the model has; none if no epoch was trained."""
        return self.history[self.epoch_of_weights - 1].metrics() if self.epoch_of_weights else {}

    def __str__(self) -> str:
        """Return the figures as a line: ``train 94.61 %, validation 94.36 % (loss 0.1950), 2 epochs in 5.6 s``."""
        metrics = self.metrics()
        parts = [
            f"{split} {100 * metrics[f'{split}/accuracy']:.2f} % (loss {metrics[f'{split}/loss']:#.4g})"
            for split in ("train", "validation", "test")
            if f"{split}/accuracy" in metrics
        ]
        n_epochs = len(self.history)
        return ", ".join([*parts, f"{n_epochs} epoch{'s' * (n_epochs != 1)} in {self.seconds:.1f} s"])

    def objective(self, metric: str) -> float:
        """Return a metric of the epoch that the model's parameters come from, such as ``validation/accuracy``.

        Raises
        ------
        NoResultError
            If no epoch was trained.
        SettingsError
            If that metric was not measured.
        """
        if self.epoch_of_weights == 0:
            raise NoResultError(f"{metric}: no epoch was trained, so there is no value. Set n_epochs to 1 or more.")
        metrics = self.metrics()
        if metric not in metrics:
            raise SettingsError(
                f"metric: {metric!r} was not measured{nearest(metric, metrics)}; expected one of {', '.join(metrics)}."
            )
        return metrics[metric]


def run_training(
    settings: TrainSettings,
    dataset: Dataset,
    *,
    on_epoch: OnEpoch | None = None,
    on_progress: OnProgress | None = None,
    checkpoints: CheckpointStore | None = None,
    look: Look | None = None,
) -> TrainingResult:
    """Train one network.

    Parameters
    ----------
    settings : TrainSettings
    dataset : Dataset
        Data set, loaded with its test split if ``monitor=test``.
    on_epoch : callable or None
        Callback with each epoch's record, after the checkpoint is on the disk. A resumed training first calls it with
        the restored records, so a receiver that was killed in between misses none. An exception of the callback ends
        the training.
    on_progress : callable or None
        Callback within an epoch, see :data:`mlpsweep.training.trainer.OnProgress`.
    checkpoints : CheckpointStore or None
        Store of the checkpoints to resume from and to write after each epoch. A resumed training ends with the bits
        of one that was never interrupted.
    look : Look or None
        A measurement within the first epoch; a training that is resumed after that takes none.

    Returns
    -------
    TrainingResult

    Raises
    ------
    SettingsError
        If ``batch_size`` exceeds the training rows, ``class_weight`` names no class of the set, or the monitored split
        is not there.
    ShapeError
        If the data set's rows do not fit its arrays.
    DivergenceError
        At the first batch whose loss is not finite.
    OSError
        If a checkpoint cannot be written.
    """
    check_rows(dataset.train.images, dataset.train.labels, dataset.train.rows)
    plan = make_plan(settings, dataset)
    monitored = monitored_split(settings, dataset)
    manifest = dataset.manifest
    key = run_key(settings, manifest.digest)
    state = make_state(settings, manifest.n_features, manifest.n_classes, float_type(dataset))
    checkpoint, passed_over = checkpoints.load(key) if checkpoints is not None else (None, ())
    if checkpoint is not None:
        restore(state, checkpoint)
    resumed_from = len(state.records)
    with blas_threads(settings.threads):
        scaling = dataset.scale, dataset.shift
        fitted = Trainer(state, plan, dataset.train, scaling, monitored, on_progress, look).fit()
        for record in itertools.chain(state.records[:], _saved(fitted, state, key, checkpoints)):
            if on_epoch is not None:
                on_epoch(record)
    return _result(settings, dataset, state, key, resumed_from=resumed_from, passed_over=passed_over)


def _saved(
    records: Iterator[EpochRecord], state: State, key: str, checkpoints: CheckpointStore | None
) -> Iterator[EpochRecord]:
    """Yield each record when its checkpoint is written."""
    for record in records:
        if checkpoints is not None:
            checkpoints.save(to_checkpoint(state, key))
        yield record


def _result(settings: TrainSettings, dataset: Dataset, state: State, key: str, **resumption: Any) -> TrainingResult:
    history, manifest, params = History(tuple(state.records)), dataset.manifest, state.network.params
    epoch = len(history)
    if state.best is not None:
        params, epoch = Params.of(state.best, params.layer_sizes), state.best_epoch
    metadata: dict[str, Any] = {
        "dataset": manifest.dataset,
        "stands_in_for": manifest.stands_in_for,
        "data_digest": manifest.digest,
        "run_key": key,
        "settings_digest": settings_digest(settings),
        "epoch_of_weights": epoch,
    }
    if manifest.columns:  # a served model gets rows as the file has them
        metadata["columns"] = list(manifest.columns)
    trained_s = sum(1.0 / record.samples_per_s for record in history)
    return TrainingResult(
        model=Model(params, settings.activations, dataset.scale, dataset.shift, metadata),
        history=history,
        epoch_of_weights=epoch,
        seconds=sum(record.seconds for record in history),
        samples_per_s=len(history) / trained_s if history else 0.0,
        **resumption,
    )
