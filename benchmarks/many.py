"""A store of 10,000 runs and a study of 5,000 trials: how long people and workers wait for what they look at.

    python -m benchmarks.many runs [--runs 10000]
    python -m benchmarks.many study [--trials 5000]

``runs`` fills an ``mlflow server`` on PostgreSQL, asks it for what MLflow's page of runs asks first, and compares all
with pipeline.compare. ``study`` fills a study of the digits with trials of 15 epochs, on PostgreSQL, and times what a
worker does for one more, and what the search writes at its end.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.whole import ROOT, mlflow_server
from tests.servers import postgres

if TYPE_CHECKING:
    from mlpsweep.search.study import Study

N_EPOCHS: Final = 15
STUDY: Final = "many"


@contextmanager
def timed(label: str, n_times: int = 1) -> Iterator[None]:
    """Print how long the block took."""
    began = time.perf_counter()
    yield
    print(f"{label}: {(time.perf_counter() - began) / n_times:.3f} s", flush=True)


def fill_runs(uri: str, n_runs: int) -> str:
    """Make a parent and its trainings, as a sweep does; return the experiment's id."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("digits")
    parent = client.create_run(experiment, run_name=STUDY, tags={"sweep": STUDY})

    def one(number: int) -> None:
        rng = np.random.default_rng(number)
        words = {
            "learning_rate": f"{rng.uniform(0.001, 0.5):.4g}", "activation": str(rng.choice(["relu", "tanh"])),
            "hidden_sizes": f"[{rng.integers(16, 512)}]", "seed": str(number % 3), "n_epochs": str(N_EPOCHS),
            "data.name": "digits", **{f"other.{n}": "1" for n in range(20)},
        }  # fmt: skip
        tags = {"mlflow.parentRunId": parent.info.run_id, "sweep": STUDY, "run_key": f"{number:064d}"}
        run = client.create_run(experiment, run_name=f"{number}", tags=tags)
        names = ("train/loss", "train/accuracy", "validation/loss", "validation/accuracy")
        metrics = [Metric(name, float(rng.random()), 0, epoch) for name in names for epoch in range(1, N_EPOCHS + 1)]
        params = [Param(name, value) for name, value in words.items()]
        client.log_batch(run.info.run_id, metrics, params, [RunTag("note", "none")])
        client.set_terminated(run.info.run_id)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, range(n_runs)))
    return str(experiment)


def ask(address: str, experiment: str, n_runs: int = 100) -> int:
    """Ask for runs as MLflow's page does when it opens; return how many bytes the answer has."""
    words = {"experiment_ids": [experiment], "max_results": n_runs, "order_by": ["attributes.start_time DESC"],
             "run_view_type": "ACTIVE_ONLY"}  # fmt: skip
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/ajax-api/2.0/mlflow/runs/search", json.dumps(words).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return len(answer.read())


def runs(folder: Path, n_runs: int) -> None:
    with postgres() as server:
        store = server.url.replace("postgresql:", "postgresql+psycopg:")
        with mlflow_server(folder / "server", "--backend-store-uri", store) as address:
            with timed(f"{n_runs} runs made, each", n_runs):
                experiment = fill_runs(store, n_runs)
            for _ in range(3):
                with timed("first page: 100 runs"):
                    ask(address, experiment)
            command = [sys.executable, "-m", "pipeline.compare", f"sweep={STUDY}", "output_dir=compared"]
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": address}
            with timed("pipeline.compare"):
                done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            print(
                done.stdout[-300:] or done.stderr[-600:],
                [(f.name, f.stat().st_size) for f in folder.glob("compared/*")],
            )


def fill_study(study: "Study", n_trials: int) -> None:
    """Add complete trials as workers leave them, but that Optuna is not told: nothing here asks it."""
    from mlpsweep.search.leases import COMPLETE, REPORT, STINTS, Leases, Row
    from mlpsweep.search.proposals import Slot, build_proposer

    propose = build_proposer("random", study.plan.space, study.plan.metric).propose
    rng, now = np.random.default_rng(0), time.time() - 10.0 * n_trials

    def filled(leases: Leases) -> None:
        reports = list[dict[str, Any]]()
        for slot in range(n_trials):
            curve = 0.9 + 0.08 * rng.random() * (1 - np.exp(-np.arange(1, N_EPOCHS + 1) / 4))
            at = now + 10.0 * slot
            facts = {"run_key": f"{slot:064x}", "seed": slot, "weights_hash": "0" * 64, "validation/loss": 0.5}
            notes = {**facts, STINTS: [["worker", at, at + 9.0]]}
            params, value = propose(Slot(slot)), float(curve[-1])
            row = Row(
                slot, COMPLETE, token=1, params=params, value=value, notes=notes, began=at, since=at, ended=at + 9
            )
            leases.insert(row)
            reports += [
                {"study": leases.study, "slot": slot, "epoch": epoch, "value": float(one)}
                for epoch, one in enumerate(curve, start=1)
            ]
        leases.connection.execute(REPORT.insert(), reports)

    study.ledger.claims.run(filled)


def study(folder: Path, n_trials: int) -> None:
    from benchmarks.ledgers import open_at
    from mlpsweep.figures.search import draw_search
    from mlpsweep.figures.style import save_figure
    from mlpsweep.report.page import Page, render_page
    from mlpsweep.report.results import ReportData
    from mlpsweep.report.search import search_section, trials_section
    from mlpsweep.search.claims import Claim
    from mlpsweep.search.folder import SearchFolder
    from mlpsweep.search.live import look
    from mlpsweep.search.ownership import new_owner
    from mlpsweep.search.proposals import build_proposer
    from mlpsweep.search.run import conclude
    from mlpsweep.search.settings import WinnerSettings
    from mlpsweep.search.worker import slot_of

    with postgres() as server:
        opened = open_at(folder, server.url)
        fill_study(opened, n_trials)
        with timed("open the study"):
            opened = open_at(folder, server.url)
        ledger, owner = opened.ledger, new_owner()
        for _ in range(2):
            with timed("claim"):
                claim = ledger.claim(owner, 10**6)
            assert isinstance(claim, Claim)
        with timed("read all trials"):
            ledger.trials()
        with timed("look for an equal training"):
            opened.trained("0")
        with timed("look, as the progress does each second"):
            look(opened, n_trials)
        for sampler in ("tpe", "random"):
            proposer = build_proposer(sampler, opened.plan.space, opened.plan.metric)
            for n in range(2):
                with timed(f"proposal, {sampler}"):
                    proposer.propose(slot_of(n_trials + n, ledger.trials(), N_EPOCHS))
        outcome = SearchFolder(folder / "outcome")
        with timed("outcome, but for its figures"):
            found = conclude(opened, WinnerSettings(), lambda settings: {}, outcome)
        with timed("figures"):
            for name, figure in draw_search(found).items():
                save_figure(figure, outcome.file(f"{name}.png"))
        with timed("report, the search's part of it"):
            data = ReportData("digits", None, "digits", (), outcome.read())
            sections = tuple(one for one in (search_section(data), trials_section(data)) if one)
            page = render_page(Page(STUDY, "", (), (), sections, (), ""))
        print({"bytes of the report": len(page), **{f.name: f.stat().st_size for f in outcome.files()}})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("runs", "study"))
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--trials", type=int, default=5000)
    asked = parser.parse_args()
    what: dict[str, Callable[[Path, int], None]] = {"runs": runs, "study": study}
    with tempfile.TemporaryDirectory(prefix="many-") as folder:
        what[asked.what](Path(folder), asked.runs if asked.what == "runs" else asked.trials)


if __name__ == "__main__":
    main()
