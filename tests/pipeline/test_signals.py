"""Ctrl-C: ignored throughout where it was ignored from the start, and twice as orderly as once."""

import os
import signal
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from pipeline.door import enter
from tests.forked import Forked
from tests.pipeline.doors import TINY, tracked
from tests.pipeline.processes import Ended, Running, count, end_of, environment_of, started, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.fault]
LONG = (*TINY[:3], "n_epochs=100000", "log_every=10000")
SEARCH = (
    "data=digits", "hidden_sizes=[33]", "space.dimensions.hidden_sizes.width.high=40", "search.pruner=none",
    "winner.top_k=1", "winner.n_seeds=1",
)  # fmt: skip
POINTS = "select count(*) from metrics"
STATUSES = "select distinct status from runs"


def enter_deaf(module: str) -> None:
    """Enter a door as `nohup` or `trap '' INT` would start it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    enter(module)


def unmoved(folder: Path, door: str, *words: str) -> Ended:
    """Start a door that ignores Ctrl-C, press it again and again, and return how it ended."""
    call = f"{__name__}:enter_deaf"
    process = Forked(call, (f"pipeline.{door}",), folder, environment_of(), (door, *words))
    try:
        wait_until(lambda: count(folder, POINTS) >= 1, process)
        while process.poll() is None:
            interrupt(process)
            time.sleep(0.1)
    finally:
        process.kill()
    ended = end_of(process)
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr
    return ended


def interrupt(process: Running) -> None:
    """Press Ctrl-C in the terminal of a process, if it is still there."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)


def trials(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "mlruns/optuna.db")) as store:
        return [state for (state,) in store.execute("select state from trials")]


def test_a_training_that_shall_ignore_ctrl_c_does(tmp_path: Path) -> None:
    unmoved(tmp_path, "train", *TINY[:3], "n_epochs=300", "output_dir=model")
    assert tracked(tmp_path, STATUSES) == [("FINISHED",)]
    assert (tmp_path / "model/model.npz").is_file()


@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_search_that_shall_ignore_ctrl_c_does(tmp_path: Path, n_workers: int) -> None:
    unmoved(tmp_path, "search", *SEARCH, "n_epochs=100", "search.n_trials=4", f"search.n_workers={n_workers}")
    assert tracked(tmp_path, STATUSES) == [("FINISHED",)]
    assert trials(tmp_path) == ["COMPLETE"] * 4


@pytest.mark.parametrize("between_s", [0.0, 0.2])
@pytest.mark.parametrize(
    ("door", "words"),
    [
        ("train", LONG),
        ("train", (*LONG, "-m", "seed=1,2")),
        ("train", (*LONG, "-m", "seed=1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")),
        ("search", (*SEARCH, "n_epochs=1000", "search.n_trials=4")),
        ("search", (*SEARCH, "n_epochs=1000", "search.n_trials=4", "search.n_workers=2")),
    ],
    ids=["train", "sweep", "joblib", "search", "search with two workers"],
)
def test_ctrl_c_again_and_again_leaves_nothing_running(
    tmp_path: Path, door: str, words: tuple[str, ...], between_s: float
) -> None:
    with started(tmp_path, door, *words) as process:
        wait_until(lambda: count(tmp_path, POINTS) >= 2, process)
        for _ in range(4):
            interrupt(process)
            time.sleep(between_s)
        ended = end_of(process)
    assert (ended.returncode, "Traceback" in ended.stderr) == (130, False), ended.stderr
    assert "RUNNING" not in str(tracked(tmp_path, STATUSES))
    if door == "search":
        assert "RUNNING" not in trials(tmp_path)
