"""Searches as processes: killed, stopped, interrupted, started all at once; the study always comes out right."""

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState

from mlpsweep.files import read_json
from mlpsweep.search.study import Study
from mlpsweep.search.view import SLOT, STRAY
from mlpsweep.search.worker import work
from tests.faults.search_child import birth
from tests.forked import Forked
from tests.postgres import new_database
from tests.search_lab import make_plan, make_services, new_study, outcome, search_settings

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.fault]
N_ROUNDS = 3


class Crowd:
    """The processes a test started; none outlives it."""

    def __init__(self, root: Path, storage: str | None = None) -> None:
        self.root, self.processes, self.storage = root, list[Forked](), storage

    def start(self, search: dict[str, Any], **options: Any) -> Forked:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "OPENBLAS_NUM_THREADS": "1"}
        search = {"storage": self.storage, **search}
        arguments = (self.root, {**options, "search": search})
        process = Forked("tests.faults.search_child:main", arguments, ROOT, environment)
        self.processes.append(process)
        return process

    def lines(self, name: str) -> list[str]:
        file = self.root / name
        return file.read_text().splitlines() if file.exists() else []

    def living(self) -> list[int]:
        """Every worker process that still is."""
        noted = [line.split() for line in self.lines("pids.log")]
        return [int(pid) for pid, born in noted if birth(int(pid)) == born]

    def study(self, n_epochs: int = 3) -> Study:
        return new_study(self.root, make_plan(n_epochs=n_epochs), storage=self.storage)

    def wait_for(self, name: str, n_lines: int, timeout_s: float = 60) -> None:
        wait_until(lambda: len(self.lines(name)) >= n_lines, timeout_s)


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def wait_until(is_true: Any, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


@contextlib.contextmanager
def gathered(root: Path, storage: str | None = None) -> Iterator[Crowd]:
    crowd = Crowd(root, storage)
    try:
        yield crowd
    finally:
        for process in crowd.processes:
            process.kill()
            process.communicate()
        for pid in crowd.living():
            kill(pid)


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    with gathered(tmp_path) as crowd:
        yield crowd


@pytest.fixture
def on_a_server(tmp_path: Path) -> Iterator[Crowd]:
    with new_database() as url, gathered(tmp_path, url) as crowd:
        yield crowd


def check_done(crowd: Crowd, n_trials: int, n_epochs: int = 3) -> None:
    """The target is reached exactly, nothing is lost or left over, and every record is closed."""
    study = crowd.study(n_epochs)
    trials = study.ledger.trials()
    assert [trial.number for trial in trials] == list(range(n_trials))
    assert all(trial.state.is_finished() for trial in trials)
    assert {int(number) for number in crowd.lines("acked.log")} <= set(range(n_trials))
    assert len(crowd.lines("acked.log")) == len(set(crowd.lines("acked.log")))
    runs = [read_json(study.trial_folder(trial.number) / "run.json") for trial in trials]
    told = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    assert [run["status"] for run in runs] == [told[trial.state] for trial in trials]
    assert [run["epochs"] for run in runs] == [sorted(trial.intermediate_values) for trial in trials]
    assert not list(crowd.root.rglob("*.ckpt"))
    check_shown(study, trials)


def check_shown(study: Study, trials: list[FrozenTrial]) -> None:
    """Optuna's own reader sees the same, and each slot once; what shows none is marked, and no failure."""
    shown = study.ledger.database.storage.get_all_trials(study.ledger.view.study_id)
    strays = [trial for trial in shown if STRAY in trial.user_attrs]
    assert {trial.state for trial in strays} <= {TrialState.PRUNED}
    seen = sorted((trial for trial in shown if trial not in strays), key=lambda trial: trial.user_attrs[SLOT])
    assert [trial.user_attrs[SLOT] for trial in seen] == [trial.number for trial in trials]
    for there, here in zip(seen, trials, strict=True):
        assert (there.state, there.value, there.params) == (here.state, here.value, here.params)
        assert there.intermediate_values == here.intermediate_values


def uninterrupted(root: Path, n_trials: int, **search: Any) -> list[dict[str, Any]]:
    study = new_study(root)
    work(study, search_settings(n_trials=n_trials, **search), make_services())
    return outcome(study)


@pytest.mark.parametrize("n_kills", [3, 10])
def test_a_worker_killed_at_random_moments_ends_as_if_never_killed(crowd: Crowd, tmp_path: Path, n_kills: int) -> None:
    search = {"n_trials": 12, "pruner": "asha", "max_retries": 100}
    rng = random.Random(0)
    for _ in range(n_kills):
        n_started = len(crowd.lines("started.log"))
        process = crowd.start(search, epoch_s=0.15)
        crowd.wait_for("started.log", n_started + 1)
        time.sleep(rng.uniform(0.0, 0.6))
        process.kill()
        process.wait()
    n_hit = sum(trial.user_attrs.get("retries", 0) for trial in crowd.study().ledger.trials())
    finished = {file: file.read_bytes() for file in crowd.root.rglob("history.csv")}
    assert crowd.start(search).wait(60) == 0
    n_hit += sum(trial.state == TrialState.RUNNING for trial in crowd.study().ledger.trials())
    check_done(crowd, 12)
    assert outcome(crowd.study()) == uninterrupted(tmp_path / "whole", 12, pruner="asha")
    assert {file: file.read_bytes() for file in finished} == finished
    assert sum(trial.user_attrs.get("retries", 0) for trial in crowd.study().ledger.trials()) >= 0.6 * n_kills


@pytest.mark.parametrize(
    ("n_trials", "n_workers", "n_kills", "n_parent_kills"),
    [(12, 2, 2, 1), (40, 4, 20, 5)],
)
def test_workers_and_parents_killed_lose_nothing(
    crowd: Crowd, n_trials: int, n_workers: int, n_kills: int, n_parent_kills: int
) -> None:
    storm(crowd, n_trials, n_workers, n_kills, n_parent_kills)


@pytest.mark.postgres
def test_eight_workers_on_a_server_killed_lose_nothing(on_a_server: Crowd) -> None:
    storm(on_a_server, n_trials=60, n_workers=8, n_kills=20, n_parent_kills=3)


@pytest.mark.postgres
def test_workers_started_at_once_on_an_empty_server_do_each_trial_once(on_a_server: Crowd) -> None:
    for _ in range(8):
        on_a_server.start({"n_trials": 40}, n_epochs=1, start_at=time.time() + 2)
    assert [process.wait(180) for process in on_a_server.processes] == [0] * 8
    check_done(on_a_server, 40, n_epochs=1)
    assert len(on_a_server.lines("started.log")) == 40


def storm(crowd: Crowd, n_trials: int, n_workers: int, n_kills: int, n_parent_kills: int) -> None:
    """Kill workers and parents at random moments; the study ends as if nobody had been."""
    search = {"n_trials": n_trials, "n_workers": n_workers, "max_retries": 100}
    rng = random.Random(1)
    victims = ["worker"] * n_kills + ["parent"] * n_parent_kills
    rng.shuffle(victims)
    parent = crowd.start(search, epoch_s=0.3)
    for victim in victims:
        n_started = len(crowd.lines("started.log"))
        crowd.wait_for("started.log", n_started + 1)
        time.sleep(rng.uniform(0.0, 0.2))
        if victim == "worker":
            kill(rng.choice(crowd.living()))
            continue
        parent.kill()
        parent.wait()
        wait_until(lambda: not crowd.living(), 5)
        parent = crowd.start(search, epoch_s=0.3)
    _, errors = parent.communicate(timeout=180)
    assert parent.returncode == 0, errors
    check_done(crowd, n_trials)
    assert not crowd.living()


@pytest.mark.parametrize(
    ("n_workers", "n_trials"),
    [(4, 16), *[pytest.param(8, 100, id=f"8-100-{i}") for i in range(N_ROUNDS)]],
)
def test_workers_started_at_once_on_nothing_do_each_trial_once(crowd: Crowd, n_workers: int, n_trials: int) -> None:
    start_at = time.time() + 0.5 + 0.1 * n_workers
    for _ in range(n_workers):
        crowd.start({"n_trials": n_trials}, n_epochs=1, start_at=start_at)
    assert [process.wait(180) for process in crowd.processes] == [0] * n_workers
    check_done(crowd, n_trials, n_epochs=1)
    study = crowd.study(n_epochs=1)
    baseline = study.plan.space.baseline()
    assert [trial.number for trial in study.counted() if trial.params == baseline] == [0]
    assert len({json.dumps(trial.params) for trial in study.counted()}) == n_trials
    assert len(crowd.lines("started.log")) == n_trials


def test_two_searches_at_once_share_the_work(crowd: Crowd) -> None:
    for _ in range(2):
        crowd.start({"n_trials": 14, "n_workers": 2}, epoch_s=0.05)
    assert [process.wait(120) for process in crowd.processes] == [0, 0]
    check_done(crowd, 14)
    assert len(crowd.lines("started.log")) == 14


def test_a_worker_that_cannot_start_is_one_error(crowd: Crowd) -> None:
    process = crowd.start({"n_trials": 4, "n_workers": 3}, broken=True)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.count("mlpsweep.errors.DataError: data: nothing there; expected data. Fetch it") == 1
    assert not crowd.living()


def test_a_trial_that_kills_its_workers_fails_and_the_others_complete(crowd: Crowd) -> None:
    process = crowd.start({"n_trials": 9, "n_workers": 2, "max_retries": 1}, deadly_above=0.1)
    notices, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "was killed by signal 9 (out of memory?); another one takes its place" in notices
    check_done(crowd, 9)
    trials = crowd.study().counted()
    deadly = [trial for trial in trials if trial.params["learning_rate"] > 0.1]
    assert deadly
    assert all(trial.user_attrs["reason"] == "its worker died 2 times (out of memory?)" for trial in deadly)
    assert {trial.state for trial in trials if trial not in deadly} == {TrialState.COMPLETE}


def test_a_search_whose_workers_all_die_before_a_trial_ends_gives_up(crowd: Crowd) -> None:
    process = crowd.start({"n_trials": 9, "n_workers": 2, "max_retries": 0, "trial_timeout_s": 30}, epoch_s=60)
    stop = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < stop:
        for pid in crowd.living():
            kill(pid)
        time.sleep(0.1)
    _, errors = process.communicate(timeout=60)
    assert "expected workers that live. Look for what kills them" in errors


@pytest.mark.parametrize("n_workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_search_within_five_seconds_and_it_goes_on_later(
    crowd: Crowd, number: signal.Signals, n_workers: int
) -> None:
    search = {"n_trials": 6, "n_workers": n_workers}
    process = crowd.start(search, epoch_s=0.5)
    crowd.wait_for("acked.log", 1)
    crowd.wait_for("started.log", n_workers + 1)
    start = time.monotonic()
    os.kill(process.pid, number)
    assert process.wait(10) == -number
    assert time.monotonic() - start < 5
    assert not crowd.living()
    states = {trial.state for trial in crowd.study().trials()}
    assert TrialState.WAITING in states
    assert TrialState.RUNNING not in states
    assert crowd.start(search).wait(60) == 0
    check_done(crowd, 6)


def test_ctrl_c_in_a_terminal_reaches_the_parent_only(crowd: Crowd) -> None:
    process = crowd.start({"n_trials": 6, "n_workers": 2}, epoch_s=0.5)
    crowd.wait_for("started.log", 2)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == -signal.SIGINT
    assert "Traceback" not in errors
    assert {trial.state for trial in crowd.study().trials()} <= {TrialState.WAITING, TrialState.COMPLETE}


def test_a_stopped_worker_keeps_its_trial_and_others_wait_for_it(crowd: Crowd) -> None:
    stopped = crowd.start({"n_trials": 3}, epoch_s=0.3)
    crowd.wait_for("started.log", 1)
    os.kill(stopped.pid, signal.SIGSTOP)
    other = crowd.start({"n_trials": 3})
    crowd.wait_for("acked.log", 2)
    time.sleep(2)
    assert other.poll() is None
    os.kill(stopped.pid, signal.SIGCONT)
    assert [stopped.wait(60), other.wait(60)] == [0, 0]
    check_done(crowd, 3)
    assert len(crowd.lines("started.log")) == 3


def test_a_worker_stopped_for_longer_than_its_lease_loses_its_trial_and_takes_another(crowd: Crowd) -> None:
    search = {"n_trials": 6, "lease_s": 2.0, "max_retries": 1}
    stopped = crowd.start(search, epoch_s=1.0)
    crowd.wait_for("started.log", 1)
    os.kill(stopped.pid, signal.SIGSTOP)
    other = crowd.start(search, epoch_s=1.0)
    # The stopped one's trial is adopted, then another is begun; meanwhile the stopped one wakes.
    crowd.wait_for("acked.log", 2)
    os.kill(stopped.pid, signal.SIGCONT)
    assert [stopped.wait(60), other.wait(60)] == [0, 0]
    check_done(crowd, 6)
    assert [trial.user_attrs.get("retries", 0) for trial in crowd.study().trials()] == [1, 0, 0, 0, 0, 0]
