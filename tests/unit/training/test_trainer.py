"""The training loop by itself: which epoch is best, whose time is training's, whose draws are whose."""

import dataclasses
import itertools
import json
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mlpsweep.data.batches import Gatherer
from mlpsweep.data.dataset import Dataset
from mlpsweep.settings import TrainSettings
from mlpsweep.training import trainer
from mlpsweep.training.measure import Measurer, Measures
from mlpsweep.training.run import run_training
from mlpsweep.training.setup import make_plan, make_state, monitored_split
from mlpsweep.training.trainer import Look, State, Trainer

MakeSettings = Callable[..., TrainSettings]


def drawn_state(settings: TrainSettings, dataset: Dataset) -> State:
    return make_state(settings, dataset.manifest.n_features, dataset.manifest.n_classes)


def make_trainer(settings: TrainSettings, dataset: Dataset, **planned: Any) -> Trainer:
    """The trainer of a fresh training; keywords replace what the settings plan."""
    plan = dataclasses.replace(make_plan(settings, dataset), **planned)
    scaling, state = (dataset.scale, dataset.shift), drawn_state(settings, dataset)
    return Trainer(state, plan, dataset.train, scaling, monitored_split(settings, dataset))


def test_of_equal_losses_the_first_epoch_is_the_best_and_patience_counts_from_it(
    make_settings: MakeSettings, tiny_dataset: Dataset
) -> None:
    # A step of size 1e-300 leaves the float32 weights as drawn, so all epochs measure the same loss.
    result = run_training(make_settings(patience=2, n_epochs=9, learning_rate=1e-300), tiny_dataset)
    assert len({record.validation_loss for record in result.history}) == 1
    assert (result.epoch_of_weights, len(result.history)) == (1, 3)


def test_measuring_is_no_training_time_but_time_of_the_epoch(
    make_settings: MakeSettings, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, measure = [0.0], Measurer.measure

    def slow_augment(images: Any, rows: Any, out: Any, rng: Any) -> None:
        out[rows] = images[rows]
        now[0] += 5.0

    def slow_measure(self: Measurer, *split: Any) -> Measures:
        now[0] += 100.0
        return measure(self, *split)

    monkeypatch.setattr(trainer, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(Measurer, "measure", slow_measure)
    # 12 updates: measured after the fifth, the tenth and the epoch.
    settings = make_settings(batch_size=100, monitor_every=5, n_epochs=1)
    (record,) = make_trainer(settings, tiny_dataset, augment=slow_augment).fit()
    assert record.samples_per_s == len(tiny_dataset.train) / 5.0
    assert record.seconds == 5.0 + 3 * 100.0


@pytest.mark.parametrize("seed", range(10))
def test_no_figure_depends_on_where_pieces_end(seed: int, make_settings: MakeSettings, tiny_dataset: Dataset) -> None:
    rng = np.random.default_rng(seed)
    settings = make_settings(n_epochs=2, averaging=0.99, l2_lambda=0.1, report_cost=True, seed=seed)
    settings = dataclasses.replace(settings, batch_size=int(rng.integers(1, 40)), activation="relu")
    look = Look(float(rng.uniform(0.01, 1.0)), lambda metrics: None)
    cut = run_training(settings, tiny_dataset, look=look, on_progress=lambda *told: None)
    assert cut.history == run_training(settings, tiny_dataset).history


@pytest.mark.parametrize("after", [0.01, 0.25, 0.5, 1.0])
def test_a_look_measures_within_the_first_epoch_and_changes_nothing(
    after: float, make_settings: MakeSettings, tiny_dataset: Dataset
) -> None:
    looked: list[Any] = []
    settings = make_settings(n_epochs=3, averaging=0.99, dropout=0.1, batch_size=7)
    with_look = run_training(settings, tiny_dataset, look=Look(after, looked.append))
    assert with_look.history == run_training(settings, tiny_dataset).history
    n_updates = math.ceil(len(tiny_dataset.train) / 7)
    at = math.ceil(after * n_updates)
    # Measured at the same update by other means, it is the same.
    every = run_training(dataclasses.replace(settings, monitor_every=at), tiny_dataset).history[0]
    (there,) = [batch for batch in every.batches if batch.update == at]
    assert looked == [there.measured()]


def test_a_look_is_told_before_the_epoch_and_its_exception_ends_the_training(
    make_settings: MakeSettings, tiny_dataset: Dataset
) -> None:
    class Enough(Exception):
        pass

    def end(metrics: Any) -> None:
        raise Enough

    with pytest.raises(Enough):
        run_training(
            make_settings(n_epochs=2), tiny_dataset, look=Look(0.5, end), on_epoch=lambda record: pytest.fail("told")
        )


@pytest.mark.parametrize("changed", [{"dropout": 0.3}, {"input_dropout": 0.2}, {"augment": "distort"}], ids=str)
def test_what_the_batches_hold_does_not_depend_on_other_draws(
    changed: dict[str, Any], make_settings: MakeSettings, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, take = list[Any](), Gatherer.take

    def noted(self: Gatherer, rows: Any) -> None:
        taken.extend(rows)
        take(self, rows)

    monkeypatch.setattr(Gatherer, "take", noted)
    for options in ({}, changed):
        list(make_trainer(make_settings(n_epochs=3, monitor="none", **options), tiny_dataset).fit())
    orders = np.reshape(taken, (6, len(tiny_dataset.train)))
    np.testing.assert_array_equal(orders[:3], orders[3:])
    assert all((one != two).any() for one, two in itertools.pairwise(orders[:3]))


def test_each_kind_of_draw_has_a_stream_of_its_own(make_settings: MakeSettings, tiny_dataset: Dataset) -> None:
    state = drawn_state(make_settings(), tiny_dataset)
    streams = (state.batch_rng, state.dropout_rng, state.augment_rng)
    assert len({json.dumps(stream.bit_generator.state) for stream in streams}) == 3
