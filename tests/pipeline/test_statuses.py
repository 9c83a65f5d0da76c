"""A run's status tells how it ended: FINISHED, FAILED with the reason, or KILLED by a signal; so does the exit code."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from mlpsweep.training import run
from pipeline.door import enter
from tests.forked import Forked
from tests.pipeline.doors import TINY, door, tracked
from tests.pipeline.processes import Ended, count, end_of, environment_of, started, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.fault]
# Minutes of work, of which the tests see the first second.
LONG = (*TINY[:3], "n_epochs=100000", "log_every=10000")
SIGNALS = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
LIMIT_S = 5.0
POINTS = "select count(*) from metrics"
REASONS = "select value from tags where key = 'reason'"


def stopped(folder: Path, number: int, *words: str, n_points: int = 1, group: bool = False) -> Ended:
    """Start a door, send it a signal when it has logged ``n_points`` points, and return how it ended."""
    with started(folder, *words) as process:
        wait_until(lambda: count(folder, POINTS) >= n_points, process)
        (os.killpg if group else os.kill)(process.pid, number)
        ended = end_of(process)
    assert "Traceback" not in ended.stderr, ended.stderr
    assert ended.seconds < LIMIT_S
    return ended


@pytest.mark.parametrize(("number", "code"), SIGNALS, ids=["SIGTERM", "SIGINT"])
def test_a_stopped_training_is_killed(tmp_path: Path, number: int, code: int) -> None:
    ended = stopped(tmp_path, number, "train", *LONG, "output_dir=model")
    assert ended.returncode == code
    assert tracked(tmp_path, "select status, end_time is not null from runs") == [("KILLED", 1)]
    assert tracked(tmp_path, REASONS) == [("interrupted",)]
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
@pytest.mark.parametrize(("number", "code"), SIGNALS, ids=["SIGTERM", "SIGINT"])
def test_a_stopped_sweep_leaves_nothing_running(tmp_path: Path, number: int, code: int, launcher: str) -> None:
    words = ("train", *LONG, "-m", "seed=1,2,3", f"hydra/launcher={launcher}")
    jobs = ("hydra.launcher.n_jobs=2",) if launcher == "joblib" else ()
    # A terminal's Ctrl-C reaches the whole group; a service manager or `kill` only the process it started.
    ended = stopped(tmp_path, number, *words, *jobs, group=number == signal.SIGINT)
    assert ended.returncode == code
    assert tracked(tmp_path, "select status from runs where name like 'sweep%'") == [("KILLED",)]
    assert tracked(tmp_path, "select distinct status from runs where name not like 'sweep%'") == [("KILLED",)]


def test_a_stopped_search_is_killed_and_the_same_command_goes_on(tmp_path: Path) -> None:
    words = (
        "search",
        "data=digits",
        "n_epochs=150",
        "hidden_sizes=[33]",
        "search.n_trials=2",
        "search.pruner=none",
        "winner.top_k=1",
        "winner.n_seeds=1",
    )
    words = (*words, "space.dimensions.hidden_sizes.width.high=40")
    ended = stopped(tmp_path, signal.SIGTERM, *words)
    assert ended.returncode == 143
    assert "the same command goes on" in ended.stderr
    assert set(tracked(tmp_path, "select distinct status from runs")) <= {("KILLED",), ("FINISHED",)}
    assert tracked(tmp_path, "select status from runs where name like 'search%'") == [("KILLED",)]
    done = door(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert tracked(tmp_path, "select status, count(*) from runs group by status") == [("FINISHED", 3)]
    assert tracked(tmp_path, REASONS) == []


def enter_broken(error: BaseException) -> None:
    """Enter ``train`` where every training raises ``error``."""

    def broken(*values: Any, **named: Any) -> None:
        raise error

    run.run_training = broken
    enter("pipeline.train")


def test_a_training_that_diverges_is_failed_with_the_reason(tmp_path: Path) -> None:
    done = door(tmp_path, "train", *TINY[:4], "learning_rate=1e30")
    assert done.returncode == 5
    assert tracked(tmp_path, "select status from runs") == [("FAILED",)]
    ((reason,),) = tracked(tmp_path, REASONS)
    assert reason.startswith("DivergenceError: training: the loss is")
    assert reason.removeprefix("DivergenceError: ") in done.stderr


@pytest.mark.parametrize(
    ("error", "code", "is_bug"),
    [
        (ZeroDivisionError("a bug"), 1, True),
        (OSError(28, "No space left on device", "model"), 4, False),
        (MemoryError("too large"), 1, True),
        (SystemExit(7), 7, False),
    ],
    ids=["bug", "disk full", "memory", "exit"],
)
def test_any_exception_is_failed_with_the_reason(tmp_path: Path, error: BaseException, code: int, is_bug: bool) -> None:
    done = end_of(Forked(f"{__name__}:enter_broken", (error,), tmp_path, environment_of(), ("train", *TINY)))
    assert (done.returncode, "Traceback" in done.stderr) == (code, is_bug), done.stderr
    assert tracked(tmp_path, "select status from runs") == [("FAILED",)]
    ((reason,),) = tracked(tmp_path, REASONS)
    assert reason.startswith(type(error).__name__)


def test_a_job_that_fails_makes_the_sweep_failed_and_no_other(tmp_path: Path) -> None:
    done = door(tmp_path, "train", *TINY[:4], "-m", "learning_rate=0.1,1e30")
    assert done.returncode == 5
    assert tracked(tmp_path, "select status, count(*) from runs group by status") == [("FAILED", 2), ("FINISHED", 1)]
    assert len(tracked(tmp_path, REASONS)) == 2


def test_an_output_folder_below_a_file_is_refused_before_a_run_is_made(tmp_path: Path) -> None:
    (tmp_path / "a_file").write_text("")
    done = door(tmp_path, "train", *TINY, "output_dir=a_file/model")
    assert (done.returncode, "a_file, which is a file" in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "mlflow.db").exists()
