import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpsweep.data.split import stratified_order

label_lists = st.lists(st.integers(0, 9), min_size=1, max_size=300).map(lambda values: np.array(values, np.uint8))
seeds = st.integers(0, 2**32 - 1)


@given(label_lists, seeds)
def test_order_is_a_permutation_of_all_rows(labels: np.ndarray, seed: int) -> None:
    assert np.array_equal(np.sort(stratified_order(labels, seed)), np.arange(len(labels)))


@given(label_lists, seeds)
def test_every_prefix_has_nearly_the_balance_of_the_whole(labels: np.ndarray, seed: int) -> None:
    one_hot = labels[stratified_order(labels, seed)][:, None] == np.unique(labels)
    share = one_hot.mean(axis=0)
    prefix_counts = one_hot.cumsum(axis=0)
    expected = np.arange(1, len(labels) + 1)[:, None] * share
    assert (np.abs(prefix_counts - expected) <= 1 + one_hot.shape[1] / 2 * share).all()


@given(label_lists, seeds)
def test_same_seed_gives_the_same_order(labels: np.ndarray, seed: int) -> None:
    assert np.array_equal(stratified_order(labels, seed), stratified_order(labels, seed))


def test_seed_zero_is_a_seed_of_its_own() -> None:
    labels = np.arange(100) % 10
    assert not np.array_equal(stratified_order(labels, 0), stratified_order(labels, 1))


def test_order_is_random_within_a_class() -> None:
    order = stratified_order(np.zeros(1000, np.uint8))
    assert abs(np.corrcoef(order, np.arange(1000))[0, 1]) < 5 / np.sqrt(1000)


def test_which_class_comes_first_is_random() -> None:
    labels = np.arange(100) % 10
    firsts = {int(labels[stratified_order(labels, seed)[0]]) for seed in range(60)}
    assert len(firsts) > 5


def test_missing_class_is_no_fault() -> None:
    assert sorted(stratified_order(np.array([7, 2, 7], np.uint8))) == [0, 1, 2]


@pytest.mark.parametrize(("n", "digest"), [(1000, "b8dc47d7a233774c")])
def test_order_is_the_same_on_every_machine(n: int, digest: str) -> None:
    order = stratified_order(np.arange(n) % 7)
    assert order.dtype == np.int32
    assert hashlib.sha256(order.astype("<i4").tobytes()).hexdigest()[:16] == digest
