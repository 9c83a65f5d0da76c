"""What a parent run says in MLflow: the result first, then the command that makes it again."""

import dataclasses

import pytest

from mlpsweep.report.notes import parent_of_search, parent_of_sweep
from mlpsweep.report.page import Command
from mlpsweep.report.sweep import METRIC, FinishedJob
from mlpsweep.search.rows import Finalist, Search, Stint, TrialRow
from mlpsweep.training.folder import RunRecord

COMMANDS = (Command("rebuild the winner", "python -m winner"), Command("search more", "python -m more"))


def job(accuracy: float | None, **settings: object) -> FinishedJob:
    record = None if accuracy is None else RunRecord("f" * 32, "a job", metrics={METRIC: accuracy})
    return FinishedJob(settings, record, "done" if accuracy is not None else "diverged")


@pytest.fixture
def compared(search: Search) -> Search:
    """A search whose two best trials were trained again."""
    finalists = (
        Finalist(2, (0.95, 0.97), 1234, is_tied=True, is_winner=True, params={"activation": "relu"}),
        Finalist(0, (0.9, 0.94), 5678, is_tied=False, is_winner=False, params={"activation": "tanh"}),
    )
    return dataclasses.replace(search, finalists=finalists)


def test_a_search_says_who_won_how_sure_that_is_and_what_rebuilds_it(compared: Search) -> None:
    told = parent_of_search(compared, COMMANDS)
    first, second, *_ = told.note().split("\n\n")
    assert first.startswith("**Trial 2 won: validation/accuracy 96.00 % ± 1.41 over 2 seeds.**")
    assert all(f"{count} {state}" in first for state, count in compared.counts().items())
    assert second == "Rebuild the winner: `python -m winner`"
    assert told.metrics["winner/mean"] == pytest.approx(0.96)
    assert told.metrics["ended/complete"] == len(compared.complete)


def test_a_search_without_finalists_names_its_best_trial(search: Search) -> None:
    told = parent_of_search(dataclasses.replace(search, finalists=()), COMMANDS)
    assert search.best is not None
    assert told.lead.startswith(f"The best of the trials is {search.best.number}: ")


def test_the_page_of_a_search_holds_its_tables_and_commands(compared: Search) -> None:
    page = parent_of_search(compared, COMMANDS).page("Search <b>", {})
    assert "Search &lt;b&gt;" in page
    assert all(words in page for words in ("Finalists", "Trials", "python -m more"))


def test_the_best_so_far_steps_by_trials_that_ended_in_the_order_of_their_ends() -> None:
    rows = [
        TrialRow(0, "complete", 0.5, {}, stints=(Stint("", 0.0, 30.0),)),
        TrialRow(1, "complete", 0.7, {}, stints=(Stint("", 0.0, 10.0),)),
        TrialRow(2, "pruned", None, {}, stints=(Stint("", 0.0, 20.0),)),
        TrialRow(3, "running", None, {}),
        TrialRow(4, "failed", None, {}, stints=(Stint("", 0.0, 5.0),)),
        TrialRow(5, "complete", 0.9, {}, stints=(Stint("", 0.0, 40.0),)),
    ]
    assert Search("s", METRIC, tuple(rows)).best_so_far() == {2: 0.7, 3: 0.7, 4: 0.7, 5: 0.9}
    losses = [dataclasses.replace(row, value=row.value and 1 - row.value) for row in rows]
    assert Search("s", "validation/loss", tuple(losses)).best_so_far()[5] == pytest.approx(0.1)


def test_a_sweep_says_which_job_is_the_best_by_what_differs() -> None:
    told = parent_of_sweep(
        [job(0.8, activation="tanh", seed=0), job(0.9, activation="relu", seed=0), job(None, activation="elu", seed=0)],
        "3 jobs", COMMANDS,
    )  # fmt: skip
    assert told.lead == "Job 1 (activation=relu) is the best: validation/accuracy 90.00 %."
    assert told.counts == {"done": 2, "failed": 1}
    assert told.best == {1: 0.8, 2: 0.9}


def test_a_sweep_over_seeds_says_mean_and_spread() -> None:
    jobs = [job(value, activation=name, seed=seed) for name, value, seed in
            (("tanh", 0.8, 0), ("tanh", 0.9, 1), ("relu", 0.95, 0), ("relu", 0.97, 1))]  # fmt: skip
    told = parent_of_sweep(jobs, "4 jobs", COMMANDS)
    assert told.lead == "activation=relu is the best: mean validation/accuracy 96.00 % ± 1.41 over 2 seeds."
    assert told.metrics["winner/mean"] == pytest.approx(0.96)
    assert next(iter(told.tables)) == "Seeds"


def test_a_sweep_in_which_nothing_has_a_result_says_so() -> None:
    told = parent_of_sweep([job(None, activation="relu")], "1 job", COMMANDS)
    assert (told.lead, told.best) == ("No job has a result.", {})
