"""A worker that dies at any write leaves a study that ends as if it had not died: simulated, point by point."""

import copy
import hashlib
import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlpsweep.search.worker import work
from tests.search_kills import Reaper, live_until_done
from tests.search_lab import Book, make_plan, make_services, new_study, outcome, search_settings

SEARCH: dict[str, Any] = {"n_trials": 12, "pruner": "asha", "max_retries": 1000}
N_EPOCHS = 5


def reference(root: Path, reaper: Reaper, book: Book, **search: Any) -> list[dict[str, Any]]:
    """The outcome of a study that nobody kills."""
    study = new_study(root, make_plan(n_epochs=N_EPOCHS))
    reaper.arm(-1)
    work(study, search_settings(**SEARCH | search), make_services(book=book))
    left = "paused" if search.get("pruner") == "promote" else "pruned"
    assert {run["status"] for run in book.runs.values()} >= {"complete", left}
    return outcome(study)


def check_ended_alike(
    root: Path, expected: list[dict[str, Any]], reaper: Reaper, lives: Any, book: Book, **search: Any
) -> int:
    """Work on the study of a folder to its end, life after life; return the deaths."""
    study = new_study(root, make_plan(n_epochs=N_EPOCHS))
    deaths = live_until_done(study, search_settings(**SEARCH | search), book, reaper, lives)
    assert outcome(study) == expected
    # Every run is closed, tells what its trial tells, and holds each epoch once.
    told = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "WAITING": "paused"}
    assert {run["number"]: run["status"] for run in book.runs.values()} == {
        t["number"]: told[t["state"]] for t in expected
    }
    epochs = {run["number"]: [record.epoch for record in run["epochs"]] for run in book.runs.values()}
    assert epochs == {trial["number"]: sorted(trial["reported"]) for trial in expected}
    waiting = {f"{trial['number']:04d}" for trial in expected if trial["state"] == "WAITING"}
    assert {path.parts[-3] for path in root.rglob("*.ckpt")} == waiting
    return deaths


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sampler", "pruner"),
    [("tpe", "asha"), ("random", "asha"), ("qmc", "asha"), ("grid", "asha"), ("tpe", "promote"), ("random", "promote")],
)
def test_a_study_whose_workers_die_again_and_again_ends_alike(
    sampler: str, pruner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reaper = Reaper()
    reaper.patch(monkeypatch)
    expected = reference(tmp_path / "whole", reaper, Book(), sampler=sampler, pruner=pruner)
    # Lives of 5, 6, ... 60 points, and again: each ends somewhere else in a trial.
    lives = itertools.cycle(range(5, 61))
    assert check_ended_alike(tmp_path / "killed", expected, reaper, lives, Book(), sampler=sampler, pruner=pruner) > 0


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize(("pruner", "n_trials"), [("asha", 12), ("promote", 7)])
def test_a_kill_at_each_single_point_changes_nothing(
    pruner: str, n_trials: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    search = {"pruner": pruner, "n_trials": n_trials}
    expected = reference(tmp_path / "whole", reaper, book, **search)
    assert len(kept) > 20 * n_trials
    reaper.at_each = lambda: None
    for point, runs in enumerate(kept):
        folder = tmp_path / str(point)
        check_ended_alike(folder, expected, reaper, iter([-1]), Book(runs), **search)
        shutil.rmtree(folder)
