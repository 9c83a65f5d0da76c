import dataclasses
import mmap
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlpsweep.data.dataset import Dataset, Split, load_dataset
from mlpsweep.data.manifest import Manifest
from mlpsweep.errors import ChecksumError, DataError, DataFormatError, SettingsError
from mlpsweep.settings import DataSettings
from tests.raw_files import flip

N_TRAIN_FILE, N_TEST_FILE = 1437, 360
TRAIN_ARRAYS = ("train_images.npy", "train_labels.npy", "split.npy")
TEST_ARRAYS = ("test_images.npy", "test_labels.npy")


@pytest.fixture
def folder(prepared_digits: Path, tmp_path: Path) -> Path:
    """A prepared folder to damage."""
    return Path(shutil.copytree(prepared_digits, tmp_path / "prepared"))


def _with(base: DataSettings, **changes: Any) -> DataSettings:
    return dataclasses.replace(base, **changes)


def test_default_split_takes_validation_first_and_trains_on_the_rest(tiny_dataset: Dataset) -> None:
    assert (len(tiny_dataset.train), len(tiny_dataset.validation)) == (1137, 300)
    both = np.concatenate([tiny_dataset.train.rows, tiny_dataset.validation.rows])
    assert np.array_equal(np.sort(both), np.arange(N_TRAIN_FILE))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(n_validation=st.integers(0, N_TRAIN_FILE - 1), data=st.data())
def test_train_and_validation_never_share_a_row(
    n_validation: int, data: st.DataObject, prepared_digits: Path, digits_settings: DataSettings
) -> None:
    n_train = data.draw(st.integers(1, N_TRAIN_FILE - n_validation))
    dataset = load_dataset(prepared_digits, _with(digits_settings, n_validation=n_validation, n_train=n_train))
    assert (len(dataset.train), len(dataset.validation)) == (n_train, n_validation)
    assert not set(dataset.train.rows) & set(dataset.validation.rows)


def test_rows_are_in_file_order(tiny_dataset: Dataset) -> None:
    assert (np.diff(tiny_dataset.train.rows) > 0).all()
    assert (np.diff(tiny_dataset.validation.rows) > 0).all()
    assert tiny_dataset.train.rows.dtype == np.intp


def test_validation_is_the_beginning_of_the_split_index(tiny_dataset: Dataset, prepared_digits: Path) -> None:
    order = np.load(prepared_digits / "split.npy")
    assert np.array_equal(tiny_dataset.validation.rows, np.sort(order[:300]))


def test_train_is_what_follows_in_the_split_index(prepared_digits: Path, digits_settings: DataSettings) -> None:
    order = np.load(prepared_digits / "split.npy")
    dataset = load_dataset(prepared_digits, _with(digits_settings, n_train=100, n_validation=50))
    assert np.array_equal(dataset.train.rows, np.sort(order[50:150]))


@pytest.mark.parametrize(("n_train", "expected"), [(100, 100), (None, N_TRAIN_FILE)])
def test_without_validation_the_first_rows_of_the_file_are_trained_on(
    n_train: int | None, expected: int, prepared_digits: Path, digits_settings: DataSettings
) -> None:
    dataset = load_dataset(prepared_digits, _with(digits_settings, n_validation=0, n_train=n_train))
    assert np.array_equal(dataset.train.rows, np.arange(expected))
    assert len(dataset.validation) == 0


def test_splits_are_balanced(tiny_dataset: Dataset) -> None:
    counts = np.bincount(tiny_dataset.validation.labels[tiny_dataset.validation.rows], minlength=10)
    assert np.abs(counts - 30).max() <= 3


def test_labels_belong_to_their_images(tiny_dataset: Dataset) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    train, validation = tiny_dataset.train, tiny_dataset.validation
    model = KNeighborsClassifier(1).fit(train.images[train.rows], train.labels[train.rows])
    assert model.score(validation.images[validation.rows], validation.labels[validation.rows]) > 0.97


@pytest.mark.parametrize("n_test", [None, 7])
def test_test_split_is_the_first_rows_of_its_file(
    n_test: int | None, prepared_digits: Path, digits_settings: DataSettings
) -> None:
    test = load_dataset(prepared_digits, _with(digits_settings, n_test=n_test), with_test=True).test
    assert test is not None
    assert np.array_equal(test.rows, np.arange(n_test or N_TEST_FILE))
    assert test.images.shape == (N_TEST_FILE, 64)


def _mapping(array: Any) -> Any:
    return array if array is None or isinstance(array, mmap.mmap) else _mapping(getattr(array, "base", None))


@pytest.mark.parametrize("name", ["train", "validation", "test"])
def test_arrays_are_mapped_and_cannot_be_changed(name: str, tiny_dataset: Dataset) -> None:
    split: Split = getattr(tiny_dataset, name)
    for array in (split.images, split.labels):
        assert isinstance(_mapping(array), mmap.mmap)
        assert type(array) is np.ndarray
        assert not array.flags.writeable


