"""Searches side by side: ours with and without pruning, scikit-learn's successive halving, Hydra's Optuna sweeper.

All systems search conf/space/card.yaml with the trials and epochs of the default search, the same rows and plain SGD,
on two cores. Each uses its own means: ours a cosine schedule and pruning, halving its rungs. The sweeper gets an
environment of its own with PyTorch, or is left out and the reason printed. Systems take turns, so that a busy machine
meets all alike.

A time counts from the start of the program, imports included. The epochs of one of our trials count as equally long.
``idle`` is the share of the two workers' time, first start to last end, in which they trained nothing.

    python -m benchmarks.search [--json FILE] [--rounds N] [--seed N] [--only NAME,...] [--trials N] [--epochs N]
        [KEY=VALUE ...]

It needs data/prepared/mnist: run `dvc repro prepare` first.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[1]
# Programs run in a folder of their own, with this checkout's modules.
CHECKOUT: Final = {**os.environ, "PYTHONPATH": str(ROOT)}
TARGETS: Final = (0.975, 0.980)
N_WORKERS: Final = 2
PEER: Final = ("hydra-optuna-sweeper==1.4.0rc3", "hydra-joblib-launcher", "torch==2.13.0")
NAMES: Final = {"sigmoid": "logistic"}
"""Activations that scikit-learn calls otherwise."""


@dataclass(frozen=True)
class Event:
    """One training: when it ran, seconds from the program's start, its epochs and its accuracy after the last."""

    start: float
    end: float
    n_epochs: int
    value: float


@dataclass(frozen=True)
class Result:
    """What one search took and found; a time is None where the target was not reached."""

    system: str
    seconds: float
    best: float
    n_trainings: int
    n_epochs: int
    idle: float | None
    times: tuple[float | None, ...]
    epochs_to: tuple[int | None, ...]


@dataclass(frozen=True)
class Budget:
    n_trials: int
    n_epochs: int
    seed: int
    words: tuple[str, ...] = ()


def summarize(system: str, seconds: float, events: list[Event], points: list[tuple[float, float]]) -> Result:
    """Return the figures of a search from its trainings and from (time, accuracy) of all that was measured."""
    span = max(e.end for e in events) - min(e.start for e in events)
    busy = sum(e.end - e.start for e in events)
    times = tuple(min((at for at, value in points if value >= target), default=None) for target in TARGETS)
    epochs = tuple(None if at is None else round(sum(spent(e, at) for e in events)) for at in times)
    best = max(value for _, value in points)
    n_epochs = sum(e.n_epochs for e in events)
    return Result(system, seconds, best, len(events), n_epochs, 1 - busy / (N_WORKERS * span), times, epochs)


def spent(event: Event, at: float) -> float:
    """Return how many epochs of a training are over at a given time."""
    share = (at - event.start) / max(event.end - event.start, 1e-9)
    return event.n_epochs * min(1.0, max(0.0, share))


def run(words: list[str], folder: Path) -> tuple[float, float]:
    """Run a program to its end; return its start, POSIX, and its seconds."""
    start = time.time()
    with (folder / "log").open("w") as log:
        subprocess.run(words, cwd=folder, env=CHECKOUT, check=True, stdout=log, stderr=log)
    return start, time.time() - start


def ours(pruner: str, budget: Budget, folder: Path) -> Result:
    from mlpsweep.search.folder import SearchFolder

    (folder / "data").symlink_to(ROOT / "data")
    words = [f"search.pruner={pruner}", f"search.n_trials={budget.n_trials}", f"n_epochs={budget.n_epochs}"]
    words += [f"search.n_workers={N_WORKERS}", f"seed={budget.seed}", "winner.top_k=1", "winner.n_seeds=1"]
    words += ["data.fallback=null", *budget.words]
    start, seconds = run([sys.executable, "-m", "pipeline.search", *words], folder)
    trials = SearchFolder(folder / "artifacts/search").trials()
    events, points = [], []
    for trial in trials:
        assert trial.start is not None
        assert trial.end is not None
        begin, end, n = trial.start - start, trial.end - start, len(trial.intermediate)
        events.append(Event(begin, end, n, trial.last_value or 0.0))
        points += [(begin + (end - begin) * epoch / n, value) for epoch, value in trial.intermediate]
    return summarize(f"mlpsweep, pruner {pruner}", seconds, events, points)


def halving(budget: Budget, folder: Path) -> Result:
    start, seconds = run(
        [sys.executable, "-m", "benchmarks.halving", json.dumps(asdict(budget)), str(folder / "events")], folder
    )
    return from_events("scikit-learn, halving", start, seconds, folder / "events")


def sweeper(budget: Budget, folder: Path) -> Result:
    python = peer_python()
    write_rows(folder / "rows.npz")
    space = [f"{name}={text}" for name, text in sweeper_space(card()).items()]
    words = [str(ROOT / "benchmarks/sweeper_trial.py"), "-m", "hydra/sweeper=optuna", "hydra/launcher=joblib", *space]
    words += [f"hydra.launcher.n_jobs={N_WORKERS}", f"hydra.sweeper.n_jobs={N_WORKERS}"]
    words += ["hydra.sweeper.direction=maximize", f"hydra.sweeper.sampler.seed={budget.seed}"]
    words += [f"hydra.sweeper.n_trials={budget.n_trials}"]
    words += [f"+n_epochs={budget.n_epochs}", f"+folder={folder}"]
    start, seconds = run([python, *words], folder)
    return from_events("hydra-optuna-sweeper, PyTorch", start, seconds, folder / "events")


