"""A worker that dies at any write leaves a study that ends as if it had not died: simulated, point by point."""

import copy
import hashlib
import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlpsweep.search.rungs import FIRST_LOOK
from mlpsweep.search.settings import SearchSettings
from mlpsweep.search.worker import work
from tests.search_kills import Reaper, live_until_done
from tests.search_lab import Book, make_plan, make_services, new_study, outcome, search_settings

SEARCH: dict[str, Any] = {"n_trials": 12, "max_retries": 1000}
PLANS: dict[str, dict[str, Any]] = {
    "asha": {"n_epochs": 5},
    "promote": {"n_epochs": 5},
    "promote, first look": {"n_epochs": 5, "averaging": 0.99, "n_updates": 1000},
}
"""What is searched, by the pruner's name."""


def settings_of(plan: str, search: dict[str, Any]) -> SearchSettings:
    return search_settings(**SEARCH | {"pruner": plan.partition(",")[0]} | search)


def reference(root: Path, reaper: Reaper, book: Book, plan: str, **search: Any) -> list[dict[str, Any]]:
    """The outcome of a study that nobody kills."""
    study = new_study(root, make_plan(**PLANS[plan]))
    reaper.arm(-1)
    work(study, settings_of(plan, search), make_services(book=book))
    left = "pruned" if plan == "asha" else "paused"
    assert {run["status"] for run in book.runs.values()} >= {"complete", left}
    return outcome(study)


def check_ended_alike(
    root: Path, expected: list[dict[str, Any]], reaper: Reaper, lives: Any, book: Book, plan: str, **search: Any
) -> int:
    """Work on the study of a folder to its end, life after life; return the deaths."""
    study = new_study(root, make_plan(**PLANS[plan]))
    deaths = live_until_done(study, settings_of(plan, search), book, reaper, lives)
    assert outcome(study) == expected
    # Every run is closed, tells what its trial tells, and holds each epoch once.
    told = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "WAITING": "paused"}
    assert {run["number"]: run["status"] for run in book.runs.values()} == {
        t["number"]: told[t["state"]] for t in expected
    }
    epochs = {run["number"]: [record.epoch for record in run["epochs"]] for run in book.runs.values()}
    assert epochs == {trial["number"]: sorted(trial["reported"].keys() - {FIRST_LOOK}) for trial in expected}
    # Who was looked at within its first epoch, and no more, has no checkpoint.
    waiting = [trial for trial in expected if trial["state"] == "WAITING" and epochs[trial["number"]]]
    assert {path.parts[-3] for path in root.rglob("*.ckpt")} == {f"{trial['number']:04d}" for trial in waiting}
    return deaths


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sampler", "plan"),
    [
        *((sampler, "asha") for sampler in ("tpe", "random", "qmc", "grid")),
        *((sampler, plan) for sampler in ("tpe", "random") for plan in ("promote", "promote, first look")),
    ],
)
def test_a_study_whose_workers_die_again_and_again_ends_alike(
    sampler: str, plan: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reaper = Reaper()
    reaper.patch(monkeypatch)
    expected = reference(tmp_path / "whole", reaper, Book(), plan, sampler=sampler)
    # Lives of 5, 6, ... 60 points, and again: each ends somewhere else in a trial.
    lives = itertools.cycle(range(5, 61))
    assert check_ended_alike(tmp_path / "killed", expected, reaper, lives, Book(), plan, sampler=sampler) > 0


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize(("plan", "n_trials"), [("asha", 12), ("promote", 7), ("promote, first look", 7)])
def test_a_kill_at_each_single_point_changes_nothing(
    plan: str, n_trials: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a kill leaves is what is on the disk at that point: one run passes them all, and each is gone on from.
    # What is the same after one write and before the next is gone on from once; a journal of SQLite's is rolled back.
    book, kept, seen = Book(), [], set[str]()

    def keep() -> None:
        files = sorted(path for path in (tmp_path / "whole").rglob("*") if path.is_file())
        held = [(str(path), path.read_bytes()) for path in files if not path.name.endswith("-journal")]
        state = hashlib.sha256(repr((held, book.runs)).encode()).hexdigest()
        if state in seen:
            return
        seen.add(state)
        shutil.copytree(tmp_path / "whole", tmp_path / str(len(kept)))
        kept.append(copy.deepcopy(book.runs))

    reaper = Reaper(keep)
    reaper.patch(monkeypatch)
    expected = reference(tmp_path / "whole", reaper, book, plan, n_trials=n_trials)
    assert len(kept) > 15 * n_trials
    reaper.at_each = lambda: None
    for point, runs in enumerate(kept):
        folder = tmp_path / str(point)
        check_ended_alike(folder, expected, reaper, iter([-1]), Book(runs), plan, n_trials=n_trials)
        shutil.rmtree(folder)
