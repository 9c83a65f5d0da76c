"""A sweep over one setting and several seeds."""

import pytest

from mlpsweep.figures.seeds import by_value, seeds_figure, seeds_table

ROWS = [
    {"l2_lambda": value, "seed": seed, "validation/accuracy": 0.9 + 0.01 * value + 0.002 * seed}
    for value in (0.0, 1.0)
    for seed in (0, 1, 2)
]


def test_accuracies_are_grouped_by_the_setting_beside_the_seed() -> None:
    found = by_value([*ROWS, {"l2_lambda": 1.0, "seed": 3}], ["l2_lambda", "seed"])
    assert found is not None
    name, groups = found
    assert name == "l2_lambda"
    assert groups[1.0] == pytest.approx([0.91, 0.912, 0.914])
    assert list(groups) == [0.0, 1.0]


@pytest.mark.parametrize("varied", [["seed"], ["l2_lambda"], ["l2_lambda", "dropout", "seed"]], ids=" ".join)
def test_other_sweeps_have_no_such_groups(varied: list[str]) -> None:
    assert by_value(ROWS, varied) is None


def test_lists_can_be_the_values() -> None:
    rows = [{"hidden_sizes": [64], "seed": seed, "validation/accuracy": 0.9} for seed in (0, 1)]
    assert by_value(rows, ["hidden_sizes", "seed"]) == ("hidden_sizes", {(64,): [0.9, 0.9]})


def test_table_and_figure_tell_mean_and_spread() -> None:
    found = by_value(ROWS, ["l2_lambda", "seed"])
    assert found is not None
    assert seeds_table(*found).texts() == [["0", "90.20 %", "0.20 %", "3"], ["1", "91.20 %", "0.20 %", "3"]]
    axes = seeds_figure(*found).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "1"]
    (bar,) = axes.containers[1][2]
    assert bar.get_segments()[0][:, 1] == pytest.approx([0.91, 0.914])
