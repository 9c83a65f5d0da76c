"""Spaces: YAML to Optuna to settings and back."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from mlpsweep.errors import SettingsError
from mlpsweep.nn.network import n_parameters
from tests.search_lab import CARD, CONF, make_space

CARD_SPACE = make_space()
WIDTHS = CARD["dimensions"]["hidden_sizes"]
TINY = {
    "dimensions": {
        "activation": {"type": "categorical", "choices": ["relu", "tanh"]},
        "hidden_sizes": {"type": "widths", "depth": {"low": 0, "high": 2}, "width": {"low": 4, "high": 8, "step": 4}},
    },
    "max_parameters": None,
}


@given(st.lists(st.floats(0, 1), min_size=7, max_size=7))
def test_a_drawn_configuration_goes_to_settings_and_back(units: list[float]) -> None:
    space = CARD_SPACE
    at = dict(zip(space.leaves(), units, strict=True))
    params = space.draw(lambda leaf: leaf.from_unit(at[leaf.name]))
    settings = space.settings(params)
    assert space.overrides(params) == {name: _listed(getattr(settings, name)) for name in space.overrides(params)}
    back: dict[str, Any] = {}
    for dimension in space.dimensions:
        back |= dimension.encode(settings) or {}
    assert back == params


@given(st.lists(st.floats(0, 1), min_size=7, max_size=7))
def test_optuna_keeps_every_drawn_value(units: list[float]) -> None:
    space = CARD_SPACE
    at = dict(zip(space.leaves(), units, strict=True))
    kinds = space.distributions()
    for name, value in space.draw(lambda leaf: leaf.from_unit(at[leaf.name])).items():
        stored = kinds[name].to_internal_repr(value)
        assert kinds[name]._contains(stored)
        assert kinds[name].to_external_repr(stored) == value


def test_leaves_become_the_distributions_they_mean() -> None:
    kinds = make_space().distributions()
    assert kinds["activation"] == CategoricalDistribution(("sigmoid", "tanh", "relu"))
    assert kinds["l2_lambda"] == FloatDistribution(0.0, 0.1)
    assert kinds["learning_rate"] == FloatDistribution(0.003, 0.3, log=True)
    assert kinds["hidden_sizes.depth"] == IntDistribution(1, 3)
    assert kinds["hidden_sizes.3"] == IntDistribution(32, 512, log=True)


def test_the_published_baseline_is_a_point_of_the_cards_space() -> None:
    space = make_space(yaml.safe_load((CONF / "space/card.yaml").read_text()))
    params = space.baseline()
    assert params is not None
    assert space.settings(params) == space.base


@pytest.mark.parametrize(
    ("space", "base"),
    [(None, {"learning_rate": 3.0}), (None, {"activation": "elu"}), ({"max_parameters": 10_000}, {})],
    ids=["number", "choice", "bound"],
)
def test_a_baseline_outside_the_space_is_none(space: dict[str, Any] | None, base: dict[str, Any]) -> None:
    assert make_space({**CARD, **(space or {})}, **base).baseline() is None


def test_the_number_of_parameters_is_the_networks() -> None:
    space = make_space()
    assert space.n_parameters(space.base) == n_parameters((64, 500, 250, 100, 10))


def test_excess_is_relative_to_the_bound() -> None:
    space = make_space({**TINY, "max_parameters": 1000})
    params = {"activation": "relu", "hidden_sizes.depth": 1, "hidden_sizes.1": 8}
    assert space.excess(params) == pytest.approx(n_parameters((64, 8, 10)) / 1000 - 1)


def test_a_bound_below_the_smallest_network_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"space.max_parameters: 100, but the smallest network has 310"):
        make_space({**TINY, "max_parameters": 100})


def test_a_search_without_validation_is_refused() -> None:
    with pytest.raises(SettingsError, match="monitor: 'none' in a search; expected validation"):
        make_space(monitor="none")


def test_a_search_without_epochs_is_refused() -> None:
    with pytest.raises(SettingsError, match="n_epochs: 0 in a search; expected at least 1"):
        make_space(n_epochs=0)


@pytest.mark.parametrize(
    ("dimensions", "named"),
    [
        (
            {"initializer": {"type": "categorical", "choices": ["glorot_uniform", "normal"]}},
            r"space: initializer=normal: init_std: ",
        ),
        (
            {"activation": {"type": "categorical", "choices": ["relu", ["relu", "tanh"]]}, "hidden_sizes": WIDTHS},
            r'space: activation=\["relu", "tanh"\] hidden_sizes.depth=1: activation: 2 names for 1 hidden layer',
        ),
        ({"activation": {"type": "categorical", "choices": [["relu"], "tanh"]}, "hidden_sizes": WIDTHS}, "1 name"),
    ],
    ids=["a choice without its setting", "a list for another depth", "a list for the smallest depth"],
)
def test_a_choice_that_fits_no_training_is_refused_before_any(dimensions: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        make_space({"dimensions": dimensions, "max_parameters": None})


def test_the_grid_holds_every_depth_with_every_combination_of_widths_once() -> None:
    points = list(make_space(TINY).points())
    sizes = [list(widths) for depth in (0, 1, 2) for widths in itertools.product((4, 8), repeat=depth)]
    space = make_space(TINY)
    expected = [{"activation": name, "hidden_sizes": size} for name in ("relu", "tanh") for size in sizes]
    assert [space.overrides(point) for point in points] == expected


@pytest.mark.parametrize("file", sorted((CONF / "space").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_committed_space_parses(file: Path) -> None:
    space = make_space(yaml.safe_load(file.read_text()))
    assert space.settings(space.draw(lambda leaf: leaf.from_unit(0.5))).total_epochs == 3


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(
    ("dimension", "largest"),
    [
        (None, 64),
        ({"batch_size": {"type": "int", "low": 8, "high": 256}}, 256),
        ({"batch_size": {"type": "int", "low": 8, "high": 32}}, 64),
        ({"batch_size": {"type": "categorical", "choices": [16, 512, 128]}}, 512),
    ],
    ids=str,
)
def test_the_largest_batch_is_that_of_the_space_or_of_the_base(dimension: dict[str, Any] | None, largest: int) -> None:
    space = {"dimensions": {**TINY["dimensions"], **(dimension or {})}, "max_parameters": None}
    assert make_space(space).largest_batch() == largest
