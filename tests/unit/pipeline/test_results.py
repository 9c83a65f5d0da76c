"""The rule that meets a published row, and the page of results."""

import math
from pathlib import Path

import pytest

from mlpsweep.figures.training import comparison
from pipeline.published import BOUNDS, PUBLISHED, Published
from pipeline.results import Attempt, figures, render_results, result_row

RECIPES = {file.stem for file in (Path(__file__).parents[3] / "conf" / "recipe").glob("*.yaml")}
ROW = Published(source="X", test=0.9, n_test=900, costs=(1.0, 0.5))


def attempt(test: float, *costs: float) -> Attempt:
    history = tuple(
        {"epoch": float(epoch), "update": 10.0 * epoch, "train/cost": cost, "test/accuracy": test}
        for epoch, cost in enumerate(costs, start=1)
    )
    return Attempt(
        run_key="0123456789abcdef", train=0.95, test=test, history=history, f1=(), seconds=2.0, updates_per_s=5.0
    )


def test_every_recipe_has_its_figure_and_every_figure_its_recipe() -> None:
    assert {*PUBLISHED, *BOUNDS} == RECIPES


def test_the_bound_is_two_standard_errors_of_split_and_seeds_below() -> None:
    assert ROW.least(0.0) == pytest.approx(0.9 - 2 * 0.01)
    assert ROW.least(0.02) == pytest.approx(0.9 - 2 * math.hypot(0.01, 0.02))


@pytest.mark.parametrize(
    ("accuracies", "costs", "is_met"),
    [
        ([0.885, 0.885], (1.0, 0.5), True),
        ([0.875, 0.875], (1.0, 0.5), False),
        ([0.9], (1.049, 0.476), True),
        ([0.9], (1.051, 0.5), False),
        ([0.9], (1.0, 0.474), False),
        ([0.9], (1.0,), False),
    ],
    ids=["met", "low", "costs met", "first cost high", "last cost low", "cost missing"],
)
def test_a_row_is_met_by_accuracy_and_costs(accuracies: list[float], costs: tuple[float, ...], is_met: bool) -> None:
    assert ROW.is_met(accuracies, costs) is is_met


def test_the_first_cost_may_have_a_tolerance_of_its_own() -> None:
    assert Published(source="X", costs=(1.0, 0.5), first_tolerance=0.08).is_met([0.1], (1.07, 0.5))


def test_a_row_says_mean_spread_and_verdict() -> None:
    row = result_row("tanh_128", [attempt(0.97), attempt(0.98)])
    assert row["test"] == pytest.approx(0.975)
    assert row["spread"] == pytest.approx(0.01 / math.sqrt(2))
    assert (row["met"], row["run_key"]) == ("yes", "`0123456789ab`")


@pytest.mark.parametrize(("accuracy", "met"), [(0.04, "no"), (0.1, "yes"), (0.17, "no")])
def test_the_untrained_network_must_guess(accuracy: float, met: str) -> None:
    assert result_row("per_sample_untrained", [attempt(accuracy)])["met"] == met


def test_times_are_in_the_last_table_only() -> None:
    costs = PUBLISHED["manual_tanh"].costs
    page = render_results({"manual_tanh": [attempt(0.976, *costs)], "strong": [attempt(0.98)]}, ["images/a.png"])
    before, _, times = page.partition("## Time")
    assert "2.0 s" in times
    assert "2.0 s" not in before
    assert "Met: 1 of 11" in before
    assert "| 15 | 0.0838 | 0.0838 | +0.00 |" in before
    assert "(images/a.png)" in before


def test_figures_lay_published_points_over_the_lines() -> None:
    costs = PUBLISHED["manual_tanh"].costs  # what `attempt` makes a history from
    drawn = figures({name: [attempt(0.97, *costs)] for name in ("manual_tanh", "adam_relu")})
    for name in ("recipes_accuracy.png", "recipes_cost.png"):
        assert [line.get_marker() for line in drawn[name].axes[0].lines] == ["o", "x"]
    assert figures({"strong": [attempt(0.98)]}) == {}


def test_a_legend_is_no_wider_than_its_figure() -> None:
    names = [f"a long name of a run {number}" for number in range(4)]
    (legend,) = comparison({name: [(1, 0.9), (2, 0.95)] for name in names}, "test/accuracy").legends
    assert legend.get_window_extent().width <= legend.figure.bbox.width