@pytest.mark.parametrize(
    ("scaling", "mean", "spread"), [("standardize", 0.0, 1.0), ("unit", None, None), ("none", None, None)]
)
def test_scaling_gives_what_its_name_says(
    scaling: str, mean: float | None, spread: float | None, prepared_digits: Path, digits_settings: DataSettings
) -> None:
    dataset = load_dataset(prepared_digits, _with(digits_settings, scaling=scaling))
    x = dataset.train.images * dataset.scale + dataset.shift
    if mean is None:
        assert (x.min(), x.max()) == (0.0, {"unit": 1.0, "none": 16.0}[scaling])
    else:
        assert (x.mean(), x.std()) == (pytest.approx(mean, abs=1e-12), pytest.approx(spread, rel=1e-12))


def test_test_arrays_are_not_needed_without_the_test_split(folder: Path, digits_settings: DataSettings) -> None:
    for name in TEST_ARRAYS:
        (folder / name).unlink()
    assert load_dataset(folder, digits_settings).test is None


@pytest.mark.parametrize("name", TRAIN_ARRAYS + TEST_ARRAYS)
def test_missing_array_is_named(name: str, folder: Path, digits_settings: DataSettings) -> None:
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"{name}: no such file. `dvc repro -f prepare`"):
        load_dataset(folder, digits_settings, with_test=True)


@pytest.mark.parametrize("name", TRAIN_ARRAYS + TEST_ARRAYS)
def test_one_flipped_byte_is_refused(name: str, folder: Path, digits_settings: DataSettings) -> None:
    expected = Manifest.read(folder).arrays[name]
    flip(folder / name, 200)
    with pytest.raises(ChecksumError, match=f"{name}: .*SHA-256 is [0-9a-f]{{64}}; expected {expected}"):
        load_dataset(folder, digits_settings, with_test=True)


@pytest.mark.parametrize("seed", range(100))
def test_a_flip_anywhere_is_refused(seed: int, folder: Path, digits_settings: DataSettings) -> None:
    rng = np.random.default_rng(seed)
    path = folder / rng.choice(TRAIN_ARRAYS + TEST_ARRAYS)
    flip(path, int(rng.integers(path.stat().st_size)), int(rng.integers(1, 256)))
    with pytest.raises(DataError, match=path.name):
        load_dataset(folder, digits_settings, with_test=True)


@pytest.mark.parametrize("name", TRAIN_ARRAYS)
def test_array_of_another_set_is_refused(name: str, folder: Path, digits_settings: DataSettings) -> None:
    np.save(folder / name, np.zeros(3, np.uint8))
    with pytest.raises(ChecksumError, match=name):
        load_dataset(folder, digits_settings)


def test_stand_in_is_not_taken_for_the_set(folder: Path, digits_settings: DataSettings) -> None:
    dataclasses.replace(Manifest.read(folder), stands_in_for="mnist").write(folder)
    with pytest.raises(DataError, match="holds digits, standing in for mnist; expected mnist. Connect, or set MNIST_"):
        load_dataset(folder, _with(digits_settings, name="mnist"))


def test_stand_in_is_loaded_as_what_it_is(folder: Path, digits_settings: DataSettings) -> None:
    dataclasses.replace(Manifest.read(folder), stands_in_for="mnist").write(folder)
    assert load_dataset(folder, digits_settings).manifest.stands_in_for == "mnist"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_train": 1438, "n_validation": 0}, "data.n_train=1438 and data.n_validation=0: .* at most 1437 together"),
        ({"n_train": 1138, "n_validation": 300}, "data.n_train=1138 and data.n_validation=300: more rows"),
        ({"n_validation": 1437}, "data.n_train=null and data.n_validation=1437: more rows"),
        ({"n_validation": 9999}, "data.n_train=null and data.n_validation=9999: more rows"),
        ({"n_test": 361}, "data.n_test=361: more rows than the test file of digits has; expected at most 360"),
    ],
)
def test_more_rows_than_there_are_is_a_setting_out_of_range(
    changes: dict[str, int], message: str, prepared_digits: Path, digits_settings: DataSettings
) -> None:
    with pytest.raises(SettingsError, match=message):
        load_dataset(prepared_digits, _with(digits_settings, **changes), with_test=True)


@pytest.mark.parametrize("share", np.linspace(0, 0.999, 60))
def test_a_flip_anywhere_in_the_manifest_is_refused(share: float, folder: Path) -> None:
    path = folder / "manifest.json"
    flip(path, int(share * path.stat().st_size), 0x04)
    with pytest.raises(DataError, match="manifest.json: .*`dvc repro"):
        Manifest.read(folder)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("[]", DataFormatError, "not a manifest; expected the keys arrays, class_counts"),
        ("{}", DataFormatError, "not a manifest"),
        ("{", DataFormatError, "not JSON"),
        ("\x00", DataFormatError, "not JSON"),
    ],
)
def test_manifest_that_is_none_is_refused(text: str, error: type[DataError], message: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(error, match=f"manifest.json: {message}"):
        Manifest.read(tmp_path)


def test_changed_figure_in_the_manifest_is_refused(folder: Path, digits_settings: DataSettings) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"pixel_std": 6.', '"pixel_std": 7.'))
    with pytest.raises(ChecksumError, match="manifest.json: the file is damaged, its contents have digest"):
        load_dataset(folder, digits_settings)


def test_unprepared_folder_is_named(tmp_path: Path, digits_settings: DataSettings) -> None:
    with pytest.raises(DataError, match="manifest.json: no such file, so nothing was prepared. Run `dvc repro"):
        load_dataset(tmp_path / "nothing", digits_settings)
