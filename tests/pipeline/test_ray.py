"""Hydra's launcher for Ray, on a Ray of this machine: it gives what one process gives. `make ray` runs these."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlpsweep.errors import SettingsError
from pipeline.compose import check
from pipeline.settings import TrainJob
from tests.pipeline.doors import TINY, door, tracked
from tests.pipeline.processes import count, end_of, environment_of, started, wait_until

pytest.importorskip("ray", reason="Ray has an environment of its own: make ray")
pytestmark = [pytest.mark.slow, pytest.mark.fault]
LAUNCHER = "hydra/launcher=ray"
N_EPOCHS = 40
SEARCH = (
    "data=digits", f"n_epochs={N_EPOCHS}", "batch_size=4", "hidden_sizes=[33]", "search.study=local",
    "space.dimensions.hidden_sizes.width.high=40", "search.n_trials=6", "search.pruner=none", "search.sampler=qmc",
    "winner.top_k=1", "winner.n_seeds=1", "output_dir=found",
)  # fmt: skip
HASHES = "select value from tags where key = 'weights_hash' order by 1"
# A parent or a study's run has no weights.
STATUSES = "select status, count(*) from runs group by 1"
CHILDREN = "select count(*) from tags where key = 'mlflow.parentRunId'"


def below(pid: int) -> Iterator[int]:
    """All processes that a process has started, and those they have."""
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, file.read_text().split()):
            yield child
            yield from below(child)


def workers_of(pid: int) -> list[int]:
    """The processes of Ray below a command that do a job of it."""
    return [one for one in below(pid) if Path(f"/proc/{one}/cmdline").read_bytes().startswith(b"ray::_run_job")]


def are_gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes of the same sweep and the same search."""
    folder = tmp_path_factory.mktemp("alone")
    for words in (("train", "-m", *TINY, "seed=1,2"), ("search", *SEARCH)):
        done = door(folder, *words)
        assert done.returncode == 0, done.stderr
    return folder


def is_study_exact(folder: Path) -> bool:
    """Whether each trial was recorded once, each epoch of it once, and nothing is left open."""
    points = "select count(*), count(distinct run_uuid || step) from metrics where key = 'validation/accuracy'"
    of_trials = "run_uuid in (select run_uuid from tags where key = 'trial')"
    return (
        tracked(folder, "select distinct status from runs") == [("FINISHED",)]
        and tracked(folder, "select count(*) from runs where name like 'search%'") == [(1,)]
        and tracked(folder, "select value, count(*) from tags where key = 'trial_state' group by 1")
        == [("complete", 6)]
        and tracked(folder, f"{points} and {of_trials}") == [(6 * N_EPOCHS, 6 * N_EPOCHS)]
    )


def of_search(folder: Path) -> list[tuple[str, str]]:
    """The trials' numbers and weights."""
    trial = "select run_uuid, value as number from tags where key = 'trial'"
    return tracked(folder, f"select number, value from tags join ({trial}) using (run_uuid) where key = 'weights_hash'")


def test_a_sweep_is_that_of_one_process(tmp_path: Path, alone: Path) -> None:
    done = door(tmp_path, "train", "-m", *TINY, LAUNCHER, "seed=1,2", "hydra.sweep.dir=jobs", cold=True)
    assert (done.returncode, done.stderr) == (
        0,
        "data/prepared/digits is missing: downloading and preparing digits first\n",
    )
    assert tracked(tmp_path, STATUSES) == [("FINISHED", 3)]
    assert tracked(tmp_path, CHILDREN) == [(2,)]
    assert {path.name for path in tmp_path.iterdir()} == {"data", "jobs", "mlflow.db", "mlruns"}
    assert sorted(path.parent.name for path in (tmp_path / "jobs").glob("*/model.npz")) == ["0", "1"]
    assert set(tracked(tmp_path, HASHES)) < set(tracked(alone, HASHES))
    assert "\x1b" not in done.stdout
    assert done.stdout.count(") relu 16 lr=0.1 seed=") == 2


def test_a_search_is_that_of_one_process(tmp_path: Path, alone: Path) -> None:
    done = door(tmp_path, "search", "-m", *SEARCH, LAUNCHER, "worker=range(2)", cold=True)
    assert done.returncode == 0, done.stderr
    assert is_study_exact(tmp_path)
    assert sorted(of_search(tmp_path)) == sorted(of_search(alone))
    winner = "found/recipe/winner.yaml"
    assert (tmp_path / winner).read_text() == (alone / winner).read_text()


