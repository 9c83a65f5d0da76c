"""The launcher of SLURM's users, on this machine: jobs end as elsewhere, and one that must give way comes back."""

import os
import signal
from pathlib import Path

import pytest

from tests.pipeline.doors import TINY, door, tracked
from tests.pipeline.processes import count, end_of, started, wait_until

pytest.importorskip("submitit", reason="pip install 'mlpsweep[slurm]'")
pytestmark = [pytest.mark.slow, pytest.mark.fault]
LAUNCHER = "hydra/launcher=submitit_local"
N_EPOCHS = 40
SEARCH = (
    "data=digits", f"n_epochs={N_EPOCHS}", "batch_size=4", "hidden_sizes=[33]", "search.study=local",
    "space.dimensions.hidden_sizes.width.high=40", "search.n_trials=6", "search.pruner=none", "winner.top_k=1",
    "winner.n_seeds=1",
)  # fmt: skip


def tasks_of(folder: Path) -> list[int]:
    """The processes that do the jobs of a sweep, by the folder where submitit keeps its files."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "submitit.core._submit" in words and any(word.startswith(str(folder)) for word in words):
            found.append(int(entry.parent.name))
    return sorted(found)


def test_a_sweep_has_a_parent_and_its_jobs(tmp_path: Path) -> None:
    done = door(tmp_path, "train", "-m", *TINY, LAUNCHER, "seed=1,2", "hydra.sweep.dir=jobs")
    assert done.returncode == 0, done.stderr
    assert tracked(tmp_path, "select status, count(*) from runs group by 1") == [("FINISHED", 3)]
    assert sorted(path.parent.name for path in (tmp_path / "jobs").glob("*/model.npz")) == ["0", "1"]


def test_a_preempted_worker_leaves_its_trial_is_requeued_and_goes_on(tmp_path: Path) -> None:
    words = ("search", "-m", *SEARCH, LAUNCHER, "worker=range(2)", "hydra.sweep.dir=jobs", "output_dir=found")
    with started(tmp_path, *words) as process:
        wait_until(
            lambda: count(tmp_path, "select count(*) from metrics where key = 'validation/accuracy'") > 2, process
        )
        victim = tasks_of(tmp_path / "jobs")[0]
        os.kill(victim, signal.SIGUSR2)
        ended = end_of(process)
    assert ended.returncode == 0, ended.stderr
    logs = {log.name: log.read_text() for log in (tmp_path / "jobs/.submitit").glob("*/*_log.*")}
    assert sorted(said.count("Starting with") for said in logs.values()) == [0, 0, 1, 2]
    assert [said.count("the same command goes on") for said in logs.values()].count(1) == 1
    assert not any("Traceback" in said for said in logs.values()), logs
    assert tracked(tmp_path, "select distinct status from runs") == [("FINISHED",)]
    assert tracked(tmp_path, "select count(*) from runs where name like 'search%'") == [(1,)]
    assert tracked(tmp_path, "select distinct value from tags where key = 'trial_state'") == [("complete",)]
    points = "select count(*), count(distinct run_uuid || step) from metrics where key = 'validation/accuracy'"
    of_trials = "run_uuid in (select run_uuid from tags where key = 'trial')"
    assert tracked(tmp_path, f"{points} and {of_trials}") == [(6 * N_EPOCHS, 6 * N_EPOCHS)]
