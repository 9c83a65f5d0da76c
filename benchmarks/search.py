"""Searches side by side: ours with and without pauses, scikit-learn's successive halving, Hydra's Optuna sweeper.

All search conf/space/card.yaml with trials of as many epochs as the default search has, on the same rows, with plain
SGD and two workers. Each uses its own means: ours a cosine schedule, averaged weights and pauses; halving its rungs.
The sweeper gets an environment of its own with PyTorch, or is left out and the reason printed. Systems take turns.

A search ends when a trial has 98.0 % validation accuracy, ours with `search.target`, the peers when this program sees
it; or after SECONDS. With --whole none ends before. Times count from the start of the program, imports included.
``reported`` is when a trial reported such a value, ours after any epoch, with its averaged weights before the last;
``complete`` is when one ended with it. The peers report when a training ends, so both times are one there. ``best`` is
the best complete trial in SECONDS, and means something with --whole only.

Each row is appended to FILE as its search ends, and one that is there is not run again: a benchmark may be spread out.

    python -m benchmarks.search FILE [--seeds 0,1,2] [--only NAME,...] [--seconds N] [--whole] [KEY=VALUE ...]
    python -m benchmarks.search FILE --table

``searches.jsonl`` and ``searches_again.jsonl`` beside this file have the rows of benchmarks/README.md.

It needs data/prepared/mnist: run `dvc repro prepare` first.
"""

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from benchmarks.peers import N_WORKERS, ROOT, card, peer_python, sweeper_space, write_rows
from mlpsweep.settings import DataSettings

# Programs run in a folder of their own, with this checkout's modules.
CHECKOUT: Final = {**os.environ, "PYTHONPATH": str(ROOT)}
TARGET: Final = 0.98
METRIC: Final = "validation/accuracy"
NEVER: Final = 1e9
"""Seconds of what never came."""


@dataclass(frozen=True)
class Row:
    """What one search found; a time is None where the target was not reached in time."""

    system: str
    seed: int
    is_whole: bool
    seconds: float
    reported: float | None
    complete: float | None
    best: float | None
    n_started: int
    n_complete: int
    n_epochs: int


@dataclass(frozen=True)
class Budget:
    """What each search is given."""

    seed: int
    seconds: float
    is_whole: bool
    n_trials: int
    n_epochs: int
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """(seconds, value) of all that trials reported, and of the complete trials, from the program's start."""

    reported: Sequence[tuple[float, float]]
    complete: Sequence[tuple[float, float]]
    n_started: int
    n_epochs: int


def row_of(system: str, budget: Budget, seconds: float, found: Found) -> Row:
    """Return the row of a search; what came after its time counts for nothing."""

    def first(points: Iterable[tuple[float, float]]) -> float | None:
        return min((at for at, value in points if value >= TARGET and at <= budget.seconds), default=None)

    ended = [value for at, value in found.complete if at <= budget.seconds]
    return Row(
        system=system,
        seed=budget.seed,
        is_whole=budget.is_whole,
        seconds=seconds,
        reported=first(found.reported),
        complete=first(found.complete),
        best=max(ended, default=None),
        n_started=found.n_started,
        n_complete=len(ended),
        n_epochs=found.n_epochs,
    )


def run(words: list[str], folder: Path, is_enough: Callable[[], bool], limit_s: float) -> tuple[float, float]:
    """Run a program until it ends, has found enough, or its time is over; return its start, POSIX, and its seconds."""
    start = time.time()
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(words, cwd=folder, env=CHECKOUT, stdout=log, stderr=log, start_new_session=True) as program,
    ):
        while program.poll() is None and time.time() - start < limit_s and not is_enough():
            time.sleep(0.2)
        is_cut = program.poll() is None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
    if program.returncode and not is_cut:
        raise subprocess.CalledProcessError(program.returncode, words)
    return start, time.time() - start


