"""Seconds to an accuracy on MNIST's test split: the recipes fast_980, fast_985, fast_990 and fast_993.

A recipe's stopwatch runs from the draw of the first weights to the last update, distortions included: seconds of one
core and of the clock. The test split is met once a seed, after it. JAX and PyTorch train the same recipe from the same
draws, in turns, each in a process of its own, one thread each; one epoch before, with another seed, lets JAX compile
outside the stopwatch. Each training is a line of a file; what stands there is not run again.

    python -m benchmarks.speedrun FILE [--recipes fast_980,fast_985] [--systems ours,jax] [--seeds N] [--table]
"""

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from benchmarks.followers import SYSTEMS
from benchmarks.processes import choose_kernel, start
from mlpsweep.data.dataset import Dataset
from mlpsweep.data.ready import open_dataset
from mlpsweep.nn.network import Params
from mlpsweep.settings import TrainSettings
from mlpsweep.training.blas import controller
from mlpsweep.training.model import Model
from pipeline.compose import check
from pipeline.settings import TrainJob

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Race:
    """What a recipe shall reach, on average over so many seeds, and who runs it."""

    accuracy: float
    n_seeds: int
    systems: tuple[str, ...]


RACES: Final[Mapping[str, Race]] = MappingProxyType(
    {
        "fast_980": Race(0.980, 10, tuple(SYSTEMS)),
        "fast_985": Race(0.985, 10, tuple(SYSTEMS)),
        "fast_990": Race(0.990, 10, tuple(SYSTEMS)),
        "fast_993": Race(0.993, 3, ("ours",)),
    }
)
"""Every recipe of the speedrun."""
WARM_UP_SEED: Final = 2**32 - 1
COLUMNS: Final = ("recipe", "system", "seeds", "core, s", "clock, s", "core, it / ours", "test, mean", "lowest", "met")


def settings_of(recipe: str, words: Sequence[str] = ()) -> TrainSettings:
    """Return a recipe's settings; words of a command line go over them."""
    settings: TrainSettings = check("train", TrainJob, [f"recipe={recipe}", *words], multirun=False)[0].settings
    return settings


def accuracy_of(params: Params, settings: TrainSettings, dataset: Dataset) -> float:
    """Return the share of right decisions on the test split."""
    assert dataset.test is not None
    rows, model = dataset.test.rows, Model(params, settings.activations, dataset.scale, dataset.shift)
    return float((model.predict_labels(dataset.test.images[rows]) == dataset.test.labels[rows]).mean())


def work(connection: Connection, system: str, recipe: str, words: Sequence[str]) -> None:
    """Train the recipe with each seed that the parent sends, and answer with what it took and reached."""
    settings = settings_of(recipe, words)
    dataset = open_dataset(settings.data, with_test=True)
    try:
        train = SYSTEMS[system](dataset)
    except ImportError as error:
        connection.send(str(error))
        return
    train(dataclasses.replace(settings, n_epochs=1, seed=WARM_UP_SEED))
    connection.send(None)
    while (seed := connection.recv()) is not None:
        asked = dataclasses.replace(settings, seed=seed)
        wall, cpu = time.perf_counter(), time.process_time()
        params = train(asked)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        accuracy = accuracy_of(params, asked, dataset)
        connection.send({"core_s": round(cpu, 3), "clock_s": round(wall, 3), "test": accuracy, "kernel": kernel()})


def kernel() -> str:
    """Return the kernels of this process's OpenBLAS libraries."""
    return ", ".join(sorted({library["architecture"] for library in controller().info() if "architecture" in library}))


def run(file: Path, recipe: str, systems: Iterable[str], n_seeds: int, words: Sequence[str] = ()) -> None:
    """Run what the file lacks of a recipe, seed by seed, the systems in turns, and append a line for each."""
    done = {(row["recipe"], row["system"], row["seed"]) for row in read(file)}
    missing = [(seed, name) for seed in range(n_seeds) for name in systems if (recipe, name, seed) not in done]
    pipes = {name: start(work, name, recipe, words, threads=1) for name in dict.fromkeys(name for _, name in missing)}
    for seed, name in missing:
        if (pipe := pipes[name]) is not None:
            pipe.send(seed)
            row = {"recipe": recipe, "system": name, "seed": seed, **pipe.recv()}
            with file.open("a") as lines:
                lines.write(f"{json.dumps(row)}\n")
            print(*row.values(), flush=True)
    for pipe in pipes.values():
        if pipe is not None:
            pipe.send(None)


def read(file: Path) -> list[Row]:
    """Return the rows of a file; none if it is not there."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def markdown(rows: Sequence[Row]) -> str:
    """Return the table: medians of the seconds, and mean and lowest test accuracy, over a recipe's seeds."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|---|---|{'---:|' * 6}---|"]
    for recipe, race in RACES.items():
        parts = {name: [row for row in rows if (row["recipe"], row["system"]) == (recipe, name)] for name in SYSTEMS}
        cores = {name: statistics.median(row["core_s"] for row in part) for name, part in parts.items() if part}
        for name, core in cores.items():
            tests = [row["test"] for row in parts[name]]
            clock, mean = statistics.median(row["clock_s"] for row in parts[name]), statistics.fmean(tests)
            ratio = f"{core / cores['ours']:.2f}" if "ours" in cores else ""
            cells = [f"`{recipe}`", name, str(len(tests)), f"{core:.2f}", f"{clock:.2f}", ratio, f"{mean:.3%}"]
            cells += [f"{min(tests):.2%}", "yes" if mean >= race.accuracy else "no"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Run what the command line asks for and the file lacks, then print the file as a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="file of the rows, one JSON object a line; new ones are appended")
    parser.add_argument("--recipes", default=",".join(RACES), help="only these")
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="only these")
    parser.add_argument("--seeds", type=int, help="seeds from 0 on, at most as many as a recipe's target asks for")
    parser.add_argument("--table", action="store_true", help="only print the file as a table")
    arguments = parser.parse_args()
    choose_kernel()
    for recipe in () if arguments.table else arguments.recipes.split(","):
        race = RACES[recipe]
        systems = [name for name in race.systems if name in arguments.systems.split(",")]
        run(arguments.file, recipe, systems, min(arguments.seeds or race.n_seeds, race.n_seeds))
    print(markdown(read(arguments.file)))


if __name__ == "__main__":
    main()
