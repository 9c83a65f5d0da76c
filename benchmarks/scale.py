"""How many workers a study's database bears: measured, and simulated beyond what one machine can start.

``ledger`` runs workers that train nothing: they claim, propose, report eight values and tell, as fast as they can.
``simulate`` feeds the latencies of one such worker to benchmarks/events.py, compares it with the measured points, and
goes on to 10,000 workers whose trials last as long as said.

    python -m benchmarks.scale ledger --workers 1,2,4,8,16,32 --trials 200 [--sqlite] >> scale.jsonl
    python -m benchmarks.scale simulate scale.jsonl --trial 60 --spread 20

A line of output is one point, as JSON. PostgreSQL is started for the benchmark alone.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.events import CLAIM, OPERATIONS, PROPOSE, REPORT, TELL, Costs, percentile, simulate

if TYPE_CHECKING:
    from mlpsweep.search.study import Study

N_EPOCHS: Final = 8
RENEW: Final = "renew"
LIMIT_S: Final = 170.0
"""Longest measurement of one point: what was done until then counts."""
KINDS: Final = {"sqlite": 1, "postgresql": os.cpu_count() or 1}
"""Operations that each database does at once."""
SIMULATED: Final = (10, 100, 1000, 10_000)


def open_at(root: Path, url: str | None) -> "Study":
    """Return the study of the benchmark, new or joined; no data are looked at."""
    from mlpsweep.search.space import Space
    from mlpsweep.search.study import Plan, open_study
    from pipeline.compose import check
    from pipeline.settings import SearchJob

    words = ["data=digits", f"n_epochs={N_EPOCHS}", "hidden_sizes=[64]"]
    job = check("search", SearchJob, words, multirun=False)[0].settings
    plan = Plan("digits", "d" * 64, "s" * 64, Space.build(job.space, job.training(), 64, 10), job.search.metric)
    return open_study(plan, replace(job.search, storage=url), root)


def be_worker(
    root: Path, url: str | None, n_trials: int, at: float, told: "SimpleQueue[dict[str, list[float]]]"
) -> None:
    """Take trials and end them at once; tell how long each operation took."""
    from mlpsweep.search.claims import Claim
    from mlpsweep.search.leases import COMPLETE
    from mlpsweep.search.ownership import new_owner

    study, owner = open_at(root, url), new_owner()
    ledger, params = study.ledger, study.plan.space.baseline() or {}
    facts = {"run_key": "0" * 64, "seed": 0, "weights_hash": "0" * 64, "validation/loss": 0.5}
    seconds: dict[str, list[float]] = {name: [] for name in (*OPERATIONS, RENEW, "began", "ended")}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = call()
        seconds[name].append(time.perf_counter() - began)
        return result

    time.sleep(max(0.0, at - time.time()))
    seconds["began"].append(time.time())
    while time.time() < at + LIMIT_S:
        claim = timed(CLAIM, partial(ledger.claim, owner, n_trials))
        if not isinstance(claim, Claim):
            break
        timed(PROPOSE, partial(ledger.propose, claim, params))
        timed(RENEW, partial(ledger.claims.keep, claim))
        for epoch in range(1, N_EPOCHS + 1):
            timed(REPORT, partial(ledger.report, claim, epoch, 0.5))
        timed(TELL, partial(ledger.tell, claim, COMPLETE, 0.5, facts))
        seconds["ended"].append(time.time())
    told.put(seconds)


def measure(url: str | None, n_workers: int, n_trials: int) -> dict[str, Any]:
    """Return one point: trials a second, and latencies in milliseconds."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["mlpsweep.search.study"])
    told, at = forks.SimpleQueue(), time.time() + 2 + 0.3 * n_workers
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        open_at(Path(folder), url)
        arguments = (Path(folder), url, n_trials, at, told)
        workers = [forks.Process(target=be_worker, args=arguments) for _ in range(n_workers)]
        for worker in workers:
            worker.start()
        parts = [told.get() for _ in workers]
        for worker in workers:
            worker.join()
    seconds = {name: [one for part in parts for one in part[name]] for name in parts[0]}
    # Where a machine is too busy to start all by then, what counts begins with the last one.
    began, ended = max(seconds.pop("began")), seconds.pop("ended")
    counted = [end for end in ended if end > began]
    return {
        "database": "sqlite" if url is None else "postgresql",
        "workers": n_workers,
        "trials": len(ended),
        "trials_s": len(counted) / (max(ended) - began),
        "ms": {name: [percentile(times, share) for share in (50, 99)] for name, times in seconds.items()},
        "seconds": {name: [round(one, 5) for one in times] for name, times in seconds.items()}
        if n_workers == 1
        else {},
    }


@contextlib.contextmanager
def database(is_sqlite: bool) -> Iterator[Callable[[], str | None]]:
    """Yield what gives the address of an empty database, or None for a file."""
    from tests.servers import postgres

    if is_sqlite:
        yield lambda: None
        return
    with postgres() as server:
        numbers = iter(range(10**6))

        def fresh() -> str:
            import psycopg

            name = f"scale{next(numbers)}"
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}".encode())
            return f"{server.url.rpartition('/')[0]}/{name}"

        yield fresh


def costs_of(points: list[dict[str, Any]], kind: str) -> Costs:
    """Return what one worker alone measured."""
    (alone,) = [point for point in points if point["database"] == kind and point["workers"] == 1][-1:]
    return Costs({name: alone["seconds"][name] for name in OPERATIONS}, KINDS[kind])


def compare(points: list[dict[str, Any]], trial_s: float, spread: float) -> Iterator[dict[str, Any]]:
    """Yield each measured point beside the simulated one, then simulated ones with trials that last."""
    for kind in sorted({point["database"] for point in points}):
        costs = costs_of(points, kind)
        for point in (point for point in points if point["database"] == kind):
            done = simulate(costs, point["workers"], [0.0], N_EPOCHS, (5.0, 65.0))
            off = done.trials_s / point["trials_s"] - 1
            yield {"database": kind, "workers": point["workers"], "measured": point["trials_s"],
                   "simulated": done.trials_s, "off": off}  # fmt: skip
        lengths = np.geomspace(1.0, spread, 64)
        lengths *= trial_s / N_EPOCHS / lengths.mean()
        for n_workers in SIMULATED:
            done = simulate(costs, n_workers, list(lengths), N_EPOCHS, (5 * trial_s, 10 * trial_s))
            yield {"database": kind, "workers": n_workers, "trial_s": trial_s, "simulated": done.trials_s,
                   "of_ideal": done.trials_s * trial_s / n_workers, "idle": done.idle,
                   "claim_ms": [percentile(done.waits[CLAIM], share) for share in (50, 99)]}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    ledger = kinds.add_parser("ledger")
    ledger.add_argument("--workers", default="1,2,4,8,16,32")
    ledger.add_argument("--trials", type=int, default=200)
    ledger.add_argument("--sqlite", action="store_true")
    simulated = kinds.add_parser("simulate")
    simulated.add_argument("file", type=Path)
    simulated.add_argument("--trial", type=float, default=60.0, help="mean seconds of a trial")
    simulated.add_argument("--spread", type=float, default=20.0, help="longest trial over shortest")
    asked = parser.parse_args()
    if asked.kind == "ledger":
        with database(asked.sqlite) as fresh:
            for n_workers in map(int, asked.workers.split(",")):
                print(json.dumps(measure(fresh(), n_workers, asked.trials)), flush=True)
        return
    points = [json.loads(line) for line in asked.file.read_text().splitlines()]
    for row in compare(points, asked.trial, asked.spread):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
