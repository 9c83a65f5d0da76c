"""Runs as rows over the settings that differ between them."""

import csv
import re
from typing import Any

import pytest

from mlpsweep.errors import DataError, SettingsError
from mlpsweep.report.comparison import compare, comparison_figure, figure_png, render_comparison
from mlpsweep.tracking.lookup import TrackedRun

ACCURACY, LOSS = "validation/accuracy", "validation/loss"
HOSTILE = "<img src=x onerror=alert(1)>"


def tracked(number: int, accuracy: float | None, status: str = "FINISHED", data: str = "mnist", **params: Any):
    alike = {"data.name": data, "activation": "relu", "n_layers": "2", "seed": "0", "init_std": "None"}
    metrics = {} if accuracy is None else {ACCURACY: accuracy, LOSS: 1 - accuracy, "batch/loss": 0.5}
    settings = {name: str(value) for name, value in params.items()}
    return TrackedRun(f"{number:032x}", f"run {number}", status, alike | settings, metrics)


@pytest.fixture
def runs() -> list[TrackedRun]:
    """Two rates on three seeds each, the second better."""
    return [
        tracked(10 * k + seed, 0.9 + 0.04 * k + 0.01 * seed, learning_rate=rate, seed=seed)
        for k, rate in enumerate((0.01, 0.1))
        for seed in range(3)
    ]


def test_seeds_are_one_row_with_mean_and_spread_the_best_first(runs: list[TrackedRun]) -> None:
    table = compare(runs, ACCURACY).table(names_runs=False)
    assert [column.key for column in table.columns] == ["row", "learning_rate", ACCURACY, "spread", LOSS, "n_runs"]
    assert table.texts() == [
        ["1", "0.1", "95.00 %", "1.00 %", "0.05", "3"],
        ["2", "0.01", "91.00 %", "1.00 %", "0.09", "3"],
    ]


def test_less_is_better_of_a_loss(runs: list[TrackedRun]) -> None:
    assert [row["learning_rate"] for row in compare(runs, LOSS).table().rows] == [0.1, 0.01]


def test_what_all_runs_share_is_no_column(runs: list[TrackedRun]) -> None:
    compared = compare(runs, ACCURACY)
    assert compared.names == ("learning_rate",)
    assert compared.shared == {"data.name": "mnist", "activation": "relu", "init_std": None}


def test_the_csv_names_all_runs(runs: list[TrackedRun]) -> None:
    first, second = csv.DictReader(compare(runs, ACCURACY).table().to_csv().splitlines())
    assert first["run_ids"].split() == [f"{number:032x}" for number in (10, 11, 12)]
    assert float(second[ACCURACY]) == pytest.approx(0.91)


def test_a_run_named_twice_counts_once(runs: list[TrackedRun]) -> None:
    assert [len(group.runs) for group in compare([*runs, runs[0]], ACCURACY).groups] == [3, 3]


def test_a_run_that_ended_otherwise_is_a_row_of_its_own(runs: list[TrackedRun]) -> None:
    pruned = tracked(99, None, "KILLED", learning_rate=0.1, seed=3)
    rows = compare([*runs, pruned], ACCURACY).table().rows
    assert [(row["status"], row[ACCURACY] is None) for row in rows] == [
        ("FINISHED", False),
        ("FINISHED", False),
        ("KILLED", True),
    ]


def test_runs_alone_have_no_columns_for_seeds() -> None:
    runs = [tracked(k, 0.9 + k / 100, learning_rate=k) for k in (1, 2)]
    assert [c.key for c in compare(runs, ACCURACY).table().columns] == [
        "row",
        "learning_rate",
        ACCURACY,
        LOSS,
        "run_ids",
    ]


def test_the_best_rows_alone_say_of_how_many(runs: list[TrackedRun]) -> None:
    table = compare(runs, ACCURACY).table(1)
    assert (len(table.rows), table.title) == (1, "6 runs on mnist in the best 1 of 2 rows, the best first")


def test_data_sets_are_not_mixed(runs: list[TrackedRun]) -> None:
    with pytest.raises(DataError, match="the runs are of digits and mnist; expected one data set"):
        compare([*runs, tracked(99, 0.5, data="digits")], ACCURACY)


@pytest.mark.parametrize(
    ("chosen", "metric", "message"),
    [
        (slice(1), ACCURACY, "compare: 1 runs; expected at least two"),
        (slice(6), "validation/acuracy", r"'validation/acuracy' is in none of the runs \(did you mean validation/acc"),
        (slice(6), "test/f1", f"test/f1.*; they have {ACCURACY}, {LOSS}$"),
    ],
    ids=["one run", "typo", "unknown"],
)
def test_what_cannot_be_compared_is_refused(runs: list[TrackedRun], chosen: slice, metric: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        compare(runs[chosen], metric)


def test_a_parent_is_no_training(runs: list[TrackedRun]) -> None:
    with pytest.raises(SettingsError, match=r"run_ids: f+ \(sweep x\) is no training"):
        compare([*runs, TrackedRun("f" * 32, "sweep x", "FINISHED", {}, {})], ACCURACY)


def test_one_setting_is_drawn_in_its_own_order_with_its_seeds(runs: list[TrackedRun]) -> None:
    axes = comparison_figure(compare(runs, ACCURACY)).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0.01", "0.1"]
    assert axes.get_xlabel() == "learning_rate"


def test_several_settings_are_lines_the_best_of_which_is_named() -> None:
    runs = [
        tracked(k, 0.9 + k / 1000, learning_rate=0.01 * k, hidden_sizes=[k], n_parameters=10 * k, optimizer=name)
        for k, name in enumerate(["sgd", "adam", "sgd"] * 4, 1)
    ]
    runs.append(tracked(99, None, "KILLED", learning_rate=5.0, optimizer="adam"))
    axes = comparison_figure(compare(runs, ACCURACY)).axes[0]
    texts = [text.get_text() for text in axes.texts]
    assert axes.lines[0].get_label() == "best, row 1"
    # Twelve lists of widths have no room on an axis; their sizes have.
    assert [name for name in texts if name in runs[0].params] == ["learning_rate", "n_parameters", "optimizer"]


@pytest.mark.parametrize("n_runs", [2, 12])
def test_runs_alike_but_for_the_seed_can_be_drawn(n_runs: int) -> None:
    compared = compare([tracked(k, 0.9 + k / 100, seed=k) for k in range(n_runs)], ACCURACY)
    assert (compared.names, len(compared.groups)) == ((), 1)
    assert figure_png(compared).startswith(b"\x89PNG")


def test_the_page_holds_all_and_obeys_nothing() -> None:
    runs = [tracked(k, 0.9 + k / 100, activation=name) for k, name in enumerate((HOSTILE, "relu"))]
    compared = compare(runs, ACCURACY)
    page = render_comparison(compared, figure_png(compared), f"python -m pipeline.compare sweep='{HOSTILE}'")
    assert "<img src=x" not in page
    (best,) = re.findall(r'<tr class="best">(.*?)</tr>', page)
    assert re.findall(r"<td[^>]*>(.*?)</td>", best)[:3] == ["1", "91.00 %", "relu"]
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") >= 2
    assert "The best of 2 rows has validation/accuracy 91.00 %: activation=relu." in page
    assert page.count("<img ") == page.count('src="data:image/png;base64,') == 1
    assert "http" not in page.replace("http-equiv", "")
