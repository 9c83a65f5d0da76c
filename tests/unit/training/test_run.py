"""A training as a whole: what it learns, reports, refuses, and how it goes on after an interruption."""

import dataclasses
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from mlpsweep.data.dataset import Dataset, Split
from mlpsweep.errors import DivergenceError, NoResultError, SettingsError, ShapeError
from mlpsweep.settings import TrainSettings
from mlpsweep.training.history import EpochRecord, History
from mlpsweep.training.run import run_training
from mlpsweep.types import IndexArray

MakeSettings = Callable[..., TrainSettings]


def with_train_rows(dataset: Dataset, rows: IndexArray) -> Dataset:
    return dataclasses.replace(dataset, train=Split(dataset.train.images, dataset.train.labels, rows))


# Learning


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "leaky_relu", "elu", "gelu", "silu"])
def test_twenty_rows_are_learned_by_heart(activation: str, make_settings: MakeSettings, twenty_rows: Dataset) -> None:
    settings = make_settings(
        activation=activation, hidden_sizes=[64], n_epochs=200, batch_size=5, learning_rate=0.02, optimizer="momentum"
    )
    last = run_training(settings, twenty_rows).history[-1]
    assert last.train_loss < 0.01
    assert last.train_accuracy == 1.0
    assert last.validation_loss == pytest.approx(last.train_loss, abs=0.01)  # the same rows, measured after the epoch


def test_the_digits_are_learned(make_settings: MakeSettings, tiny_dataset: Dataset) -> None:
    result = run_training(make_settings(n_epochs=10, learning_rate=0.2), tiny_dataset)
    assert 0.90 < result.objective("validation/accuracy") < 0.99


def test_the_penalty_shrinks_the_weights(make_settings: MakeSettings, tiny_dataset: Dataset) -> None:
    free, bound = (run_training(make_settings(l2_lambda=value), tiny_dataset) for value in (0.0, 10.0))
    norms = [sum(float((w**2).sum()) for w in result.model.params.weights) for result in (free, bound)]
    assert norms[1] < 0.64 * norms[0]
    assert free.history[0].train_penalty == 0.0
    assert bound.history[0].train_penalty > 0.0


# What is reported


def test_a_step_of_size_zero_reports_the_untrained_network(make_settings: MakeSettings, tiny_dataset: Dataset) -> None:
    # A schedule that starts at 1e-300 leaves float32 weights as drawn, so the means over batches, weighted by rows,
    # are the mean over all rows; 1,137 rows in batches of 100 leave one of 37.
    settings = make_settings(batch_size=100, learning_rate=1e-300, l2_lambda=2.0, n_epochs=1, monitor="validation")
    dataset = dataclasses.replace(tiny_dataset, validation=tiny_dataset.train)
    result = run_training(settings, dataset)
    record = result.history[0]
    assert record.train_loss == pytest.approx(record.validation_loss, rel=1e-5)
    assert record.train_accuracy == record.validation_accuracy
    squares = sum(float((weights.astype(np.float64) ** 2).sum()) for weights in result.model.params.weights)
    n_batches, n_rows = 12, len(dataset.train)  # each batch of b rows counts b times l2_lambda / (2 b) * squares
    assert record.train_penalty == pytest.approx(n_batches * 2.0 / 2 * squares / n_rows, rel=1e-5)


@pytest.mark.parametrize(("drop_last", "updates"), [(False, 12), (True, 11)])
def test_updates_and_batch_records(
    drop_last: bool, updates: int, make_settings: MakeSettings, tiny_dataset: Dataset
) -> None:
    settings = make_settings(batch_size=100, drop_last=drop_last, log_every=5, monitor_every=4, n_epochs=2)
    history = run_training(settings, tiny_dataset).history
    assert [record.update for record in history] == [updates, 2 * updates]
    batches = [batch for record in history for batch in record.batches]
    logged = {u for u in range(1, 2 * updates + 1) if u % 5 == 0 or u % 4 == 0}
    assert {batch.update for batch in batches} == logged
    assert {batch.update for batch in batches if batch.validation_loss is not None} == {u for u in logged if u % 4 == 0}