def test_a_killed_worker_is_started_again_and_goes_on(tmp_path: Path, alone: Path) -> None:
    words = ("search", "-m", *SEARCH, LAUNCHER, "worker=range(2)", "search.lease_s=5")
    with started(tmp_path, *words, cold=True) as process:
        wait_until(lambda: count(tmp_path, "select count(*) from metrics") > 2, process)
        os.kill(workers_of(process.pid)[0], signal.SIGKILL)
        ended = end_of(process)
    assert ended.returncode == 0, ended.stderr
    assert "Task _run_job failed. There are 3 retries remaining" in ended.stdout + ended.stderr
    assert is_study_exact(tmp_path)
    assert sorted(of_search(tmp_path)) == sorted(of_search(alone))


def test_a_search_that_was_ended_goes_on_by_the_same_command(tmp_path: Path, alone: Path) -> None:
    words = ("search", "-m", *SEARCH, LAUNCHER, "worker=range(2)", "search.lease_s=5")
    with started(tmp_path, *words, cold=True) as process:
        wait_until(lambda: count(tmp_path, "select count(*) from metrics") > 2, process)
        workers = workers_of(process.pid)
        os.kill(process.pid, signal.SIGTERM)
        ended = end_of(process)
        wait_until(lambda: are_gone(workers))
    assert (ended.returncode, len(workers)) == (143, 2), ended.stderr
    assert "Traceback" not in ended.stderr
    again = door(tmp_path, *words, cold=True)
    assert again.returncode == 0, again.stderr
    assert is_study_exact(tmp_path)
    assert sorted(of_search(tmp_path)) == sorted(of_search(alone))


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """Run a Ray that was started in ``folder`` and knows nothing of the command; yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Ray's sockets lie there, and their names may not be long.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as short:
        words = ["ray", "start", "--head", "--block", f"--port={port}", "--num-cpus=2", "--include-dashboard=false"]
        environment = environment_of(RAY_TMPDIR=short, RAY_USAGE_STATS_ENABLED="0")
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(
                [sys.executable, "-m", "ray.scripts.scripts", *words[1:]],
                cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True,
            ) as head,
        ):  # fmt: skip
            try:
                wait_until(lambda: b"Ray runtime started" in (folder / "log").read_bytes())
                yield f"127.0.0.1:{port}"
            finally:
                servers = list(below(head.pid))
                head.terminate()
                head.wait(60)
                wait_until(lambda: are_gone(servers))


def test_a_cluster_that_runs_elsewhere_works_in_the_commands_folder(tmp_path: Path, alone: Path) -> None:
    elsewhere, mine = tmp_path / "elsewhere", tmp_path / "mine"
    elsewhere.mkdir()
    mine.mkdir()
    with cluster(elsewhere) as address:
        words = ("train", "-m", *TINY, LAUNCHER, "seed=1,2", "hydra.sweep.dir=jobs")
        done = door(mine, *words, cold=True, RAY_ADDRESS=address, RAY_AUTH_MODE="token")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in elsewhere.iterdir()] == ["log"]
    assert sorted(path.parent.name for path in (mine / "jobs").glob("*/model.npz")) == ["0", "1"]
    assert tracked(mine, STATUSES) == [("FINISHED", 3)]
    assert tracked(mine, CHILDREN) == [(2,)]
    assert set(tracked(mine, HASHES)) < set(tracked(alone, HASHES))


def test_a_file_starts_no_program_on_the_workers(tmp_path: Path) -> None:
    (tmp_path / "recipe").mkdir()
    code = "{launcher: {ray: {init: {runtime_env: {py_executable: evil}}}}}"
    (tmp_path / "recipe/evil.yaml").write_text(f"# @package _global_\nhydra: {code}\n")
    words = ["data=digits", LAUNCHER, "recipe=evil"]
    with pytest.raises(SettingsError, match=r"hydra.launcher.ray.init.runtime_env.py_executable: 'evil' in a file"):
        check("train", TrainJob, words, multirun=True, config_dir=str(tmp_path))
