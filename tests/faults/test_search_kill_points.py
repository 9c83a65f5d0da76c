"""A worker that dies at any write leaves a study that ends as if it had not died: simulated, point by point."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from mlpsweep.search.worker import work
from tests.search_kills import Reaper, live_until_done
from tests.search_lab import Book, make_hands, make_plan, new_study, outcome, search_settings

SEARCH: dict[str, Any] = {"n_trials": 12, "pruner": "asha", "max_retries": 10_000}
N_EPOCHS = 5


def reference(root: Path, reaper: Reaper, **search: Any) -> tuple[list[dict[str, Any]], int]:
    """The outcome of a study that nobody kills, and how many points it passes."""
    study, book = new_study(root, make_plan(n_epochs=N_EPOCHS)), Book()
    reaper.arm(-1)
    work(study, search_settings(**SEARCH | search), make_hands(book=book))
    assert {run["status"] for run in book.runs.values()} >= {"complete", "pruned"}
    return outcome(study), reaper.passed


def check_ended_alike(root: Path, expected: list[dict[str, Any]], reaper: Reaper, lives: Any, **search: Any) -> None:
    study, book = new_study(root, make_plan(n_epochs=N_EPOCHS)), Book()
    deaths = live_until_done(study, search_settings(**SEARCH | search), book, reaper, lives)
    assert deaths > 0
    assert outcome(study) == expected
    # Every run is closed, tells what its trial tells, and holds each epoch once.
    told = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
    assert {run["number"]: run["status"] for run in book.runs.values()} == {
        t["number"]: told[t["state"]] for t in expected
    }
    epochs = {run["number"]: [record.epoch for record in run["epochs"]] for run in book.runs.values()}
    assert epochs == {trial["number"]: sorted(trial["reported"]) for trial in expected}
    assert not list(root.rglob("*.ckpt"))


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "grid"])
def test_a_study_whose_workers_die_again_and_again_ends_alike(
    sampler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reaper = Reaper()
    reaper.patch(monkeypatch)
    expected, _ = reference(tmp_path / "whole", reaper, sampler=sampler)
    # Lives of 5, 6, ... 60 points, and again: each ends somewhere else in a trial.
    lives = itertools.cycle(range(5, 61))
    check_ended_alike(tmp_path / "killed", expected, reaper, lives, sampler=sampler)


@pytest.mark.fault
def test_a_kill_at_each_single_point_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reaper = Reaper()
    reaper.patch(monkeypatch)
    expected, n_points = reference(tmp_path / "whole", reaper)
    assert n_points > 330
    for point in range(n_points):
        check_ended_alike(tmp_path / str(point), expected, reaper, iter([point, -1]))