def from_events(system: str, start: float, seconds: float, file: Path) -> Result:
    """Read the trainings that a peer's program wrote, one JSON list per line: start, end, epochs, accuracy."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    events = [Event(begin - start, end - start, n, value) for begin, end, n, value in lines]
    return summarize(system, seconds, events, [(e.end, e.value) for e in events])


def card() -> dict[str, dict[str, Any]]:
    """Return the default space."""
    dimensions: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "conf/space/card.yaml").read_text())["dimensions"]
    return dimensions


def sweeper_space(dimensions: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the space in the sweeper's words; it knows no conditions, so a width beyond the depth is drawn in vain."""
    rate, l2, sizes = (dimensions[name] for name in ("learning_rate", "l2_lambda", "hidden_sizes"))
    depth, width = sizes["depth"], sizes["width"]
    space = {
        "+activation": f"choice({','.join(dimensions['activation']['choices'])})",
        "+learning_rate": f"tag(log, interval({rate['low']}, {rate['high']}))",
        "+l2_lambda": f"interval({l2['low']}, {l2['high']})",
        "+depth": f"range({depth['low']}, {depth['high'] + 1})",
    }
    widths = {f"+width_{k}": f"tag(log, interval({width['low']}, {width['high']}))" for k in range(depth["high"])}
    return space | widths


def write_rows(file: Path) -> None:
    """Write the default split as the network sees it: float32 pixels, scaled."""
    import numpy as np

    from benchmarks.halving import default_dataset

    dataset = default_dataset()
    parts = {"train": dataset.train, "validation": dataset.validation}
    arrays: dict[str, Any] = {f"{name}_y": split.labels[split.rows] for name, split in parts.items()}
    for name, split in parts.items():
        arrays[f"{name}_x"] = split.images[split.rows] * np.float32(dataset.scale) + np.float32(dataset.shift)
    np.savez(file, **arrays)


def peer_python() -> str:
    """Return the interpreter of the sweeper's own environment, made the first time."""
    folder = Path(tempfile.gettempdir()) / "mlpsweep-sweeper"
    python = folder / "bin/python"
    if not (folder / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PEER], check=True)
        (folder / "installed").touch()
    return str(python)


SYSTEMS: Final[Mapping[str, Callable[[Budget, Path], Result]]] = {
    "asha": lambda budget, folder: ours("asha", budget, folder),
    "none": lambda budget, folder: ours("none", budget, folder),
    "halving": halving,
    "sweeper": sweeper,
}


def rounds(names: list[str], budgets: Iterable[Budget]) -> Iterator[Result]:
    """Yield the result of each system in turn, a round for each budget; a system that fails is named and left out."""
    failed: set[str] = set()
    for budget in budgets:
        for name in names:
            if name in failed:
                continue
            with tempfile.TemporaryDirectory(prefix="search-") as folder:
                try:
                    result = SYSTEMS[name](budget, Path(folder))
                except (subprocess.CalledProcessError, OSError) as error:
                    log = Path(folder) / "log"
                    last = log.read_text().splitlines()[-1:] if log.exists() else []
                    print(f"{name} is left out: {error}; {' '.join(last)}", file=sys.stderr)
                    failed.add(name)
                    continue
            print(json.dumps(asdict(result)), file=sys.stderr, flush=True)
            yield result


def table(results: list[Result], n_trials: int, n_epochs: int) -> str:
    """Return medians over the rounds as Markdown; a search that never got there counts as never, or as its budget."""

    def median(values: list[float | None]) -> str:
        middle = statistics.median([float("inf") if value is None else value for value in values])
        return "never" if middle == float("inf") else f"{middle:.0f} s"

    head = "| system | to 97.5 % | to 98.0 % | epochs to 98.0 % | best | trainings | epochs | idle | whole |"
    lines = [head, "|---" * 9 + "|"]
    for system in dict.fromkeys(result.system for result in results):
        mine = [result for result in results if result.system == system]
        middle = {key: statistics.median(getattr(r, key) for r in mine) for key in ("best", "n_trainings", "n_epochs")}
        to_98 = statistics.median(n_trials * n_epochs if r.epochs_to[1] is None else r.epochs_to[1] for r in mine)
        idle = statistics.median(r.idle or 0.0 for r in mine)
        lines.append(
            f"| {system} | {median([r.times[0] for r in mine])} | {median([r.times[1] for r in mine])} | {to_98:.0f} "
            f"| {100 * middle['best']:.2f} % | {middle['n_trainings']:.0f} | {middle['n_epochs']:.0f} "
            f"| {100 * idle:.1f} % | {statistics.median(r.seconds for r in mine):.0f} s |"
        )
    return "\n".join(lines)


def main() -> None:
    search = yaml.safe_load((ROOT / "conf/search.yaml").read_text())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    parser.add_argument("--only", default="", help=f"some of {','.join(SYSTEMS)}")
    parser.add_argument("--trials", type=int, default=search["search"]["n_trials"])
    parser.add_argument("words", nargs="*", help="further settings of ours, such as search.sampler=random")
    parser.add_argument("--epochs", type=int, default=search["n_epochs"])
    args = parser.parse_args()
    names = [name for name in SYSTEMS if not args.only or name in args.only.split(",")]
    seeds = range(args.seed, args.seed + args.rounds)
    budgets = [Budget(args.trials, args.epochs, seed, tuple(args.words)) for seed in seeds]
    results = list(rounds(names, budgets))
    if args.json:
        args.json.write_text(json.dumps([asdict(result) for result in results], indent=2))
    print(table(results, args.trials, args.epochs))


if __name__ == "__main__":
    main()
