"""The same settings give the same bits: again, in a new process, and after an interruption at any epoch."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlpsweep.data.dataset import Dataset
from mlpsweep.settings import TrainSettings
from mlpsweep.training.checkpoint import CheckpointStore
from mlpsweep.training.history import EpochRecord
from mlpsweep.training.run import run_training

MakeSettings = Callable[..., TrainSettings]


class Interrupted(Exception):
    """Stands for whatever ends a training from outside."""


FAMILIES: dict[str, dict[str, Any]] = {
    "sgd": {"l2_lambda": 0.5},
    "momentum": {"optimizer": "momentum", "learning_rate": 0.01, "schedule": "cosine"},
    "adam": {"optimizer": "adam", "learning_rate": 0.003, "dropout": 0.2, "patience": 2},
    "file order": {"shuffle": False, "initializer": "normal", "init_std": 0.3, "bias_init": "weights"},
    "class weights": {"class_weight": "balanced", "l2_lambda": 0.5},
    "averaging": {"averaging": 0.9, "optimizer": "momentum", "learning_rate": 0.01},
}
each_family = pytest.mark.parametrize("changed", FAMILIES.values(), ids=FAMILIES)


def interrupt_after(epoch: int) -> Callable[[EpochRecord], None]:
    def stop(record: EpochRecord) -> None:
        if record.epoch == epoch:
            raise Interrupted

    return stop


@each_family
@pytest.mark.parametrize("epoch", [1, 2, 3, 4])
def test_resumed_equals_uninterrupted(
    changed: dict[str, Any], epoch: int, make_settings: MakeSettings, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    settings, store = make_settings(n_epochs=5, **changed), CheckpointStore(tmp_path)
    whole = run_training(settings, tiny_dataset)
    with pytest.raises(Interrupted):
        run_training(settings, tiny_dataset, checkpoints=store, on_epoch=interrupt_after(epoch))
    reported = list[EpochRecord]()
    resumed = run_training(settings, tiny_dataset, checkpoints=store, on_epoch=reported.append)
    assert resumed.resumed_from == epoch
    assert resumed.model.weights_hash == whole.model.weights_hash
    assert resumed.history == whole.history
    assert resumed.history.to_csv() == whole.history.to_csv()
    assert tuple(reported) == whole.history.records  # the restored records, too


@each_family
def test_interrupted_after_every_epoch_equals_uninterrupted(
    changed: dict[str, Any], make_settings: MakeSettings, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    settings, store = make_settings(n_epochs=5, **changed), CheckpointStore(tmp_path)
    for epoch in range(1, 5):
        with pytest.raises(Interrupted):
            run_training(settings, tiny_dataset, checkpoints=store, on_epoch=interrupt_after(epoch))
    resumed = run_training(settings, tiny_dataset, checkpoints=store)
    assert resumed.model.weights_hash == run_training(settings, tiny_dataset).model.weights_hash


def test_best_weights_survive_an_interruption_after_their_epoch(
    make_settings: MakeSettings, twenty_rows: Dataset, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    dataset = dataclasses.replace(twenty_rows, validation=tiny_dataset.validation)
    settings = make_settings(patience=3, n_epochs=200, batch_size=5, learning_rate=0.1)
    whole, store = run_training(settings, dataset), CheckpointStore(tmp_path)
    with pytest.raises(Interrupted):
        run_training(settings, dataset, checkpoints=store, on_epoch=interrupt_after(whole.epoch_of_weights + 2))
    resumed = run_training(settings, dataset, checkpoints=store)
    assert resumed.epoch_of_weights == whole.epoch_of_weights
    assert resumed.model.weights_hash == whole.model.weights_hash


@pytest.mark.parametrize("n_damaged", [1, 2])
def test_after_damage_the_training_ends_with_the_same_bits(
    n_damaged: int, make_settings: MakeSettings, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    settings, store = make_settings(n_epochs=4, optimizer="adam"), CheckpointStore(tmp_path)
    with pytest.raises(Interrupted):
        run_training(settings, tiny_dataset, checkpoints=store, on_epoch=interrupt_after(3))
    for path in sorted(tmp_path.iterdir(), reverse=True)[:n_damaged]:
        path.write_bytes(path.read_bytes()[:-9])
    resumed = run_training(settings, tiny_dataset, checkpoints=store)
    assert (resumed.resumed_from, len(resumed.passed_over)) == ({1: 2, 2: 0}[n_damaged], n_damaged)
    assert resumed.model.weights_hash == run_training(settings, tiny_dataset).model.weights_hash


def test_a_finished_training_is_not_trained_again(
    make_settings: MakeSettings, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    settings, store = make_settings(n_epochs=2), CheckpointStore(tmp_path)
    first = run_training(settings, tiny_dataset, checkpoints=store)
    again = run_training(settings, tiny_dataset, checkpoints=store)
    assert (again.resumed_from, again.model.weights_hash) == (2, first.model.weights_hash)


def test_another_settings_checkpoint_is_not_used(
    make_settings: MakeSettings, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    store = CheckpointStore(tmp_path)
    run_training(make_settings(seed=0), tiny_dataset, checkpoints=store)
    other = run_training(make_settings(seed=1), tiny_dataset, checkpoints=store)
    assert (other.resumed_from, len(other.passed_over)) == (0, 2)
    assert "belongs to run_key" in other.passed_over[0]


@pytest.mark.parametrize(
    "changed", [{"log_every": 1}, {"monitor_every": 3}, {"monitor": "none"}, {"averaging": 0.9}], ids=str
)
def test_what_is_logged_does_not_change_the_bits(
    changed: dict[str, Any], make_settings: MakeSettings, tiny_dataset: Dataset
) -> None:
    plain, other = (
        run_training(make_settings(dropout=0.1, **options), tiny_dataset).model.weights_hash
        for options in ({}, changed)
    )
    assert plain == other


def test_every_seed_is_honoured(make_settings: MakeSettings, tiny_dataset: Dataset) -> None:
    first, again, other = (run_training(make_settings(seed=seed), tiny_dataset) for seed in (0, 0, 1))
    assert first.history == again.history
    assert first.model.weights_hash == again.model.weights_hash
    assert first.model.weights_hash != other.model.weights_hash


@pytest.mark.parametrize(("changed", "differs"), [({"dropout": 0.3}, True), ({"shuffle": False}, True)], ids=str)
def test_streams_of_draws_are_apart(
    changed: dict[str, Any], differs: bool, make_settings: MakeSettings, tiny_dataset: Dataset
) -> None:
    # What a batch holds and where the weights start does not depend on whether units are dropped.
    plain, other = (
        run_training(make_settings(n_epochs=0, **options), tiny_dataset).model.weights_hash for options in ({}, changed)
    )
    assert plain == other
    trained = [
        run_training(make_settings(n_epochs=1, **options), tiny_dataset).model.weights_hash for options in ({}, changed)
    ]
    assert (trained[0] != trained[1]) == differs


CHILD = """
import sys
from pathlib import Path
import json
from mlpsweep.data.dataset import load_dataset
from mlpsweep.settings import TrainSettings
from mlpsweep.training.run import run_training
from mlpsweep.types import IndexArray
settings = TrainSettings.build(json.loads(sys.argv[1]))
result = run_training(settings, load_dataset(Path(sys.argv[2]), settings.data))
sys.stdout.write(result.model.weights_hash + result.history.to_csv())
"""


@pytest.mark.slow
def test_a_new_process_gives_the_same_bits(
    make_settings: MakeSettings, tiny_dataset: Dataset, prepared_digits: Path
) -> None:
    settings = make_settings(dropout=0.1, optimizer="momentum")
    text = json.dumps(dataclasses.asdict(settings))
    done = subprocess.run(
        [sys.executable, "-c", CHILD, text, str(prepared_digits)], capture_output=True, text=True, check=True
    )
    result = run_training(settings, tiny_dataset)
    assert done.stdout == result.model.weights_hash + result.history.to_csv()


def test_two_threads_learn_the_same_up_to_rounding(make_settings: MakeSettings, tiny_dataset: Dataset) -> None:
    one, two = (run_training(make_settings(threads=n), tiny_dataset) for n in (1, 2))
    for first, second in zip(one.history, two.history, strict=True):
        assert second.train_loss == pytest.approx(first.train_loss, rel=1e-3)


def test_settings_of_the_families_cover_every_optimizer() -> None:
    assert {changed.get("optimizer", "sgd") for changed in FAMILIES.values()} == {"sgd", "momentum", "adam"}
