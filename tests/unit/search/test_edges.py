"""The ends of ranges: which values lie there, and the override that widens a range."""

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpsweep.search.dimensions import Range
from mlpsweep.search.edges import Edge, edges, end_of
from mlpsweep.search.folder import SearchFolder
from mlpsweep.search.run import conclude
from mlpsweep.search.settings import SpaceSettings, WinnerSettings
from mlpsweep.search.worker import work
from pipeline.compose import check
from pipeline.settings import SearchJob
from tests.search_lab import base_settings, make_plan, make_services, make_space, new_study, search_settings

LINE = Range("x", 0.0, 1.0)
LOG = Range("x", 1e-4, 1.0, log=True)
STEPS = Range("x", 0.0, 1.0, step=0.25)
WHOLE = Range("x", 1, 30, integer=True)
DEPTH = Range("x", 1, 3, integer=True)


@pytest.mark.parametrize(
    ("leaf", "value", "end"),
    [
        (LINE, 0.1, "low"), (LINE, 0.11, None), (LINE, 0.89, None), (LINE, 0.9, "high"), (LINE, 1.0, "high"),
        (LOG, 2.5e-4, "low"), (LOG, 2.6e-4, None), (LOG, 0.39, None), (LOG, 0.4, "high"),
        (STEPS, 0.0, "low"), (STEPS, 0.25, None), (STEPS, 0.75, None), (STEPS, 1.0, "high"),
        (WHOLE, 3, "low"), (WHOLE, 4, None), (WHOLE, 27, None), (WHOLE, 28, "high"),
        (DEPTH, 1, "low"), (DEPTH, 2, None), (DEPTH, 3, "high"),
        (Range("x", 1, 2, integer=True), 2, None), (Range("x", 0.0, 0.5, step=0.5), 0.5, None),
        (Range("x", 0.3, 0.3), 0.3, None), (Range("x", 16, 256, integer=True, log=True), 200, "high"),
    ],
)  # fmt: skip
def test_the_outer_tenth_is_the_end_of_a_range(leaf: Range, value: float, end: str | None) -> None:
    assert end_of(leaf, value) == end


def widened(name: str, spec: dict[str, Any], value: float, **base: Any) -> list[str]:
    told = SpaceSettings.build({"dimensions": {name: spec}})
    return [one.override for one in edges(told, base_settings(**base), {name: value}, lambda settings: True)]


@pytest.mark.parametrize(
    ("name", "spec", "value", "override"),
    [
        ("l2_lambda", {"type": "float", "low": 0.0, "high": 0.1}, 0.092, "l2_lambda.high=0.15"),
        ("l2_lambda", {"type": "float", "low": 0.0, "high": 0.1}, 0.001, None),
        ("l2_lambda", {"type": "float", "low": 0.02, "high": 0.1}, 0.021, "l2_lambda.low=0.004"),
        ("l2_lambda", {"type": "float", "low": 0.01, "high": 0.1, "step": 0.01}, 0.1, "l2_lambda.high=0.15"),
        ("learning_rate", {"type": "float", "low": 0.01, "high": 0.5, "log": True}, 0.01, "learning_rate.low=0.0014"),
        ("learning_rate", {"type": "float", "low": 0.01, "high": 0.5, "log": True}, 0.5, "learning_rate.high=3.5"),
        ("dropout", {"type": "float", "low": 0.0, "high": 0.5}, 0.47, "dropout.high=0.75"),
        ("dropout", {"type": "float", "low": 0.0, "high": 0.9}, 0.88, "dropout.high=0.99"),
        ("dropout", {"type": "float", "low": 0.0, "high": 0.9999}, 0.99, None),
        ("batch_size", {"type": "int", "low": 1, "high": 64, "log": True}, 1, None),
        ("batch_size", {"type": "int", "low": 16, "high": 64, "step": 16}, 64, "batch_size.high=96"),
        ("batch_size", {"type": "int", "low": 16, "high": 64, "step": 16}, 16, None),
        ("batch_size", {"type": "int", "low": 64, "high": 96}, 66, "batch_size.low=48"),
    ],
)
def test_a_range_is_widened_as_far_as_its_settings_rule_allows(
    name: str, spec: dict[str, Any], value: float, override: str | None
) -> None:
    assert widened(name, spec, value) == ([f"space.dimensions.{override}"] if override else [])


