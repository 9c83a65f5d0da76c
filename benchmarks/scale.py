"""How many workers a study's database bears: measured, and simulated beyond what one machine can start.

``ledger`` runs workers that train nothing: they claim, propose, renew, report eight values and tell, as fast as they
can, or hold each trial for a while, asleep. ``rows`` measures a claim where many others are at work. ``simulate`` feeds
what one worker alone measured to benchmarks/events.py, compares it with the points of more, and goes on to 10,000.

    python -m benchmarks.scale ledger --workers 1 --traced [--sqlite] >> scale.jsonl
    python -m benchmarks.scale ledger --workers 1,2,4,8,16,32 [--sqlite] >> scale.jsonl
    python -m benchmarks.scale ledger --workers 4,8,16,32 --trial 12 --spread 20 [--sqlite] >> scale.jsonl
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
SIMULATED: Final = (10, 100, 1000, 10_000)
FIGURE: Final = Path("docs/images/scaling.png")
N_ROWS: Final = (0, 1000, 10_000)


def lengths(mean_s: float, spread: float) -> list[float]:
    """Return lengths of trials, evenly spaced in their logarithm."""
    spaced = np.geomspace(1.0, spread, 64)
    return [float(one) for one in spaced * mean_s / spaced.mean()]


def trials_of(points: list[dict[str, Any]], kind: str, in_crowd: bool = False) -> list[Trial]:
    """Return what one worker alone did, cut into segments; in a crowd each takes the processor time that two measured.

    Two share caches and processors with each other and the server, as more do.
    """
    one, two = (
        next(point for point in points if point["database"] == kind and point.get("workers") == n and is_fit(point))
        for n, is_fit in ((1, lambda point: point["traced"]), (2, lambda point: not point["trial_s"]))
    )
    trials: list[Trial] = [[[Segment(*segment) for segment in part] for part in trial] for trial in one["traced"]]
    if not in_crowd:
        return trials
    segments = [segment for trial in trials for part in trial for segment in part]
    own = two["client_ms"] * len(trials) / (1000 * sum(segment.client_s for segment in segments))
    server = two["server_ms"] * len(trials) / (1000 * sum(segment.server_s for segment in segments) or 1.0)

    def dearer(segment: Segment) -> Segment:
        return replace(
            segment,
            client_s=own * segment.client_s,
            server_s=server * segment.server_s,
            inside_s=own * segment.inside_s,
        )

    return [[[dearer(segment) for segment in part] for part in trial] for trial in trials]


def row_s(points: list[dict[str, Any]], kind: str) -> float:
    """Return what a claim takes the server for each trial at work, seconds."""
    (measured,) = [
        point["claim_server_ms"] for point in points if point["database"] == kind and "claim_server_ms" in point
    ] or [(0.0, 0.0)]
    return max(0.0, float(measured[-1] - measured[0]) / (1000 * N_ROWS[-1]))


def compared(points: list[dict[str, Any]], kind: str, spread: float) -> Iterator[dict[str, Any]]:
    """Yield each measured point beside the simulated one, on one machine."""
    crowd, alone = trials_of(points, kind, True), trials_of(points, kind)
    for point in (point for point in points if point["database"] == kind and "workers" in point):
        held = lengths(point["trial_s"], spread) if point["trial_s"] else [0.0]
        span = (5.0 + 3 * point["trial_s"], 25.0 + 20 * point["trial_s"])
        trials = alone if point["workers"] == 1 else crowd
        done = simulate(trials, Site(os.cpu_count() or 1, True), point["workers"], held, span)
        off = done.trials_s / point["trials_s"] - 1
        yield {"database": kind, "workers": point["workers"], "trial_s": point["trial_s"],
               "measured": point["trials_s"], "simulated": done.trials_s, "off": off,
               "idle": [point["idle"], done.idle]}  # fmt: skip


def extrapolated(points: list[dict[str, Any]], kind: str, trial_s: float, spread: float) -> Iterator[dict[str, Any]]:
    """Yield points of workers elsewhere whose trials last, at a server with as many processors as here."""
    trials, site = trials_of(points, kind), Site(os.cpu_count() or 1, False, row_s(points, kind))
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
        right.set_xticks(SIMULATED, [f"{count:,}" for count in SIMULATED])
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
            point = measure(fresh(), server, n_workers, asked.seconds, lengths_s=held, is_traced=asked.traced)
            print(json.dumps({"trial_s": asked.trial, **point}), flush=True)
    return None


if __name__ == "__main__":
    main()
