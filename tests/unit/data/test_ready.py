"""Data sets made ready: fetched and prepared once, a stand-in settled, refused where it is not allowed."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from mlpsweep.data.dataset import Dataset
from mlpsweep.data.manifest import Manifest
from mlpsweep.data.ready import DataFolders, open_dataset
from mlpsweep.errors import DataError, SettingsError, StorageError
from mlpsweep.settings import DataSettings
from tests.raw_files import settings_of, small_files

NOBODY = "https://127.0.0.1:9/"
pytestmark = pytest.mark.usefixtures("_no_mirror")


@pytest.fixture
def _no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MNIST_MIRROR", raising=False)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def folders(tmp_path: Path, said: list[str]) -> DataFolders:
    return dataclasses.replace(DataFolders.below(tmp_path), notify=said.append)


@pytest.fixture
def unreachable() -> DataSettings:
    """A set called mnist that nobody serves, for which the digits may stand in."""
    return settings_of(small_files(), mirrors=(NOBODY,), fallback="digits")


def test_what_is_missing_is_made_once(folders: DataFolders, digits_settings: DataSettings, said: list[str]) -> None:
    made: list[tuple[Dataset, Path]] = []
    folders = dataclasses.replace(folders, on_prepared=lambda dataset, folder: made.append((dataset, folder)))
    for _ in range(2):
        settings, dataset = folders.open(digits_settings)
        assert (settings, len(dataset.train), dataset.test) == (digits_settings, 1137, None)
    folder = folders.prepared / "digits"
    assert said == [f"{folder} is missing: downloading and preparing digits first"]
    assert [place for _, place in made] == [folder]
    assert len(made[0][0].train) == 1137


def test_the_test_split_is_opened_on_request(folders: DataFolders, digits_settings: DataSettings) -> None:
    test = folders.open(digits_settings, with_test=True)[1].test
    assert test is not None
    assert len(test) == 360


@pytest.mark.parametrize(("asked", "kept"), [(10, 300), (0, 0)], ids=["validation rows", "none"])
def test_a_stand_in_comes_with_its_own_settings(
    folders: DataFolders, unreachable: DataSettings, said: list[str], asked: int, kept: int
) -> None:
    allowing = dataclasses.replace(folders, allow_fallback=True)
    settings, dataset = allowing.open(dataclasses.replace(unreachable, n_validation=asked))
    assert (settings.name, settings.n_validation, len(dataset.validation)) == ("digits", kept, kept)
    assert (dataset.manifest.dataset, dataset.manifest.stands_in_for) == ("digits", "mnist")
    first, after_download, last = said
    assert first.endswith("mnist is missing: downloading and preparing mnist first")
    assert after_download == last
    assert last.startswith(f"MNIST could not be downloaded ({NOBODY}: Connection refused)")


def test_a_stand_in_that_is_not_allowed_is_refused(folders: DataFolders, unreachable: DataSettings) -> None:
    with pytest.raises(DataError, match=r"could not be downloaded \(https://127.0.0.1:9/: Connection refused\)"):
        folders.open(unreachable)
    assert not (folders.prepared / "mnist").exists()


@pytest.mark.parametrize("act", [DataFolders.open, DataFolders.prepare], ids=["open", "prepare"])
def test_a_stand_in_of_an_earlier_command_is_refused_where_it_is_not_allowed(
    folders: DataFolders, unreachable: DataSettings, act: Callable[[DataFolders, DataSettings], object]
) -> None:
    dataclasses.replace(folders, allow_fallback=True).open(unreachable)
    with pytest.raises(DataError, match="holds digits, standing in for mnist; expected mnist"):
        act(folders, unreachable)


def test_a_data_set_opens_by_name_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_dataset("digits").test is None
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"raw", "prepared"}
    assert (tmp_path / "data" / "prepared" / "digits" / "manifest.json").is_file()


def test_a_data_set_opens_by_settings_in_a_given_folder(tmp_path: Path, digits_settings: DataSettings) -> None:
    few = dataclasses.replace(digits_settings, n_train=5, n_validation=0, n_test=7)
    dataset = open_dataset(few, str(tmp_path), with_test=True)
    assert dataset.test is not None
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (5, 0, 7)


def test_a_named_set_is_that_set_or_an_error(tmp_path: Path, unreachable: DataSettings) -> None:
    with pytest.raises(DataError, match="MNIST could not be downloaded"):
        open_dataset(unreachable, tmp_path)


def test_an_unknown_name_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"data: 'digit' is not known.*did you mean digits\?"):
        open_dataset("digit", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(StorageError, match=f"{tmp_path}/data/prepared: .*expected a folder that can be written"):
        open_dataset("digits", tmp_path)


def test_the_digits_of_an_earlier_training_are_those_of_now(folders: DataFolders, prepared_digits: Path) -> None:
    former = DataSettings(name="digits", n_epochs=100, n_validation=300, n_train=50)  # its files went without saying
    dataset = folders.open(former)[1]
    assert (dataset.manifest.digest, len(dataset.train)) == (Manifest.read(prepared_digits).digest, 50)