def test_progress_is_told_every_fifty_updates(make_settings: MakeSettings, tiny_dataset: Dataset) -> None:
    told = list[tuple[int, int, float, float]]()
    settings = make_settings(batch_size=10, n_epochs=1)
    result = run_training(settings, tiny_dataset, on_progress=lambda *values: told.append(values))
    assert [(done, total) for done, total, _, _ in told] == [(50, 114), (100, 114)]
    assert 0 < told[-1][2] < 3
    assert 0 < told[-1][3] <= 1
    assert result.samples_per_s > 0


def test_the_learning_rate_follows_its_schedule(make_settings: MakeSettings, tiny_dataset: Dataset) -> None:
    settings = make_settings(schedule="step", n_epochs=6, learning_rate=0.2)
    rates = [record.learning_rate for record in run_training(settings, tiny_dataset).history]
    assert rates == pytest.approx([0.2] * 5 + [0.02])


@pytest.mark.parametrize("monitor", ["validation", "test", "none"])
def test_only_the_monitored_split_is_measured(monitor: str, make_settings: MakeSettings, tiny_dataset: Dataset) -> None:
    record = run_training(make_settings(monitor=monitor, n_epochs=1), tiny_dataset).history[0]
    measured = {name.split("/")[0] for name in record.measured()}
    assert measured == {monitor} - {"none"}


@pytest.mark.parametrize(("loss", "shown"), [(0.195, "0.1950"), (12.3456, "12.35"), (1.7e28, "1.700e+28")])
def test_the_line_of_a_training_shows_any_loss_in_short(
    loss: float, shown: str, make_settings: MakeSettings, tiny_dataset: Dataset
) -> None:
    result = run_training(make_settings(n_epochs=1), tiny_dataset)
    record = dataclasses.replace(result.history[0], train_loss=loss, train_accuracy=0.5, validation_accuracy=None)
    line = str(dataclasses.replace(result, history=History((record,)), seconds=1.26))
    assert line == f"train 50.00 % (loss {shown}), 1 epoch in 1.3 s"


def test_without_epochs_the_model_is_as_drawn(make_settings: MakeSettings, tiny_dataset: Dataset) -> None:
    result = run_training(make_settings(n_epochs=0), tiny_dataset)
    assert (len(result.history), result.epoch_of_weights, result.samples_per_s) == (0, 0, 0.0)
    with pytest.raises(NoResultError, match="validation/loss: no epoch was trained"):
        result.objective("validation/loss")


def test_a_metric_that_was_not_measured_is_refused_with_the_nearest(
    make_settings: MakeSettings, tiny_dataset: Dataset
) -> None:
    result = run_training(make_settings(n_epochs=1), tiny_dataset)
    with pytest.raises(SettingsError, match="'validation/acuracy' was not measured .did you mean validation/accuracy"):
        result.objective("validation/acuracy")


def test_the_model_knows_where_it_comes_from(make_settings: MakeSettings, tiny_dataset: Dataset) -> None:
    model = run_training(make_settings(n_epochs=1), tiny_dataset).model
    assert model.metadata["dataset"] == "digits"
    assert model.metadata["data_digest"] == tiny_dataset.manifest.digest
    assert len(model.metadata["run_key"]) == 64
    assert (model.scale, model.shift) == (tiny_dataset.scale, tiny_dataset.shift)


# Early stopping


def test_training_stops_without_gain_and_gives_back_the_best_weights(
    make_settings: MakeSettings, twenty_rows: Dataset, tiny_dataset: Dataset
) -> None:
    dataset = dataclasses.replace(twenty_rows, validation=tiny_dataset.validation)
    settings = make_settings(patience=3, n_epochs=200, batch_size=5, learning_rate=0.1)
    result = run_training(settings, dataset)
    losses = [record.validation_loss or 0.0 for record in result.history]
    best = int(np.argmin(losses)) + 1
    assert (result.epoch_of_weights, len(losses)) == (best, best + 3)
    assert result.objective("validation/loss") == min(losses)
    until_best = run_training(dataclasses.replace(settings, patience=None, n_epochs=best), dataset)
    assert result.model.weights_hash == until_best.model.weights_hash


