"""A study in a storm: its workers are killed and its database restarted at random moments; nothing may be lost.

    python -m tests.faults.storm --trials 400 --workers 8 --kills 20 --restarts 5
    python -m tests.faults.storm --trials 400 --workers 8 --kills 20 --sqlite

Each trial is a real training: one epoch of the digits.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from mlpsweep.data.dataset import load_dataset
from mlpsweep.data.download import download
from mlpsweep.data.preprocess import prepare
from mlpsweep.search.ledger import Ledger
from mlpsweep.search.run import services_on
from mlpsweep.search.settings import SpaceSettings
from mlpsweep.search.study import Plan, Study, open_study
from mlpsweep.search.supervisor import supervise
from mlpsweep.search.view import SLOT, STRAY
from mlpsweep.search.worker import SearchEnd, work
from tests.faults.search_child import birth, note
from tests.forked import Forked
from tests.search_lab import CARD, DiskBook, base_settings, search_settings
from tests.servers import postgres

ROOT = Path(__file__).parents[2]
LIMIT_S = 1500.0


@dataclass(frozen=True)
class Outcome:
    """What is left after the storm.

    Parameters
    ----------
    finished : int
        Trials that ended.
    lost, twice, running : int
        Acknowledged results that are not as they were, trials that were acknowledged or shown twice, trials at work.
    kills, seconds : int, float
        Workers that were killed, and how long it took.
    """

    finished: int
    lost: int
    twice: int
    running: int
    kills: int
    seconds: float


def open_it(root: Path, search: dict[str, Any]) -> Study:
    base = base_settings(n_epochs=1, hidden_sizes=[8])
    dimensions = {name: CARD["dimensions"][name] for name in ("activation", "l2_lambda", "learning_rate")}
    dataset = load_dataset(root / "prepared", base.data)
    space = SpaceSettings.build({"dimensions": dimensions, "max_parameters": None})
    plan = Plan.build(space, base, "validation/accuracy", dataset.manifest)
    return open_study(plan, search_settings(**search), root)


def be_worker(root: Path, search: dict[str, Any]) -> SearchEnd:
    """One worker; it notes each result that the database has acknowledged."""
    note(root, "pids.log", f"{os.getpid()} {birth(os.getpid())}")
    tell = Ledger.tell

    def telling(ledger: Ledger, claim: Any, state: str, value: float | None, notes: Any) -> None:
        tell(ledger, claim, state, value, notes)
        note(root, "acked.log", json.dumps([claim.number, value]))

    setattr(Ledger, "tell", telling)  # noqa: B010 - typed as a method that is never replaced
    study, book = open_it(root, search), DiskBook()
    dataset = load_dataset(root / "prepared", base_settings().data)
    records = {"open_trial": book.open_trial, "open_finalist": book.open_finalist}
    return work(study, search_settings(**search), services_on(dataset, "validation/accuracy", **records))


def main(root: Path, search: dict[str, Any]) -> None:
    supervise(open_it(root, search), search_settings(**search), be_worker, (root, search), print)


def storm(root: Path, storage: str | None, n_trials: int, n_workers: int, n_kills: int, restarts: list[Any]) -> Outcome:
    """Search, and disturb it evenly over the trials; ``restarts`` are called in turn."""
    data = base_settings().data
    download(data, root / "raw")
    prepare(data, root / "raw", root / "prepared")
    search = {"n_trials": n_trials, "n_workers": n_workers, "max_retries": 1000, "storage": storage, "lease_s": 30.0}
    search |= {"sampler": "random", "reuse": False}
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "OPENBLAS_NUM_THREADS": "1"}
    began, rng = time.monotonic(), random.Random(0)
    blows = [lambda: kill_one(root, rng)] * n_kills + restarts
    rng.shuffle(blows)
    parent = Forked("tests.faults.storm:main", (root, search), ROOT, environment)  # type: ignore[arg-type]
    try:
        for number, blow in enumerate(blows, start=1):
            wait_for(root, parent, n_trials * number // (len(blows) + 1))
            blow()
        _, errors = parent.communicate(LIMIT_S)
        assert parent.returncode == 0, errors
        return look(root, open_it(root, search), n_kills, time.monotonic() - began)
    finally:
        parent.kill()
        for pid in living(root):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def kill_one(root: Path, rng: random.Random) -> None:
    time.sleep(rng.uniform(0.0, 0.3))
    with contextlib.suppress(ProcessLookupError):
        os.kill(rng.choice(living(root)), signal.SIGKILL)


def living(root: Path) -> list[int]:
    file = root / "pids.log"
    noted = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return [int(pid) for pid, born in noted if birth(int(pid)) == born]


def wait_for(root: Path, parent: Forked, n_acked: int) -> None:
    deadline, file = time.monotonic() + LIMIT_S, root / "acked.log"
    while not file.exists() or file.read_bytes().count(b"\n") < n_acked:
        assert parent.poll() is None, parent.communicate()
        assert time.monotonic() < deadline, "the study does not get on"
        time.sleep(0.02)


def look(root: Path, study: Study, n_kills: int, seconds: float) -> Outcome:
    """Compare what was acknowledged with what is there, and with what Optuna shows."""
    acked = [json.loads(line) for line in (root / "acked.log").read_text().splitlines()]
    trials = {trial.number: trial for trial in study.ledger.trials()}
    lost = sum(number not in trials or trials[number].value != value for number, value in acked)
    shown = study.ledger.database.storage.get_all_trials(study.ledger.view.study_id)
    seen = Counter(trial.user_attrs[SLOT] for trial in shown if STRAY not in trial.user_attrs)
    lost += len(trials.keys() - seen.keys())
    told = Counter(number for number, _ in acked)
    twice = sum(n > 1 for n in told.values()) + sum(n > 1 for n in seen.values())
    running = sum(trial.state == TrialState.RUNNING for trial in (*trials.values(), *shown))
    finished = sum(trial.state.is_finished() and trial.value is not None for trial in trials.values())
    return Outcome(finished, lost, twice, running, n_kills, seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("trials", 400), ("workers", 8), ("kills", 20), ("restarts", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--sqlite", action="store_true", help="a file instead of a server; it cannot be restarted")
    asked = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="storm-")))
        server = None if asked.sqlite else stack.enter_context(postgres())
        again = [server.restart] * asked.restarts if server else []
        database = "PostgreSQL" if server else "SQLite"
        print(f"{database}, {asked.workers} workers, {asked.kills} kills, {len(again)} restarts:", flush=True)
        done = storm(folder, server and server.url, asked.trials, asked.workers, asked.kills, again)
        print(done)
        raise SystemExit(astuple(done)[:4] != (asked.trials, 0, 0, 0))
