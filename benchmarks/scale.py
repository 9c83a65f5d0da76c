"""How many workers a study's database bears: measured, and simulated beyond what one machine can start.

``ledger`` runs workers that train nothing: they claim, propose, renew, report eight values and tell, as fast as they
can, or hold each trial for a while, asleep. ``rows`` measures a claim where many others are at work. ``simulate`` feeds
what traced workers measured to benchmarks/events.py: each point is simulated from the largest traced crowd that is not
larger, and compared with what was measured without a trace. Workers elsewhere, up to 10,000, are fed with one's.

    python -m benchmarks.scale ledger --workers 1,2,4,8 --traced [--sqlite] >> scale.jsonl
    python -m benchmarks.scale ledger --workers 1,2,4,8,16,32 [--sqlite] >> scale.jsonl
    python -m benchmarks.scale ledger --workers 1 --traced --trial 2 --spread 2 --seconds 90 >> scale.jsonl
    python -m benchmarks.scale ledger --workers 64 --threads 32 --trial 6.4 --seconds 40 >> scale.jsonl
    python -m benchmarks.scale rows >> scale.jsonl
    python -m benchmarks.scale simulate scale.jsonl --trial 60 --spread 20 > rows.jsonl
    python -m benchmarks.scale draw rows.jsonl

A line of output is one point, as JSON. PostgreSQL is started for the benchmark alone, and does not wait for its disk.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.events import CLAIM, Segment, Site, Trial, percentile, simulate
from benchmarks.ledgers import Task, Worker, database, measure

NAMES: Final = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}
SIMULATED: Final = (10, 100, 1000, 2000, 4000, 10_000)
FIGURE: Final = Path("docs/images/scaling.png")
N_ROWS: Final = (0, 1000, 10_000)


def lengths(mean_s: float, spread: float) -> list[float]:
    """Return lengths of trials, evenly spaced in their logarithm."""
    spaced = np.geomspace(1.0, spread, 64)
    return [float(one) for one in spaced * mean_s / spaced.mean()]


def trials_of(points: list[dict[str, Any]], kind: str, n_workers: int, *, is_held: bool) -> list[Trial]:
    """Return what the largest traced crowd that is not larger did, cut into segments.

    Of a trial that is held for more than a moment Optuna hears meanwhile, which costs more. What a lock was held for is
    taken as it was: its owner's waits for a processor are in it. Without a lock, what was neither the worker's nor the
    server's time was such a wait, or one for a lock, in all crowds but that of one.
    """
    mine = [point for point in points if point["database"] == kind and point.get("traced")]
    traced = {point["workers"]: point["traced"] for point in mine if bool(point["trial_s"]) == is_held}
    n_traced = max(n for n in traced if n <= n_workers)

    def as_in_a_crowd(segment: Segment) -> Segment:
        if segment.lock:
            held_s = segment.client_s + segment.server_s + segment.else_s
            return replace(segment, client_s=0.0, server_s=0.0, else_s=held_s)
        return replace(segment, inside_s=min(segment.inside_s, segment.client_s), else_s=0.0)

    read = as_in_a_crowd if n_traced > 1 else lambda segment: segment
    return [[[read(Segment(*segment)) for segment in part] for part in trial] for trial in traced[n_traced]]


def row_s(points: list[dict[str, Any]], kind: str) -> float:
    """Return what a claim takes the server for each trial at work, seconds."""
    (measured,) = [
        point["claim_server_ms"] for point in points if point["database"] == kind and "claim_server_ms" in point
    ] or [(0.0, 0.0)]
    return max(0.0, float(measured[-1] - measured[0]) / (1000 * N_ROWS[-1]))


def compared(points: list[dict[str, Any]], kind: str, spread: float) -> Iterator[dict[str, Any]]:
    """Yield each measured point beside the simulated one, on one machine, and how far it is off.

    Of trials that are held the share of time for which they are is compared: their lengths are drawn.
    """
    for point in points:
        if point["database"] != kind or not point.get("workers") or point["traced"]:
            continue
        trial_s, n_workers = point["trial_s"], point["workers"]
        held = lengths(trial_s, spread) if trial_s else [0.0]
        trials = trials_of(points, kind, n_workers, is_held=bool(trial_s))
        span = (5.0 + 3 * trial_s, 25.0 + 20 * trial_s)
        done = simulate(trials, Site(os.cpu_count() or 1, True), n_workers, held, span)
        right = (1 - done.idle) / (1 - point["idle"]) if trial_s else done.trials_s / point["trials_s"]
        yield {"database": kind, "workers": n_workers, "trial_s": trial_s,
               "measured": point["trials_s"], "simulated": done.trials_s,
               "idle": [point["idle"], done.idle], "off": right - 1}  # fmt: skip


def extrapolated(points: list[dict[str, Any]], kind: str, trial_s: float, spread: float) -> Iterator[dict[str, Any]]:
    """Yield points of workers elsewhere whose trials last, at a server with as many processors as here."""
    trials, site = trials_of(points, kind, 1, is_held=True), Site(os.cpu_count() or 1, False, row_s(points, kind))
    for n_workers in SIMULATED:
        done = simulate(trials, site, n_workers, lengths(trial_s, spread), (3 * trial_s, 8 * trial_s))
        yield {"database": kind, "workers": n_workers, "trial_s": trial_s, "simulated": done.trials_s,
               "of_ideal": 1.0 - done.idle, "idle": done.idle,
               "claim_ms": [percentile(done.waits[CLAIM], share) for share in (50, 99)]}  # fmt: skip


def with_rows(url: str | None) -> dict[str, Any]:
    """Return what a claim takes where 0, 1,000 and 10,000 workers elsewhere are at work."""
    from mlpsweep.search.leases import RUNNING, Leases, Row

    took, busy = [], []
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        worker, there = Worker(Task(Path(folder), url, 0.0, is_traced=True), 0), 0
        assert worker.trace
        params = worker.study.plan.space.baseline()
        for n_rows in N_ROWS:
            # New slots have the numbers after the highest.
            slots = range(10**6 * (n_rows + 1), 10**6 * (n_rows + 1) + n_rows - there)
            rows = [Row(slot, RUNNING, f"{slot} host other pid:[1] 7 7", 1, params=params) for slot in slots]

            def filled(leases: Leases, rows: list[Row] = rows) -> None:
                for row in rows:
                    leases.insert(row)

            worker.study.ledger.claims.run(filled)
            there = n_rows
            for _ in range(20):
                worker.trial()
            claims = [trial[0] for trial in worker.trace.trials[-15:]]
            took.append(1000 * float(np.median(worker.seconds[CLAIM][-15:])))
            busy.append(1000 * float(np.median([sum(one.server_s for one in claim) for claim in claims])))
    return {
        "database": "sqlite" if url is None else "postgresql",
        "rows": N_ROWS,
        "claim_ms": took,
        "claim_server_ms": busy,
    }


def draw(rows: list[dict[str, Any]], file: Path) -> None:
    """Draw measured and simulated throughput beside each other, and what is left of the ideal with many workers."""
    from mlpsweep.figures.axes import PANEL, percent_ticks
    from mlpsweep.figures.style import MARKERS, SERIES, Figure, drawing, headline, legend_below, save_figure

    with drawing():
        figure = Figure(figsize=(2 * PANEL[0], PANEL[1] + 0.5))
        headline(figure, "Workers of one study")
        left, right = figure.subplots(1, 2)
        for place, (kind, name) in enumerate(NAMES.items()):
            style = {"color": SERIES[place], "marker": MARKERS[place]}
            crowd = [row for row in rows if row["database"] == kind and "measured" in row and not row["trial_s"]]
            many = [row for row in rows if row["database"] == kind and "of_ideal" in row]
            counts = [row["workers"] for row in crowd]
            left.plot(counts, [row["measured"] for row in crowd], label=f"{name}, measured", **style)
            left.plot(counts, [row["simulated"] for row in crowd], ":", label=f"{name}, simulated", color=SERIES[place])
            if many:
                right.plot([row["workers"] for row in many], [row["of_ideal"] for row in many], ":", **style)
        left.set_xscale("log", base=2)
        left.set(xlabel="workers on the server's machine", ylabel="trials/s", ylim=(0, None))
        left.set_xticks(counts, [str(count) for count in counts])
        left.set_title("trials that train nothing")
        right.set_xscale("log")
        right.set(xlabel="workers elsewhere", ylabel="of what they would do alone", ylim=(0, 1.05))
        decades = [count for count in SIMULATED if str(count).strip("0") == "1"]
        right.set_xticks(decades, [f"{count:,}" for count in decades])
        percent_ticks(right.yaxis)
        right.set_title("trials of a minute, simulated")
        legend_below(figure)
    save_figure(figure, file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("ledger", "rows", "simulate", "draw"))
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--workers", default="1,2,4,8,16,32")
    parser.add_argument("--seconds", type=float, default=15.0, help="of a measured point")
    parser.add_argument("--sqlite", action="store_true")
    parser.add_argument("--traced", action="store_true", help="cut the workers' times into segments")
    parser.add_argument("--threads", type=int, default=1, help="workers in a process")
    parser.add_argument("--trial", type=float, default=0.0, help="mean seconds of a trial")
    parser.add_argument("--spread", type=float, default=20.0, help="longest trial over shortest")
    asked = parser.parse_args()
    if asked.what == "draw":
        return draw([json.loads(line) for line in asked.file.read_text().splitlines()], FIGURE)
    if asked.what == "simulate":
        points = [json.loads(line) for line in asked.file.read_text().splitlines()]
        for kind in sorted({point["database"] for point in points}):
            for row in compared(points, kind, asked.spread):
                print(json.dumps(row), flush=True)
        for row in extrapolated(points, "postgresql", asked.trial, asked.spread):  # a file is on one machine
            print(json.dumps(row), flush=True)
        return None
    held = lengths(asked.trial, asked.spread) if asked.trial else ()
    with database(asked.sqlite) as (fresh, server):
        if asked.what == "rows":
            print(json.dumps(with_rows(fresh())))
            return None
        for n_workers in map(int, asked.workers.split(",")):
            words = fresh(), server, n_workers, asked.seconds, asked.threads
            point = measure(*words, lengths_s=held, is_traced=asked.traced)
            print(json.dumps({"trial_s": asked.trial, "threads": asked.threads, **point}), flush=True)
    return None


if __name__ == "__main__":
    main()