def ours(pruner: str, budget: Budget, folder: Path) -> Row:
    (folder / "data").symlink_to(ROOT / "data")
    words = [f"search.pruner={pruner}", f"search.n_workers={N_WORKERS}", f"search.timeout_s={budget.seconds}"]
    words += [f"search.n_trials={budget.n_trials}", f"n_epochs={budget.n_epochs}", f"seed={budget.seed}"]
    words += ["winner.top_k=1", "winner.n_seeds=1", "data.fallback=null", *budget.words]
    words += [] if budget.is_whole else [f"search.target={TARGET}"]
    # What it does after the search, its figures and its winner, is let go on: it tells the store what it has found.
    command = [sys.executable, "-m", "pipeline.search", *words]
    start, seconds = run(command, folder, lambda: False, budget.seconds + 120)
    return row_of(pruner, budget, seconds, logged(folder, start, budget.n_epochs))


def logged(folder: Path, start: float, n_epochs: int) -> Found:
    """Return what our trials logged; each value in the store has the time at which it was reported."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    names = [one.experiment_id for one in client.search_experiments()]
    runs = client.search_runs(names, "tags.role = 'trial'", max_results=5000)
    curves = [client.get_metric_history(one.info.run_id, METRIC) for one in runs]
    points = [(point.timestamp / 1000 - start, point.step, point.value) for curve in curves for point in curve]
    complete = [(at, value) for at, epoch, value in points if epoch == n_epochs]
    n_epochs_done = sum(epoch > 0 for _, epoch, _ in points)  # a first look is no epoch
    return Found([(at, value) for at, _, value in points], complete, len(runs), n_epochs_done)


def halving(budget: Budget, folder: Path) -> Row:
    given = {"seed": budget.seed, "n_trials": budget.n_trials, "n_epochs": budget.n_epochs}
    command = [sys.executable, "-m", "benchmarks.halving", json.dumps(given), str(folder / "events")]
    return watched("halving", command, budget, folder)


def sweeper(budget: Budget, folder: Path) -> Row:
    python = peer_python()
    write_rows(folder / "rows.npz")
    space = [f"{name}={text}" for name, text in sweeper_space(card()).items()]
    words = [str(ROOT / "benchmarks/sweeper_trial.py"), "-m", "hydra/sweeper=optuna", "hydra/launcher=joblib", *space]
    words += [f"hydra.launcher.n_jobs={N_WORKERS}", f"hydra.sweeper.n_jobs={N_WORKERS}"]
    words += ["hydra.sweeper.direction=maximize", f"hydra.sweeper.sampler.seed={budget.seed}"]
    words += [f"hydra.sweeper.n_trials={budget.n_trials}", f"+n_epochs={budget.n_epochs}", f"+folder={folder}"]
    return watched("sweeper", [python, *words], budget, folder)


def watched(system: str, command: list[str], budget: Budget, folder: Path) -> Row:
    """Run a peer, whose program writes each training as a JSON list per line: start, end, epochs, accuracy."""
    file = folder / "events"

    def events() -> list[Any]:
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def is_enough() -> bool:
        return not budget.is_whole and any(value >= TARGET for *_, value in events())

    start, seconds = run(command, folder, is_enough, budget.seconds)
    ended = [(end - start, value) for _, end, _, value in events()]
    return row_of(system, budget, seconds, Found(ended, ended, len(ended), sum(n for _, _, n, _ in events())))


SYSTEMS: Final[Mapping[str, Callable[[Budget, Path], Row]]] = {
    "promote": lambda budget, folder: ours("promote", budget, folder),
    "none": lambda budget, folder: ours("none", budget, folder),
    "halving": halving,
    "sweeper": sweeper,
}
TITLES: Final = {
    "promote": "mlpsweep",
    "none": "mlpsweep, search.pruner=none",
    "halving": "scikit-learn, halving",
    "sweeper": "hydra-optuna-sweeper, PyTorch",
}


def read(file: Path) -> list[Row]:
    """Return the rows that are there."""
    return [Row(**json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []


def compete(file: Path, names: Sequence[str], budgets: Iterable[Budget]) -> None:
    """Run what has no row yet, systems in turns; one that fails is named and left out."""
    there = {(row.system, row.seed, row.is_whole) for row in read(file)}
    wanted = [(budget, name) for budget in budgets for name in names]
    failed: set[str] = set()
    for budget, name in wanted:
        if name in failed or (name, budget.seed, budget.is_whole) in there:
            continue
        with tempfile.TemporaryDirectory(prefix="search-") as folder:
            try:
                row = SYSTEMS[name](budget, Path(folder))
            except (subprocess.CalledProcessError, OSError) as error:
                log = Path(folder) / "log"
                last = log.read_text().splitlines()[-1:] if log.exists() else []
                print(f"{name} is left out: {error}; {' '.join(last)}", file=sys.stderr)
                failed.add(name)
                continue
        line = json.dumps(asdict(row))
        print(line, file=sys.stderr, flush=True)
        with file.open("a") as out:
            out.write(f"{line}\n")


def table(rows: Sequence[Row]) -> str:
    """Return times to the target, their spread and what came of the whole time, as Markdown."""
    lines = ["| system | seeds | reported: median | slowest | missed | complete: median | slowest | missed |"]
    lines += ["|---" * 8 + "|"]
    for name, mine in by_system(rows, is_whole=False):
        times = [cell for kind in ("reported", "complete") for cell in spread([getattr(row, kind) for row in mine])]
        lines.append(f"| {TITLES[name]} | {len(mine)} | {' | '.join(times)} |")
    lines += ["", *ratios(rows), "", "| system | seeds | best complete trial: mean | started | complete | epochs |"]
    lines += ["|---" * 6 + "|"]
    for name, mine in by_system(rows, is_whole=True):
        best = statistics.mean(row.best or 0.0 for row in mine)
        counts = (statistics.mean(getattr(row, key) for row in mine) for key in ("n_started", "n_complete", "n_epochs"))
        lines.append(
            f"| {TITLES[name]} | {len(mine)} | {100 * best:.2f} % | {' | '.join(f'{n:.0f}' for n in counts)} |"
        )
    return "\n".join(lines)


def by_system(rows: Sequence[Row], *, is_whole: bool) -> list[tuple[str, list[Row]]]:
    """Return the rows of each system that has any."""
    chosen = {name: [row for row in rows if (row.system, row.is_whole) == (name, is_whole)] for name in SYSTEMS}
    return [(name, mine) for name, mine in chosen.items() if mine]


def spread(times: Sequence[float | None]) -> tuple[str, str, str]:
    """Return the median, the slowest that got there, and how many never did."""
    known = sorted(at for at in times if at is not None)
    middle = statistics.median([NEVER if at is None else at for at in times])
    return (
        "never" if middle > max(known, default=0.0) else f"{middle:.0f} s",
        f"{known[-1]:.0f} s" if known else "",
        str(times.count(None)),
    )


def ratios(rows: Sequence[Row]) -> list[str]:
    """Return our median over the best peer's, with a 95 % bootstrap interval (10,000 draws of seeds, percentiles)."""
    lines = []
    for kind in ("reported", "complete"):
        times = {
            name: np.array([NEVER if getattr(row, kind) is None else getattr(row, kind) for row in mine])
            for name, mine in by_system(rows, is_whole=False)
        }
        mine, peers = times.pop("promote", None), times
        if mine is None or not peers:
            continue
        best = min(peers, key=lambda name: float(np.median(peers[name])))
        rng = np.random.default_rng(0)
        drawn = [np.median(rng.choice(t, (10_000, len(t))), axis=1) for t in (mine, peers[best])]
        low, high = np.percentile(drawn[0] / drawn[1], [2.5, 97.5])
        ratio = np.median(mine) / np.median(peers[best])
        lines.append(f"{kind}: {ratio:.2f} ({low:.2f} to {high:.2f}) of {TITLES[best]}")
    return lines


def main() -> None:
    search = yaml.safe_load((ROOT / "conf/search.yaml").read_text())
    n_epochs = -(-DataSettings.named("mnist").n_epochs // 2)  # as the search has it
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--only", default=",".join(SYSTEMS))
    parser.add_argument("--seconds", type=float, default=150.0)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--table", action="store_true", help="print the table of the rows that are there")
    parser.add_argument("words", nargs="*", help="further settings of ours, such as search.sampler=random")
    args = parser.parse_args()
    if not args.table:
        given = (args.seconds, args.whole, search["search"]["n_trials"], n_epochs, tuple(args.words))
        compete(args.file, args.only.split(","), (Budget(int(seed), *given) for seed in args.seeds.split(",")))
    print(table(read(args.file)))


if __name__ == "__main__":
    main()
