"""The state in which a training begins, made from settings and data, and its way to and from a checkpoint."""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from mlpsweep.data.augment import augment_for
from mlpsweep.data.batches import check_rows
from mlpsweep.data.dataset import Dataset, Split
from mlpsweep.errors import SettingsError, quoted
from mlpsweep.nn.activations import ACTIVATIONS
from mlpsweep.nn.averaging import Average
from mlpsweep.nn.network import Network, init_params
from mlpsweep.nn.optimizers import OPTIMIZERS
from mlpsweep.nn.products import bind_for
from mlpsweep.nn.schedules import SCHEDULES
from mlpsweep.schema import Family, nearest
from mlpsweep.settings import TrainSettings
from mlpsweep.training.checkpoint import Checkpoint
from mlpsweep.training.history import EpochRecord
from mlpsweep.training.trainer import State, TrainingPlan
from mlpsweep.types import FloatArray

N_NAMED: Final = 10
"""Classes that a message lists."""


def keywords_of(settings: Family) -> dict[str, Any]:
    """Return what a member of a family adds to its name: the keywords of the function or class it names."""
    return {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings) if field.name != "name"}


def float_type(dataset: Dataset) -> type[np.floating[Any]]:
    """Return the type of all numbers of a training: float64 on float64 data, else float32."""
    return np.float64 if dataset.train.images.dtype == np.float64 else np.float32


def make_plan(settings: TrainSettings, dataset: Dataset) -> TrainingPlan:
    """Return the numbers of a training on a data set.

    Raises
    ------
    SettingsError
        If a batch is larger than the split, or a class that is weighted is none of the set.
    """
    n_rows = len(dataset.train)
    if settings.batch_size > n_rows:
        raise SettingsError(
            f"batch_size: {settings.batch_size} with {n_rows} training rows; expected 1 .. {n_rows}. "
            f"Example: batch_size={min(64, n_rows)}"
        )
    updates = n_rows // settings.batch_size if settings.drop_last else math.ceil(n_rows / settings.batch_size)
    factor = functools.partial(
        SCHEDULES[settings.schedule.name],
        n_updates=updates * settings.total_epochs,
        updates_per_epoch=updates,
        **keywords_of(settings.schedule),
    )
    return TrainingPlan(
        rate=lambda update: settings.learning_rate * factor(update),
        l2_lambda=settings.l2_lambda,
        batch_size=settings.batch_size,
        updates_per_epoch=updates,
        n_epochs=settings.total_epochs,
        shuffle=settings.shuffle,
        drop_last=settings.drop_last,
        log_every=settings.log_every,
        monitor_every=settings.monitor_every,
        patience=settings.patience,
        input_dropout=settings.input_dropout,
        report_cost=settings.report_cost,
        augment=augment_for(settings.augment.name, dataset.manifest.image_shape, **keywords_of(settings.augment)),
        class_weights=class_weights(settings.class_weight, dataset),
    )


def class_weights(told: str | Mapping[str, float] | None, dataset: Dataset) -> FloatArray | None:
    """Return what each row's gradient is multiplied by, by its class; None for 1.

    Over the training rows the weights are 1 on average, so that a learning rate means what it does without them:
    n_rows / (n_classes * rows of the class) for ``balanced``, over the classes that have rows.

    Raises
    ------
    SettingsError
        If a name is no class of the set, or no training row has a weight.
    """
    if told is None:
        return None
    names = dataset.manifest.class_names
    counts = np.bincount(dataset.train.labels[dataset.train.rows], minlength=len(names))
    if isinstance(told, str):
        weights = 1.0 / np.maximum(counts, 1)
    else:
        if unknown := [name for name in told if name not in names]:
            known = f"{', '.join(names[:N_NAMED])}{', ...' if len(names) > N_NAMED else ''}"
            raise SettingsError(
                *(f"class_weight: {quoted(one)} is no class{nearest(one, names)}; expected {known}" for one in unknown)
            )
        weights = np.array([told.get(name, 1.0) for name in names])
    total = float(weights @ counts)
    if total == 0.0:
        raise SettingsError("class_weight: no training row has a weight above 0; expected one. Set class_weight=null")
    return np.where(counts > 0, weights * (counts.sum() / total), 0.0).astype(float_type(dataset))


