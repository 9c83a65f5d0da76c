"""Records and their table."""

import dataclasses
import json
from typing import Any

import pytest

from mlpsweep.training.history import COLUMNS, BatchRecord, EpochRecord, History
from mlpsweep.training.measure import Measures


def record(epoch: int, **changed: float) -> EpochRecord:
    values: dict[str, Any] = {
        "learning_rate": 0.1,
        "train_loss": 1 / 3,
        "train_penalty": 0.0,
        "train_accuracy": 0.5,
        "validation_loss": 0.25,
        "validation_accuracy": 0.75,
    }
    batches = (BatchRecord(update=2, loss=0.1, accuracy=1.0, validation_loss=0.7, validation_accuracy=0.3),)
    return EpochRecord(epoch=epoch, update=10 * epoch, batches=batches, **(values | changed))


def test_metrics_carry_the_split_first() -> None:
    assert list(record(1).metrics()) == [
        "train/loss",
        "train/penalty",
        "train/accuracy",
        "validation/loss",
        "validation/accuracy",
        "learning_rate",
    ]
    assert record(1, test_loss=0.5).metrics()["test/loss"] == 0.5
    assert record(1, validation_macro_f1=0.5).metrics()["validation/macro_f1"] == 0.5


def test_what_is_measured_has_its_fields_and_columns() -> None:
    names = [f"{split}/{field.name}" for split in ("validation", "test") for field in dataclasses.fields(Measures)]
    told = BatchRecord(update=1, loss=0.1, accuracy=1.0, **{name.replace("/", "_"): 0.5 for name in names})
    assert list(told.measured()) == names
    assert [name for name in COLUMNS if name in names] == names


def test_metrics_of_a_batch() -> None:
    assert record(1).batches[0].metrics() == {
        "batch/loss": 0.1,
        "batch/accuracy": 1.0,
        "batch/validation/loss": 0.7,
        "batch/validation/accuracy": 0.3,
    }


def test_table_holds_every_float_exactly_and_no_time() -> None:
    history = History((record(1, seconds=5.0), record(2, seconds=7.0)))
    assert history.to_csv() == (
        "epoch,update,train/loss,train/penalty,train/accuracy,validation/loss,validation/accuracy,learning_rate\n"
        "1,10,0.3333333333333333,0.0,0.5,0.25,0.75,0.1\n"
        "2,20,0.3333333333333333,0.0,0.5,0.25,0.75,0.1\n"
    )


def test_table_without_epochs_is_its_header() -> None:
    assert History().to_csv() == "epoch,update\n"


def test_times_do_not_count_in_a_comparison() -> None:
    assert record(1, seconds=1.0, samples_per_s=5.0) == record(1)
    assert record(1, train_loss=0.3) != record(1)


def test_a_record_survives_json() -> None:
    original = record(3, seconds=1.5)
    restored = EpochRecord.from_dict(json.loads(json.dumps(original.to_dict())))
    assert dataclasses.astuple(restored) == dataclasses.astuple(original)
    assert restored.batches == original.batches


def test_history_is_a_sequence_of_records() -> None:
    history = History((record(1), record(2)))
    assert (len(history), history[-1].epoch, [r.epoch for r in history], len(history[:1])) == (2, 2, [1, 2], 1)


@pytest.mark.parametrize("name", ["train_loss", "epoch"])
def test_records_are_frozen(name: str) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record(1), name, 0)
