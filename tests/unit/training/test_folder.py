"""The folder of a training: what is saved is read back, and whatever is damaged is a fault with a remedy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlpsweep.data.dataset import Dataset
from mlpsweep.errors import DataError
from mlpsweep.settings import TrainSettings
from mlpsweep.training.folder import RunRecord, TrainingFolder
from mlpsweep.training.run import TrainingResult, run_training

MakeSettings = Callable[..., TrainSettings]


@pytest.fixture
def settings(make_settings: MakeSettings) -> TrainSettings:
    return make_settings(hidden_sizes=[8], n_epochs=2)


@pytest.fixture
def result(settings: TrainSettings, tiny_dataset: Dataset) -> TrainingResult:
    return run_training(settings, tiny_dataset)


@pytest.fixture
def folder(result: TrainingResult, settings: TrainSettings, tmp_path: Path) -> TrainingFolder:
    folder = TrainingFolder(tmp_path / "relu")
    folder.save(result, settings, b"png")
    return folder


def test_what_is_saved_is_read_back(folder: TrainingFolder, result: TrainingResult, settings: TrainSettings) -> None:
    model, read = folder.load()
    assert (model.weights_hash, read) == (result.model.weights_hash, settings)
    assert [row["epoch"] for row in folder.history()] == [1.0, 2.0]
    assert folder.history()[-1]["validation/accuracy"] == result.history[-1].validation_accuracy
    assert [path.name for path in folder.outputs] == [
        "model.npz",
        "history.csv",
        "batches.csv",
        "config.yaml",
        "curves.png",
    ]
    assert {path.name for path in folder.path.iterdir()} == {path.name for path in folder.outputs}


def test_equal_trainings_write_equal_bytes(
    folder: TrainingFolder, settings: TrainSettings, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    again = TrainingFolder(tmp_path / "again")
    again.save(run_training(settings, tiny_dataset), settings, b"png")
    assert [path.read_bytes() for path in again.outputs] == [path.read_bytes() for path in folder.outputs]


def test_settings_of_another_training_are_refused(folder: TrainingFolder) -> None:
    file = folder.path / "config.yaml"
    file.write_text(file.read_text().replace("learning_rate: 0.05", "learning_rate: 0.06"))
    with pytest.raises(DataError, match=r"config.yaml: not what model.npz was trained with \(digest .*belong together"):
        folder.load()


def test_a_setting_that_changes_no_bit_may_differ(folder: TrainingFolder, settings: TrainSettings) -> None:
    file = folder.path / "config.yaml"
    file.write_text(file.read_text().replace(f"log_every: {settings.log_every}", "log_every: 77"))
    assert folder.load()[1].log_every == 77


def test_a_model_of_earlier_times_is_taken_at_its_word(folder: TrainingFolder) -> None:
    model, _ = folder.load()
    old = {name: value for name, value in model.metadata.items() if name != "settings_digest"}
    type(model)(model.params, model.activations, model.scale, model.shift, old).save(folder.weights)
    assert folder.load()[0].weights_hash == model.weights_hash


def test_weights_that_are_no_numbers_are_refused(folder: TrainingFolder) -> None:
    model, _ = folder.load()
    model.params.weights[0][0, 0] = np.nan
    model.save(folder.weights)
    with pytest.raises(DataError, match="not all finite"):
        folder.load()


READERS: dict[str, Callable[[TrainingFolder], object]] = {
    "model.npz": TrainingFolder.load,
    "config.yaml": TrainingFolder.load,
    "history.csv": TrainingFolder.history,
}
DAMAGES = [b"", b"{}", b"[]", b"null", b"\xff\xfe", b"a: [", b"a,b\n1,x\n", b"\0", b"!!python/object:os.system {}"]


@pytest.mark.parametrize("damage", DAMAGES, ids=repr)
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_named_with_the_remedy(folder: TrainingFolder, name: str, damage: bytes) -> None:
    (folder.path / name).write_bytes(damage)
    with pytest.raises(DataError, match=rf"^[^\n]*{name}: [^\n]*[Tt]rain[^\n]*$"):
        READERS[name](folder)


@pytest.mark.parametrize("name", READERS)
def test_a_missing_file_or_a_folder_in_its_place_is_named(folder: TrainingFolder, name: str) -> None:
    (folder.path / name).unlink()
    with pytest.raises(DataError, match=f"{name}: no such file"):
        READERS[name](folder)
    (folder.path / name).mkdir()
    with pytest.raises(DataError, match=f"{name}: not a regular file"):
        READERS[name](folder)


def test_the_record_lies_beside_the_folder_and_says_what_is_known(folder: TrainingFolder) -> None:
    assert folder.record() is None
    record = RunRecord("f" * 32, "relu 8", {"numpy": "2"})
    folder.write_record(record)
    assert folder.record() == record
    assert folder.path.with_name("relu.run.json").read_text() == (
        '{\n  "made_with": {\n    "numpy": "2"\n  },\n  "name": "relu 8",\n  "run_id": "%s"\n}\n' % ("f" * 32)
    )


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"run_id": 5}', '{"run_id": "a", "metrics": []}', "\0"])
def test_a_damaged_record_is_named_with_the_remedy(folder: TrainingFolder, text: str) -> None:
    folder.path.with_name("relu.run.json").write_text(text)
    with pytest.raises(DataError, match=r"relu.run.json: .*Delete it: the run is found by its run_key then"):
        folder.record()
