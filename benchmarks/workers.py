"""What a second worker gains, and what a trial costs beside its training.

``speed-up`` is the trials a minute of two workers over those of one, from first start to last end, on MNIST; each
trial is one epoch of some seconds. ``overhead`` is the time that a 15-epoch trial of a small network on the digits
takes beside its training: to propose, report, checkpoint, record, and log. The overhead is the time of two workers
that no training fills, over the number of trials; afterwards this process times the trainings alone.

    python -m benchmarks.workers [--rounds N] [--trials N]

It needs data/prepared/mnist: run `dvc repro prepare` first.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from mlpsweep.search.folder import SearchFolder
from mlpsweep.search.rows import TrialRow

ROOT: Final = Path(__file__).resolve().parents[1]
WIDTH: Final = "space.dimensions.hidden_sizes.width"
COMMON: Final = (
    "search.sampler=random", "search.pruner=none", "search.reuse=false", "winner.top_k=1", "winner.n_seeds=1",
    "output_dir=found",
)  # fmt: skip
# Random proposals do not depend on who is done first: one and two workers train the same networks.
LONG: Final = (
    *COMMON, "data.fallback=null", f"paths.prepared={ROOT}/data/prepared", "n_epochs=1", f"{WIDTH}.low=128",
    f"{WIDTH}.high=512",
)  # fmt: skip
SHORT: Final = (*COMMON, "data=digits", "n_epochs=15", f"{WIDTH}.high=64")
WIDTHS: Final = "hidden_sizes."


def search(words: tuple[str, ...], n_trials: int, n_workers: int) -> tuple[TrialRow, ...]:
    """Return the trials of a search in a folder of its own."""
    counts = (f"search.n_trials={n_trials}", f"search.n_workers={n_workers}")
    with tempfile.TemporaryDirectory(prefix="workers-") as folder:
        done = subprocess.run(
            [sys.executable, "-m", "pipeline.search", *words, *counts],
            cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            sys.exit(done.stderr)
        return SearchFolder(Path(folder) / "found").trials()


def span(trials: tuple[TrialRow, ...]) -> float:
    """Return the seconds from the first start to the last end."""
    return max(s.end for t in trials for s in t.stints) - min(s.start for t in trials for s in t.stints)


def training_seconds(trials: tuple[TrialRow, ...]) -> float:
    """Return what the same trainings take with nothing around them."""
    from mlpsweep.training.run import run_training
    from pipeline.compose import check
    from pipeline.door import Context
    from pipeline.inputs import settled
    from pipeline.settings import TrainJob

    seconds = 0.0
    with tempfile.TemporaryDirectory(prefix="workers-") as folder:
        paths = (f"paths.raw={folder}/raw", f"paths.prepared={folder}/prepared")
        for trial in trials:
            params = [f"{name}={value}" for name, value in trial.params.items() if not name.startswith(WIDTHS)]
            sizes = [str(trial.params[f"{WIDTHS}{layer + 1}"]) for layer in range(trial.params[f"{WIDTHS}depth"])]
            params.append(f"hidden_sizes=[{','.join(sizes)}]")
            words = ["data=digits", "schedule=cosine", "averaging=0.99", "n_epochs=15", *paths, *params]
            job, dataset = settled(check("train", TrainJob, words, multirun=False)[0].settings, Context(Path(folder)))
            seconds += run_training(job.training(), dataset).seconds
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=24)
    args = parser.parse_args()
    gains = []
    for _ in range(args.rounds):
        one, two = (span(search(LONG, args.trials, n_workers)) for n_workers in (1, 2))
        gains.append(one / two)
        print(f"{args.trials} trials: one worker {one:.1f} s, two {two:.1f} s, speed-up {one / two:.2f}", flush=True)
    overheads = []
    for _ in range(args.rounds):
        trials = search(SHORT, args.trials, 2)
        alone = training_seconds(trials)
        overheads.append((2 * span(trials) - alone) / len(trials))
        print(f"overhead of a trial {overheads[-1]:.3f} s, its training {alone / len(trials):.3f} s", flush=True)
    print(f"medians: speed-up {statistics.median(gains):.2f}, overhead {statistics.median(overheads):.3f} s")


if __name__ == "__main__":
    main()