# Refusals


def test_divergence_stops_at_its_batch_without_a_warning(make_settings: MakeSettings, tiny_dataset: Dataset) -> None:
    records = list[EpochRecord]()
    settings = make_settings(learning_rate=1e6, l2_lambda=1.0)
    with pytest.raises(
        DivergenceError, match=r"the loss is (nan|inf) at epoch 1, update \d+, with learning rate 1e\+06"
    ) as caught:
        run_training(settings, tiny_dataset, on_epoch=records.append)
    assert records == []
    assert caught.value.update < len(tiny_dataset.train) // settings.batch_size


@pytest.mark.parametrize(
    ("monitor", "l2_lambda"), [("validation", 0.0), ("none", 1e20)], ids=["in the split", "in the weights"]
)
def test_divergence_at_the_last_update_does_not_pass(
    monitor: str, l2_lambda: float, make_settings: MakeSettings, twenty_rows: Dataset
) -> None:
    settings = make_settings(monitor=monitor, l2_lambda=l2_lambda, learning_rate=1e30, batch_size=20, n_epochs=1)
    with pytest.raises(DivergenceError, match="the loss is nan at epoch 1, update 1"):
        run_training(settings, twenty_rows)


def test_divergence_names_the_epoch_and_the_update_that_was_not_made(
    make_settings: MakeSettings, twenty_rows: Dataset
) -> None:
    settings = make_settings(monitor="none", learning_rate=1e30, batch_size=20, n_epochs=3)
    with pytest.raises(DivergenceError) as caught:
        run_training(settings, twenty_rows)
    assert (caught.value.epoch, caught.value.update) == (2, 2)


def test_a_batch_larger_than_the_split_is_refused(make_settings: MakeSettings, twenty_rows: Dataset) -> None:
    with pytest.raises(SettingsError, match=r"batch_size: 21 with 20 training rows; expected 1 \.\. 20"):
        run_training(make_settings(batch_size=21), twenty_rows)


@pytest.mark.parametrize("monitor", ["test", "validation"])
def test_a_monitored_split_that_is_not_there_is_refused(
    monitor: str, make_settings: MakeSettings, tiny_dataset: Dataset
) -> None:
    none = Split(tiny_dataset.train.images, tiny_dataset.train.labels, np.arange(0))
    dataset = dataclasses.replace(tiny_dataset, test=None, validation=none)
    with pytest.raises(SettingsError, match=f"monitor: {monitor}, but no rows of that split were loaded"):
        run_training(make_settings(monitor=monitor), dataset)


def test_rows_that_the_file_does_not_have_are_refused(make_settings: MakeSettings, tiny_dataset: Dataset) -> None:
    with pytest.raises(ShapeError, match=r"rows: 0 \.\. 5000 for images of shape"):
        run_training(make_settings(batch_size=2), with_train_rows(tiny_dataset, np.array([0, 5000])))


# Memory


@pytest.mark.slow
def test_an_epoch_allocates_less_than_sixty_megabytes(make_settings: MakeSettings, tiny_dataset: Dataset) -> None:
    n_rows = 60_000
    images = np.random.default_rng(0).integers(0, 17, (n_rows, 784), np.uint8)
    split = Split(images, (np.arange(n_rows) % 10).astype(np.uint8), np.arange(n_rows))
    manifest = dataclasses.replace(tiny_dataset.manifest, image_shape=(28, 28))
    dataset = dataclasses.replace(tiny_dataset, manifest=manifest, train=split, validation=split)
    settings = make_settings(hidden_sizes=[500, 250, 100], batch_size=500, n_epochs=1, optimizer="adam", patience=1)
    tracemalloc.start()
    run_training(settings, dataset)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6
