"""A training with averaged weights: what is measured with them, and that nothing is learned from them."""

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlpsweep.data.dataset import Dataset
from mlpsweep.nn.optimizers import OPTIMIZERS
from mlpsweep.nn.schedules import SCHEDULES
from mlpsweep.settings import TrainSettings
from mlpsweep.training.checkpoint import CheckpointStore
from mlpsweep.training.history import EpochRecord, Measured
from mlpsweep.training.identity import run_key
from mlpsweep.training.measure import Measurer
from mlpsweep.training.run import TrainingResult, run_training
from mlpsweep.training.setup import make_state, restore

MakeSettings = Callable[..., TrainSettings]
MEASURED = tuple(field.name for field in dataclasses.fields(Measured))


def both(settings: TrainSettings, dataset: Dataset) -> tuple[TrainingResult, TrainingResult]:
    """Return the training without and with averaged weights."""
    return run_training(settings, dataset), run_training(dataclasses.replace(settings, averaging=0.9), dataset)


def unmeasured(record: EpochRecord) -> EpochRecord:
    return dataclasses.replace(record, **dict.fromkeys(MEASURED))


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
@pytest.mark.parametrize("changed", [{}, {"dropout": 0.2, "l2_lambda": 0.5}, {"threads": 2}], ids=str)
def test_the_weights_are_those_of_a_training_without(
    optimizer: str, schedule: str, changed: dict[str, Any], make_settings: MakeSettings, tiny_dataset: Dataset
) -> None:
    rate = 0.003 if optimizer == "adam" else 0.02
    settings = make_settings(optimizer=optimizer, schedule=schedule, learning_rate=rate, **changed)
    plain, averaged = both(settings, tiny_dataset)
    assert averaged.model.weights_hash == plain.model.weights_hash
    assert averaged.objective("validation/loss") == plain.objective("validation/loss")
    assert list(map(unmeasured, averaged.history)) == list(map(unmeasured, plain.history))


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_last_epoch_is_measured_as_without_and_each_before_it_is_not(
    split: str, make_settings: MakeSettings, tiny_dataset: Dataset
) -> None:
    plain, averaged = both(make_settings(monitor=split, monitor_every=10, n_epochs=3), tiny_dataset)
    loss = f"{split}/loss"
    equal = [
        one.metrics()[loss] == other.metrics()[loss] for one, other in zip(plain.history, averaged.history, strict=True)
    ]
    assert equal == [False, False, True]
    assert averaged.history[-1] == plain.history[-1]  # the batches measured within it, too
    assert averaged.history[0].batches != plain.history[0].batches


def test_an_epoch_is_measured_with_the_average_that_its_checkpoint_holds(
    make_settings: MakeSettings, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    settings, split = make_settings(averaging=0.95, n_epochs=3), tiny_dataset.validation
    state, measured = make_state(settings, 64, 10), list[tuple[float, float]]()
    assert state.average is not None
    network = dataclasses.replace(state.network, params=state.average.params)
    measurer = Measurer(network, split.images, tiny_dataset.scale, tiny_dataset.shift)
    store, key = CheckpointStore(tmp_path), run_key(settings, tiny_dataset.manifest.digest)

    def measure_again(record: EpochRecord) -> None:
        checkpoint, _ = store.load(key)
        assert checkpoint is not None
        restore(state, checkpoint)
        one = measurer.measure(split.labels, split.rows)
        measured.append((one.loss, one.accuracy))

    history = run_training(settings, tiny_dataset, checkpoints=store, on_epoch=measure_again).history
    told = [(record.validation_loss, record.validation_accuracy) for record in history]
    assert measured[:-1] == told[:-1]
    assert measured[-1] != told[-1]


def test_the_first_and_every_fourth_update_before_the_last_epoch_is_taken_in(
    make_settings: MakeSettings, twenty_rows: Dataset, tmp_path: Path
) -> None:
    settings = make_settings(averaging=0.9, batch_size=20, n_epochs=9)  # an update is an epoch
    state = make_state(settings, 64, 10)
    assert state.average is not None
    averages = [state.average.params.flat]
    store, key = CheckpointStore(tmp_path), run_key(settings, twenty_rows.manifest.digest)

    def keep(record: EpochRecord) -> None:
        checkpoint, _ = store.load(key)
        assert checkpoint is not None
        averages.append(checkpoint.arrays["average"])

    run_training(settings, twenty_rows, checkpoints=store, on_epoch=keep)
    changed = [k for k, (before, after) in enumerate(itertools.pairwise(averages), 1) if (before != after).any()]
    assert changed == [1, 5]


def test_one_epoch_is_as_without(make_settings: MakeSettings, tiny_dataset: Dataset) -> None:
    plain, averaged = both(make_settings(n_epochs=1), tiny_dataset)
    assert averaged.history == plain.history


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_noise_of_a_high_rate_is_averaged_away(seed: int, make_settings: MakeSettings, tiny_dataset: Dataset) -> None:
    noisy: dict[str, Any] = {"hidden_sizes": [64, 64], "learning_rate": 0.3, "batch_size": 8, "schedule": "cosine"}
    settings = make_settings(**noisy, n_epochs=8, seed=seed)
    plain, averaged = both(settings, tiny_dataset)
    losses = [[record.validation_loss or 0.0 for record in one.history[:4]] for one in (plain, averaged)]
    assert sum(losses[1]) < 0.8 * sum(losses[0])
