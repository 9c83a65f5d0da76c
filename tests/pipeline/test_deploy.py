"""What deploy/ holds for schedulers and containers, as far as it can be tried without them."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.pipeline.doors import tracked
from tests.pipeline.processes import PATIENCE_S, count, environment_of, wait_until

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SEARCH = (
    "data=digits", "n_epochs=200", "batch_size=2", "hidden_sizes=[33]", "space.dimensions.hidden_sizes.width.high=40",
    "search.n_trials=2", "search.pruner=none", "winner.top_k=1", "winner.n_seeds=1",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.fault
def test_a_worker_of_slurm_that_must_give_way_leaves_its_trial_and_is_queued_again(tmp_path: Path) -> None:
    scontrol = tmp_path / "bin/scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    scontrol.chmod(0o755)
    environment = environment_of(SLURM_JOB_ID="17", SLURM_ARRAY_TASK_ID="3")
    environment["PATH"] = f"{scontrol.parent}{os.pathsep}{environment['PATH']}"
    words = ["bash", str(DEPLOY / "slurm.sh"), *SEARCH]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True) as shell,
    ):
        try:
            wait_until(lambda: count(tmp_path, "select count(*) from metrics") > 0)
            os.kill(shell.pid, signal.SIGTERM)  # the batch shell alone, as --signal=B: has it
            assert shell.wait(PATIENCE_S) == 0
        finally:
            if shell.poll() is None:
                os.killpg(shell.pid, signal.SIGKILL)
    assert (tmp_path / "asked").read_text() == "requeue 17\n"
    states = "select value from tags where key = 'trial_state'"
    assert tracked(tmp_path, states) == [("interrupted",)], (tmp_path / "log").read_text()
    assert tracked(tmp_path, "select count(*) from runs where status = 'RUNNING'") == [(0,)]


def test_the_commands_of_containers_are_ours() -> None:
    (job,) = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    (container,) = job["spec"]["template"]["spec"]["containers"]
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    for words in (container["args"], compose["services"]["worker"]["command"].split()):
        assert words[:3] == ["python", "-m", "pipeline.search"]
    # No password stands in a file: a Secret, or the environment, has it.
    assert "password@" not in (DEPLOY / "kubernetes.yaml").read_text() + (DEPLOY / "compose.yaml").read_text()
    given = {one["name"]: one for one in container["env"]}
    assert "value" not in given["PGPASSWORD"]
    assert set(compose["services"]["worker"]["environment"]) == set(given)
