"""What recipes ask of a training: the reported cost, dropped pixels, distorted images."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlpsweep.data.dataset import Dataset
from mlpsweep.settings import TrainSettings
from mlpsweep.training.checkpoint import CheckpointStore
from mlpsweep.training.run import run_training

MakeSettings = Callable[..., TrainSettings]
CHANGES = [{"input_dropout": 0.2}, {"augment": "distort"}]


def test_the_cost_starts_where_ten_equal_probabilities_are(make_settings: MakeSettings, tiny_dataset: Dataset) -> None:
    few = make_settings(report_cost=True, log_every=1, n_epochs=1, initializer="normal", init_std=1e-6)
    record = run_training(few, tiny_dataset).history[0]
    assert record.batches[0].metrics()["batch/cost"] == pytest.approx(-math.log(0.1) - 9 * math.log(0.9), rel=1e-4)
    sizes = [few.batch_size] * (len(record.batches) - 1)
    sizes.append(len(tiny_dataset.train) - sum(sizes))
    costs = [size * batch.metrics()["batch/cost"] for size, batch in zip(sizes, record.batches, strict=True)]
    assert record.metrics()["train/cost"] == pytest.approx(sum(costs) / sum(sizes))


def test_the_cost_is_reported_on_request_only_and_changes_no_weight(
    make_settings: MakeSettings, tiny_dataset: Dataset
) -> None:
    without, with_cost = (run_training(make_settings(report_cost=wanted), tiny_dataset) for wanted in (False, True))
    assert "cost" not in without.history.to_csv()
    assert "train/cost" in with_cost.history.to_csv()
    assert without.model.weights_hash == with_cost.model.weights_hash


@pytest.mark.parametrize("changed", CHANGES, ids=["pixels", "distort"])
def test_changed_images_change_the_training_and_nothing_measured(
    changed: dict[str, Any], make_settings: MakeSettings, tiny_dataset: Dataset
) -> None:
    plain, other = (
        run_training(make_settings(n_epochs=1), tiny_dataset),
        run_training(make_settings(n_epochs=1, **changed), tiny_dataset),
    )
    assert plain.model.weights_hash != other.model.weights_hash
    still, same = (
        run_training(make_settings(n_epochs=1, learning_rate=1e-30, **c), tiny_dataset).history[0]
        for c in ({}, changed)
    )
    assert same.validation_loss == still.validation_loss
    assert same.train_loss != still.train_loss


@pytest.mark.parametrize("changed", CHANGES, ids=["pixels", "distort"])
def test_a_resumed_training_ends_with_the_same_bits(
    changed: dict[str, Any], make_settings: MakeSettings, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    settings, store = make_settings(n_epochs=3, **changed), CheckpointStore(tmp_path)
    whole = run_training(settings, tiny_dataset)

    def stop(record: Any) -> None:
        if record.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training(settings, tiny_dataset, on_epoch=stop, checkpoints=store)
    resumed = run_training(settings, tiny_dataset, checkpoints=store)
    assert resumed.resumed_from == 2
    assert resumed.model.weights_hash == whole.model.weights_hash


def test_the_set_itself_is_not_modified(make_settings: MakeSettings, tiny_dataset: Dataset) -> None:
    before = tiny_dataset.train.images.copy()
    run_training(make_settings(augment="distort", n_epochs=1), tiny_dataset)
    assert (tiny_dataset.train.images == before).all()
