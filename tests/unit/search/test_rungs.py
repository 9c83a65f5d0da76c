"""Rungs and promotion: where trials pause, and which one goes on."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpsweep.search.rungs import FIRST_LOOK, MIN_UPDATES, first_look, n_epochs_in, promotable, rungs, rungs_of, where

EIGHTHS = (Fraction(1, 8), Fraction(5, 8))


@pytest.mark.parametrize(
    ("n_epochs", "expected"), [(1, ()), (2, (1,)), (3, (1, 2)), (8, (1, 5)), (9, (2, 6)), (16, (2, 10)), (80, (10, 50))]
)
def test_rungs_are_shares_rounded_up(n_epochs: int, expected: tuple[int, ...]) -> None:
    assert rungs(n_epochs, EIGHTHS) == expected


def test_a_share_that_is_no_binary_number_is_exact() -> None:
    assert rungs(30, [Fraction(1, 10)]) == (3,)  # 30 * 0.1 is above 3 in floating point


@given(st.integers(1, 10_000), st.lists(st.fractions(Fraction(1, 1000), 1), max_size=5))
def test_rungs_rise_and_stay_below_the_budget(n_epochs: int, shares: list[Fraction]) -> None:
    got = rungs(n_epochs, shares)
    assert list(got) == sorted(set(got))
    assert all(1 <= rung < n_epochs for rung in got)


@pytest.mark.parametrize(
    ("n_epochs", "n_updates", "expected"),
    [(8, 782, (0, 1)), (20, 782, (0, 3)), (32, 782, (1, 4)), (40, 782, (2, 5)), (8, 399, (1, 3)), (8, 400, (0, 1))],
)
def test_the_first_rung_is_a_look_where_the_epoch_has_updates_enough(
    n_epochs: int, n_updates: int, expected: tuple[int, ...]
) -> None:
    assert rungs_of(n_epochs, n_updates) == expected


@given(st.integers(1, 1000), st.integers(0, 100_000))
def test_a_search_has_at_most_two_rungs_and_a_look_within_the_first_epoch(n_epochs: int, n_updates: int) -> None:
    got = rungs_of(n_epochs, n_updates)
    assert list(got) == sorted(set(got))
    assert len(got) <= 2
    assert all(rung < n_epochs for rung in got)
    if FIRST_LOOK in got:
        assert 0 < first_look(n_epochs) < 1
        assert first_look(n_epochs) * n_updates >= MIN_UPDATES


@given(st.integers(1, 1000))
def test_without_known_updates_rungs_are_the_later_shares(n_epochs: int) -> None:
    assert rungs_of(n_epochs, 0) == rungs(n_epochs)


def test_a_look_is_no_epoch() -> None:
    assert [where(rung) for rung in (0, 1, 3)] == ["in epoch 1", "after epoch 1", "after epoch 3"]
    assert [n_epochs_in(epochs) for epochs in ([], [0], [0, 1, 2], [1, 2])] == [0, 0, 2, 2]


def test_nothing_goes_on_before_a_rung_has_eta_trials() -> None:
    assert promotable({}, set(), 3) is None
    assert promotable({4: 0.9, 7: 0.1}, set(), 3) is None
    assert promotable({4: 0.9, 7: 0.1, 8: 0.2}, set(), 3) == 4


def test_who_has_gone_on_keeps_its_place_in_the_rung() -> None:
    values = {slot: slot / 10 for slot in range(6)}
    assert [promotable(values, gone_on, 3) for gone_on in ({*()}, {5}, {5, 4}, {0, 4})] == [5, 4, None, 5]


def test_of_equal_values_the_lower_slot_goes_first() -> None:
    values = {9: 0.5, 2: 0.5, 4: 0.5}
    assert promotable(values, set(), 3) == 2
    assert promotable(values, {2}, 1) == 4


@given(st.dictionaries(st.integers(0, 50), st.sampled_from([0.1, 0.2, 0.3])), st.integers(1, 5))
def test_one_in_eta_goes_on_the_best_first(values: dict[int, float], eta: int) -> None:
    gone_on: list[int] = []
    while (slot := promotable(values, set(gone_on), eta)) is not None:
        gone_on.append(slot)
    assert len(gone_on) == len(values) // eta
    assert all(values[a] > values[b] or (values[a] == values[b] and a < b) for a, b in itertools.pairwise(gone_on))
    assert all(values[slot] <= values[gone_on[-1]] for slot in values.keys() - set(gone_on) if gone_on)
