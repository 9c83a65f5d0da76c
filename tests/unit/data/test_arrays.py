"""A data set in memory: what it holds, which rows are held back, and what makes it another one."""

from typing import Any

import numpy as np
import pytest

from mlpsweep.data.arrays import array_dataset, array_settings
from mlpsweep.data.split import stratified_order
from mlpsweep.errors import SettingsError
from tests.strategies import Array

LABELS = np.arange(40) % 4
NAMES = ("3", "4", "5", "7")


def rows(dtype: type = np.float64) -> Array:
    return np.random.default_rng(0).normal(size=(40, 6)).astype(dtype)


def digest(x: Array, labels: Array = LABELS, names: tuple[str, ...] = NAMES, **told: Any) -> str:
    return array_dataset(x, labels, names, array_settings(**told)).manifest.digest


def test_it_holds_the_rows_themselves_and_says_what_they_are() -> None:
    x = rows()
    dataset = array_dataset(x, LABELS, NAMES, array_settings("mine", 8))
    assert dataset.train.images is x
    assert dataset.validation.images is x
    assert (dataset.scale, dataset.shift, dataset.test) == (1.0, 0.0, None)
    manifest = dataset.manifest
    assert (manifest.dataset, manifest.n_features, manifest.n_classes) == ("mine", 6, 4)
    assert (manifest.counts, manifest.class_counts) == ({"train": 40}, {"train": [10, 10, 10, 10]})


def test_validation_rows_are_the_first_of_the_stratified_order() -> None:
    dataset = array_dataset(rows(), LABELS, NAMES, array_settings(n_validation=8))
    assert set(dataset.validation.rows) == set(stratified_order(LABELS)[:8])
    assert np.bincount(LABELS[dataset.validation.rows]).tolist() == [2, 2, 2, 2]
    assert sorted([*dataset.train.rows, *dataset.validation.rows]) == list(range(40))
    assert (np.diff(dataset.train.rows) > 0).all()


def changed(place: tuple[int, int]) -> Array:
    x = rows()
    x[place] = np.nextafter(x[place], 1.0)
    return x


@pytest.mark.parametrize(
    "other",
    [
        lambda: digest(changed((0, 0))),
        lambda: digest(changed((39, 5))),
        lambda: digest(rows(np.float32)),
        lambda: digest(rows().reshape(40, 6)[:, ::-1]),
        lambda: digest(rows(), LABELS[::-1]),
        lambda: digest(rows(), names=("a", "b", "c", "d")),
    ],
    ids=["first", "last", "dtype", "order of columns", "labels", "classes"],
)
def test_another_bit_is_another_data_set(other: Any) -> None:
    assert digest(rows()) == digest(rows())
    assert other() != digest(rows())


@pytest.mark.parametrize("name", ["../up", ".hidden", "a/b", "", "x" * 65, 3], ids=str)
def test_a_name_that_no_folder_can_have_is_refused(name: Any) -> None:
    with pytest.raises(SettingsError, match=r"name: .* does not fit; expected a name of letters"):
        array_settings(name)


def test_a_row_at_least_is_to_train_on() -> None:
    with pytest.raises(SettingsError, match=r"n_validation: 40 of 40 rows; expected fewer.*Lower n_validation"):
        array_dataset(rows(), LABELS, NAMES, array_settings(n_validation=40))