def test_depths_and_widths_are_widened_once_and_only_where_all_else_fits() -> None:
    widths = {"type": "widths", "depth": {"low": 1, "high": 3}, "width": {"low": 32, "high": 512, "log": True}}
    told = SpaceSettings.build({"dimensions": {"hidden_sizes": widths}})
    params = {"hidden_sizes.depth": 3, "hidden_sizes.1": 512, "hidden_sizes.2": 500, "hidden_sizes.3": 32}
    place = "space.dimensions.hidden_sizes"
    deep, narrow, wide = f"{place}.depth.high=4", f"{place}.width.low=8", f"{place}.width.high=2048"

    def found(base: Any, is_possible: Any = lambda settings: True) -> set[str]:
        return {one.override for one in edges(told, base, params, is_possible)}

    assert found(base_settings()) == {deep, wide, narrow}
    assert found(base_settings(), lambda settings: max(settings.hidden_sizes, default=0) <= 512) == {
        deep, narrow}  # fmt: skip


def test_a_depth_for_which_a_list_of_activations_is_too_short_is_none() -> None:
    widths = {"type": "widths", "depth": {"low": 1, "high": 3}, "width": {"low": 8, "high": 8}}
    told = SpaceSettings.build({"dimensions": {"hidden_sizes": widths}})
    layers, params = base_settings(activation=["relu"] * 3, hidden_sizes=[8] * 3), {"hidden_sizes.depth": 3}
    assert edges(told, base_settings(), params, lambda settings: True)
    assert edges(told, layers, params, lambda settings: True) == ()


GROUP = {
    "optimizer": {
        "type": "group",
        "choices": {
            "sgd": None,
            "momentum": {"momentum": {"type": "float", "low": 0.5, "high": 0.9}},
            "adam": {"learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}},
        },
    },
    "learning_rate": {"type": "float", "low": 0.01, "high": 0.5, "log": True},
}


@pytest.mark.parametrize(
    ("params", "overrides"),
    [
        ({"optimizer": "sgd", "learning_rate": 0.5}, ["learning_rate.high=3.5"]),
        (
            {"optimizer": "momentum", "optimizer.momentum@momentum": 0.5, "learning_rate": 0.1},
            ["optimizer.choices.momentum.momentum.low=0.3"],
        ),
        ({"optimizer": "adam", "learning_rate@adam": 0.009}, ["optimizer.choices.adam.learning_rate.high=0.1"]),
    ],
)
def test_ranges_below_a_choice_are_widened_there(params: dict[str, Any], overrides: list[str]) -> None:
    told = SpaceSettings.build({"dimensions": GROUP})
    found = edges(told, base_settings(), params, lambda settings: True)
    assert [one.override for one in found] == [f"space.dimensions.{one}" for one in overrides]


def test_what_is_told_about_an_end() -> None:
    one = Edge("l2_lambda", 0.092, 0.0, 0.1, "space.dimensions.l2_lambda.high=0.15")
    assert one.sentence == "l2_lambda 0.092 lies at the upper end of 0 .. 0.1"
    assert "lower end" in dataclasses.replace(one, override="space.dimensions.l2_lambda.low=0.01").sentence


@given(st.floats(0, 1), st.sampled_from(["sgd", "momentum", "adam"]))
def test_every_override_gives_a_space_that_holds_more(u: float, choice: str) -> None:
    space = make_space({"dimensions": {**copy.deepcopy(GROUP), "batch_size": {"type": "int", "low": 4, "high": 90}}})
    params = space.draw(lambda leaf: choice if leaf.name == "optimizer" else leaf.from_unit(u))
    for edge in edges(space.told, space.base, params, lambda settings: True):
        place, _, value = edge.override.removeprefix("space.dimensions.").partition("=")
        dimensions = copy.deepcopy(space.told.dimensions)
        node: Any = dimensions
        *path, last = place.split(".")
        for key in path:
            node = node[key]
        node[last] = float(value) if "." in value or "e" in value else int(value)
        wider = make_space({"dimensions": dimensions}).leaves()[edge.name]
        assert isinstance(wider, Range)
        assert wider.high - wider.low > edge.high - edge.low
        assert wider.contains(edge.value)


def test_an_end_is_written_read_and_its_override_is_one_of_the_command_line(tmp_path: Path) -> None:
    study = new_study(tmp_path, make_plan({"dimensions": copy.deepcopy(GROUP)}))
    work(study, search_settings(n_trials=1), make_services())
    folder = SearchFolder(tmp_path / "search")
    found = conclude(study, WinnerSettings(), lambda settings: {}, folder)
    assert [one.override for one in found.edges] == ["space.dimensions.learning_rate.low=0.0014"]
    assert folder.summary()["edges"] == [dataclasses.asdict(one) for one in found.edges]
    assert folder.read().edges == found.edges
    (job,) = check("search", SearchJob, ["data=digits", found.edges[0].override], multirun=False)
    assert job.settings.space.dimensions["learning_rate"]["low"] == 0.0014
