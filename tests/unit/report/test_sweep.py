"""The jobs of a multirun over one setting and several seeds."""

import pytest

from mlpsweep.figures.seeds import seeds_figure
from mlpsweep.report.sweep import FinishedJob, by_value, jobs_table, seeds_table
from mlpsweep.training.folder import RunRecord

ACCURACY = "validation/accuracy"


def job(accuracy: float | None, ended: str = "done", reused: str | None = None, **settings: object) -> FinishedJob:
    metrics = {} if accuracy is None else {ACCURACY: accuracy, "learning_rate": 0.001}
    record = RunRecord("f" * 32, "relu 8", seconds=2.0, metrics=metrics, reused_from=reused)
    return FinishedJob(settings, record, ended)


JOBS = [
    job(0.9 + 0.01 * value + 0.002 * seed, l2_lambda=value, seed=seed) for value in (0.0, 1.0) for seed in (0, 1, 2)
]


def test_accuracies_are_grouped_by_the_setting_beside_the_seed() -> None:
    found = by_value([*JOBS, job(None, l2_lambda=1.0, seed=3)])
    assert found is not None
    name, groups = found
    assert name == "l2_lambda"
    assert groups[1.0] == pytest.approx([0.91, 0.912, 0.914])
    assert list(groups) == [0.0, 1.0]


@pytest.mark.parametrize(
    "settings",
    [{"seed": 5}, {"seed": 0, "l2_lambda": 9.0}, {"seed": 5, "l2_lambda": 9.0, "dropout": 0.5}],
    ids=["the seed alone", "no seed", "two settings"],
)
def test_other_sweeps_have_no_such_groups(settings: dict[str, float]) -> None:
    first = {"l2_lambda": settings.get("l2_lambda", 0.0) - ("l2_lambda" in settings), "dropout": 0.0, "seed": 0}
    assert by_value([job(0.9, **first), job(0.9, **{**first, **settings})]) is None


def test_lists_can_be_the_values() -> None:
    jobs = [job(0.9, hidden_sizes=sizes, seed=seed) for sizes in ([64], [32]) for seed in (0, 1)]
    assert by_value(jobs) == ("hidden_sizes", {(64,): [0.9, 0.9], (32,): [0.9, 0.9]})


def test_table_and_figure_tell_mean_and_spread() -> None:
    found = by_value(JOBS)
    assert found is not None
    assert seeds_table(*found).texts() == [["0", "90.20 %", "0.20 %", "3"], ["1", "91.20 %", "0.20 %", "3"]]
    axes = seeds_figure(*found).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "1"]
    (bar,) = axes.containers[1][2]
    assert bar.get_segments()[0][:, 1] == pytest.approx([0.91, 0.914])


def test_a_jobs_row_has_the_setting_not_the_metric_of_that_name() -> None:
    table = jobs_table([job(0.9, learning_rate=0.1), job(None, "diverged", learning_rate=9.0)], "2 jobs")
    assert [column.title for column in table.columns] == ["job", "learning_rate", ACCURACY, "time", "ended"]
    assert table.texts() == [["0", "0.1", "90.00 %", "2.0 s", "done"], ["1", "9", "–", "2.0 s", "diverged"]]


def test_the_best_job_is_marked_and_a_reused_one_says_so() -> None:
    jobs = [job(0.9, seed=0), job(None, "diverged", seed=1), job(0.95, reused="e" * 32, seed=2)]
    table = jobs_table(jobs, "3 jobs")
    assert table.best == 2
    assert [row[-1] for row in table.texts()] == ["done", "diverged", "reused"]
    assert jobs_table([job(None, "failed", seed=0), job(None, "killed", seed=1)], "2 jobs").best is None
