"""Dimensions: what the YAML says is what is drawn, and every mistake in it is named."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpsweep.errors import SettingsError
from mlpsweep.search.dimensions import Categorical, Leaf, Range, Widths
from mlpsweep.search.grammar import parse_dimension
from mlpsweep.search.settings import SpaceSettings
from tests.search_lab import base_settings

LR = {"type": "float", "low": 0.01, "high": 1.0, "log": True}
WIDTHS = {"type": "widths", "depth": {"low": 0, "high": 3}, "width": {"low": 4, "high": 64, "log": True}}


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    integer, log = draw(st.booleans()), draw(st.booleans())
    numbers = st.integers(1, 10_000) if integer else st.floats(1e-6, 1e6)
    low, high = sorted((draw(numbers), draw(numbers)))
    if log or not draw(st.booleans()):
        return Range("learning_rate", low, high, integer, log)
    step = draw(st.integers(1, 100)) if integer else max(high / 1000, draw(st.floats(1e-3, 1e3)))
    high = low + math.floor((high - low) / step) * step
    return Range("learning_rate", low, high, integer, log, step)


@given(ranges(), st.floats(0, 1))
def test_every_draw_lies_in_its_range(leaf: Range, u: float) -> None:
    assert leaf.contains(leaf.from_unit(u))


@given(ranges())
def test_draws_reach_both_ends(leaf: Range) -> None:
    assert leaf.from_unit(0.0) == pytest.approx(leaf.low)
    assert leaf.from_unit(1.0) == pytest.approx(leaf.high)


@given(ranges(), st.floats(0, 1), st.floats(0, 1))
def test_draws_keep_the_order_of_the_unit_interval(leaf: Range, u: float, v: float) -> None:
    low, high = (leaf.from_unit(x) for x in sorted((u, v)))
    assert float(str(low)) <= float(str(high))


@given(ranges())
def test_levels_lie_in_the_range_and_differ(leaf: Range) -> None:
    levels = leaf.levels()
    assert len(set(levels)) == len(levels)
    assert all(leaf.contains(level) for level in levels)


def test_logarithmic_draws_spread_evenly_over_decades() -> None:
    leaf = Range("learning_rate", 1e-4, 1.0, log=True)
    assert [leaf.from_unit(u) for u in (0.25, 0.5, 0.75)] == pytest.approx([1e-3, 1e-2, 1e-1])


def test_integers_have_equal_shares_including_the_ends() -> None:
    leaf = Range("batch_size", 1, 4, integer=True)
    drawn = [leaf.from_unit((i + 0.5) / 1000) for i in range(1000)]
    assert [drawn.count(value) for value in (1, 2, 3, 4)] == [250] * 4


@pytest.mark.parametrize(
    ("leaf", "levels"),
    [
        (Range("batch_size", 16, 64, integer=True, step=16), (16, 32, 48, 64)),
        (Range("dropout", 0.0, 0.3, step=0.1), (0.0, 0.1, 0.2, 0.30000000000000004)),
        (Range("learning_rate", 0.01, 1.0, log=True), pytest.approx((0.01, 0.0316, 0.1, 0.316, 1.0), rel=1e-2)),
        (Range("n", 1, 3, integer=True, log=True), (1, 2, 3)),
        (Categorical("activation", ("relu", "tanh")), ("relu", "tanh")),
    ],
    ids=["int step", "float step", "log", "short log int", "choice"],
)
def test_a_grid_takes_steps_or_a_few_points(leaf: Leaf, levels: Any) -> None:
    assert leaf.levels() == levels


def test_widths_exist_only_as_far_as_the_depth_reaches() -> None:
    dimension = parse_dimension("hidden_sizes", WIDTHS)
    drawn: dict[str, Any] = {}

    def draw(leaf: Leaf) -> Any:
        drawn[leaf.name] = leaf.from_unit(0.5)
        return drawn[leaf.name]

    dimension.walk(draw)
    assert drawn == {"hidden_sizes.depth": 2, "hidden_sizes.1": 15, "hidden_sizes.2": 15}
    assert dimension.decode(drawn) == {"hidden_sizes": [15, 15]}


@given(st.lists(st.integers(4, 64), max_size=3))
def test_widths_go_there_and_back(sizes: list[int]) -> None:
    dimension = parse_dimension("hidden_sizes", WIDTHS)
    params = dimension.encode(base_settings(hidden_sizes=sizes))
    assert params is not None
    assert dimension.decode(params) == {"hidden_sizes": sizes}


@pytest.mark.parametrize("sizes", [(3,), (65,), (8, 8, 8, 8)], ids=["narrow", "wide", "deep"])
def test_widths_outside_the_space_have_no_leaves(sizes: tuple[int, ...]) -> None:
    assert parse_dimension("hidden_sizes", WIDTHS).encode(base_settings(hidden_sizes=sizes)) is None


def test_a_choice_of_lists_goes_there_and_back() -> None:
    dimension = parse_dimension("hidden_sizes", {"type": "categorical", "choices": [[128, 32], [64]]})
    params = dimension.encode(base_settings(hidden_sizes=[128, 32]))
    assert params == {"hidden_sizes": "[128, 32]"}
    assert dimension.decode(params) == {"hidden_sizes": [128, 32]}


def test_a_stepped_range_ends_on_a_step() -> None:
    dimension = parse_dimension("batch_size", {"type": "int", "low": 10, "high": 99, "step": 20})
    (leaf,) = dimension.leaves()
    assert isinstance(leaf, Range)
    assert leaf.high == 90


def test_depth_and_width_are_integers() -> None:
    dimension = parse_dimension("hidden_sizes", WIDTHS)
    assert isinstance(dimension, Widths)
    assert dimension.depth.integer
    assert dimension.width.integer


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    [
        ("learning_rate", {**LR, "low": 2.0}, r"learning_rate: low 2.0 is above high 1.0; expected low <= high"),
        ("learning_rate", {**LR, "low": 0}, r"learning_rate: log with low 0; a logarithm needs low above 0"),
        ("learning_rate", {**LR, "low": "0.1"}, r"learning_rate.low: '0.1'; expected a finite number"),
        ("learning_rate", {**LR, "high": float("inf")}, r"learning_rate.high: inf; expected a finite number"),
        ("learning_rate", {**LR, "step": 0.1}, r"learning_rate: both log and step"),
        ("learning_rate", {**LR, "step": -1, "log": False}, r"learning_rate: step -1; expected a number above 0"),
        ("learning_rate", {**LR, "log": "yes"}, r"learning_rate: log is 'yes'; expected true or false"),
        ("learning_rate", {**LR, "hihg": 1}, r"learning_rate.hihg: no such key \(did you mean high\?"),
        ("learning_rate", {"type": "float", "low": 1}, r"learning_rate.high: not set \(expected here: high, log"),
        ("learning_rate", {**LR, "type": "flaot"}, r"learning_rate.type: 'flaot' is not known.*did you mean float\?"),
        ("learning_rate", {**LR, "low": -1.0, "log": False}, r"learning_rate: the space holds -1.0; expected a finite"),
        ("learnig_rate", LR, r"learnig_rate: not a setting that can be searched \(did you mean learning_rate\?"),
        ("seed", {"type": "int", "low": 0, "high": 9}, r"seed: not a setting that can be searched"),
        ("batch_size", {"type": "int", "low": 1.5, "high": 9}, r"batch_size.low: 1.5; expected an integer"),
        ("activation", {"type": "categorical", "choices": []}, r"activation.choices: \[\]; expected a list with"),
        ("activation", {"type": "categorical", "choices": ["relu", "rleu"]}, r"activation: the space holds 'rleu'"),
        (
            "activation",
            {"type": "categorical", "choices": ["relu", "relu"]},
            r"activation.choices: .* names a value twice; expected each once",
        ),
        ("hidden_sizes", {**WIDTHS, "depth": 3}, r"hidden_sizes.depth: 3; expected a range such as"),
        (
            "hidden_sizes",
            {**WIDTHS, "depth": {"low": -1, "high": 2}},
            r"hidden_sizes.depth.low: -1; expected an integer",
        ),
        (
            "hidden_sizes",
            {**WIDTHS, "width": {"low": 0, "high": 2}},
            r"hidden_sizes: the space holds \[0.*expected a list",
        ),
        ("hidden_sizes", LR, r"hidden_sizes.type: 'float' is not known; expected one of categorical, widths"),
    ],
)
def test_a_mistake_in_a_space_is_named(name: str, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=rf"^dimensions\.{message}"):
        SpaceSettings.build({"dimensions": {name: spec}, "max_parameters": None})


def test_all_mistakes_of_a_space_come_at_once() -> None:
    wrong = {"learning_rate": {**LR, "low": 2.0}, "l2_lambda": {"type": "float", "low": 1}}
    with pytest.raises(SettingsError) as caught:
        SpaceSettings.build({"dimensions": wrong, "max_parameters": None})
    assert len(caught.value.messages) == 2


def test_an_empty_space_is_refused() -> None:
    with pytest.raises(SettingsError, match="dimensions: empty; expected a searched setting"):
        SpaceSettings.build({"dimensions": {}, "max_parameters": None})