def make_state(
    settings: TrainSettings, n_features: int, n_classes: int, dtype: type[np.floating[Any]] = np.float32
) -> State:
    """Return the state before the first update: each kind of draw has its own stream of the seed."""
    streams = np.random.SeedSequence(settings.seed).spawn(4)
    init_rng, batch_rng, dropout_rng, augment_rng = (np.random.default_rng(stream) for stream in streams)
    params = init_params(
        (n_features, *settings.hidden_sizes, n_classes),
        settings.initializer,
        init_rng,
        init_std=settings.init_std,
        bias_init=settings.bias_init,
        dtype=dtype,
    )
    bind = bind_for(settings.threads)
    activations = tuple(ACTIVATIONS[name] for name in settings.activations)
    network = Network(params, activations, settings.dropout, bind)
    optimizer = OPTIMIZERS[settings.optimizer.name](params, bind, **keywords_of(settings.optimizer))
    average = None if settings.averaging is None else Average(params, settings.averaging)
    return State(
        network, optimizer, batch_rng, dropout_rng, update=0, records=[], augment_rng=augment_rng, average=average
    )


def monitored_split(settings: TrainSettings, dataset: Dataset) -> tuple[str, Split] | None:
    """Return the name and the rows of the split to measure after each epoch, or None.

    Raises
    ------
    SettingsError
        If the data set holds no rows of it.
    ShapeError
        If a row number is outside the arrays.
    """
    splits = {"validation": dataset.validation, "test": dataset.test, "none": None}
    split = splits[settings.monitor]
    if settings.monitor == "none":
        return None
    if split is None or not len(split):
        raise SettingsError(
            f"monitor: {settings.monitor}, but no rows of that split were loaded; expected at least one. "
            "Set monitor=none, or load the split."
        )
    check_rows(split.images, split.labels, split.rows)
    return settings.monitor, split


def to_checkpoint(state: State, run_key: str) -> Checkpoint:
    """Return a snapshot of a state; its arrays are the live ones, so write it before the next update."""
    values = {
        "update": state.update,
        "n_steps": state.optimizer.n_steps,
        "batch_rng": state.batch_rng.bit_generator.state,
        "dropout_rng": state.dropout_rng.bit_generator.state,
        "augment_rng": state.augment_rng.bit_generator.state,
        "records": [record.to_dict() for record in state.records],
    }
    arrays = {"params": state.network.params.flat}
    arrays |= {f"optimizer.{name}": array for name, array in state.optimizer.state.items()}
    arrays |= {} if state.best is None else {"best": state.best}
    arrays |= {} if state.average is None else {"average": state.average.params.flat}
    return Checkpoint(run_key, len(state.records), values, arrays)


def restore(state: State, checkpoint: Checkpoint) -> None:
    """Bring a fresh state of the same settings to where a checkpoint was taken."""
    values, arrays = checkpoint.values, checkpoint.arrays
    state.update, state.optimizer.n_steps = values["update"], values["n_steps"]
    state.batch_rng.bit_generator.state = values["batch_rng"]
    state.dropout_rng.bit_generator.state = values["dropout_rng"]
    state.augment_rng.bit_generator.state = values["augment_rng"]
    state.records[:] = [EpochRecord.from_dict(record) for record in values["records"]]
    state.network.params.flat[:] = arrays["params"]
    for name, array in state.optimizer.state.items():
        array[:] = arrays[f"optimizer.{name}"]
    state.best = arrays.get("best")
    if state.average is not None:
        state.average.params.flat[:] = arrays["average"]
