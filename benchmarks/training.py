"""Training speed side by side: ours, the step's bare matrix products, scikit-learn, and PyTorch and JAX if installed.

Each system works in a process of its own; the parent lets them train in turns, so that whatever else the machine does
meets all alike, and takes medians. ``samples_per_s`` is by the clock; ``samples_per_cpu_s`` is by processor time, which
a busy machine distorts least and which is the fairer number at one thread. ``peak_mb`` is what a system needs above its
imports and the pixels, copies of the data included.

    python -m benchmarks.training [--growth | --pair | --averaging] [--json FILE] [--rows N] [--rounds N] [--only TEXT]
        [--before CHECKOUT] [--systems ours,before] [--kernel Haswell]

Shapes with 784 inputs are trained on the first rows of data/prepared/mnist if they are there (`dvc repro prepare`).
"""

import argparse
import dataclasses
import importlib
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from benchmarks.processes import choose_kernel, start
from benchmarks.systems import BEFORE, MODULES, PREPARED, SYSTEMS, Case, Data

FIRST: Final = (784, 500, 250, 100, 10)
SHAPES: Final = ((FIRST, 64), ((784, 512, 10), 64), ((784, 128, 10), 128), ((784, 32, 32, 10), 32), ((64, 32, 10), 64))
ACTIVATIONS: Final = ("relu", "sigmoid", "tanh", "leaky_relu", "elu", "gelu", "silu")
WIDTHS: Final = (32, 64, 128, 256, 512, 1024, 2048)
DEPTHS: Final = (0, 1, 2, 4, 8)
ROWS: Final = (5_000, 20_000, 60_000)


def comparison(n_rows: int) -> Iterator[tuple[Case, int]]:
    """Yield every shape at one and at all processors, and every activation on the first shape."""
    for threads in sorted({1, os.cpu_count() or 1}):
        for sizes, batch_size in SHAPES:
            yield Case(sizes, batch_size, "relu", threads), n_rows
    for activation in ACTIVATIONS[1:]:
        yield Case(FIRST, 64, activation, 1), n_rows


def growth(n_rows: int) -> Iterator[tuple[Case, int]]:
    """Yield one hidden layer of growing width, layers of 256 in growing number, and growing data."""
    for width in WIDTHS:
        yield Case((784, width, 10), 64, "relu", 1), n_rows
    for depth in DEPTHS:
        yield Case((784, *[256] * depth, 10), 64, "relu", 1), n_rows
    for rows in ROWS:
        yield Case(FIRST, 64, "relu", 1), rows


def work(connection: Connection, system: str, case: Case, n_rows: int) -> None:
    """Train an epoch each time the parent says so; answer with its time, processor time and the peak of memory."""
    if system == "before":
        sys.path.insert(0, str(Path(os.environ[BEFORE], "src")))
    try:
        importlib.import_module(MODULES[system])
        data = Data.get(n_rows, case.layer_sizes[0], case.layer_sizes[-1])
        before = resident_mb()
        epoch = SYSTEMS[system](case, data)
    except ImportError as error:
        connection.send(str(error))
        return
    epoch()
    connection.send(None)
    while connection.recv():
        wall, cpu = time.perf_counter(), time.process_time()
        epoch()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        connection.send((wall, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before))


def resident_mb() -> float:
    """Return how much memory this process holds now, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def measure(case: Case, n_rows: int, n_rounds: int, systems: list[str]) -> list[dict[str, Any]]:
    """Return a row for each system that could be started."""
    started = {system: start(work, system, case, n_rows, threads=case.threads) for system in systems}
    pipes = {system: pipe for system, pipe in started.items() if pipe is not None}
    spent: dict[str, list[tuple[float, float, float]]] = {system: [] for system in pipes}
    for _ in range(n_rounds):
        for system, pipe in pipes.items():
            pipe.send(True)
            spent[system].append(pipe.recv())
    for pipe in pipes.values():
        pipe.send(False)
    return [row(case, system, n_rows, measured) for system, measured in spent.items()]


def measure_pair(n_rows: int, n_rounds: int) -> None:
    """Print how many times the work of one process two do at once, one thread each."""
    case = Case(FIRST, 64, "relu", 1)
    pipes = [pipe for pipe in (start(work, "ours", case, n_rows, threads=1) for _ in range(2)) if pipe is not None]
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(n_rounds):
        for n, times in seconds.items():
            begun = time.perf_counter()
            for pipe in pipes[:n]:
                pipe.send(True)
            for pipe in pipes[:n]:
                pipe.recv()
            times.append(time.perf_counter() - begun)
    for pipe in pipes:
        pipe.send(False)
    one, two = (statistics.median(times) for times in seconds.values())
    print(f"two processes do {2 * one / two:.2f} times the work of one")


def measure_averaging(n_rounds: int) -> None:
    """Print what ``averaging`` costs: epochs on MNIST without and with it, in turns in this process, one thread."""
    from mlpsweep import DataSettings, TrainSettings, open_dataset, run_training

    dataset = open_dataset("mnist")
    base = TrainSettings(data=DataSettings.named("mnist"), activation="relu", n_epochs=3)

    def epoch_s(**changes: Any) -> float:
        ended: list[float] = []
        settings = dataclasses.replace(base, **changes)
        run_training(settings, dataset, on_epoch=lambda record: ended.append(time.process_time()))
        return ended[1] - ended[0]

    for sizes, batch_size in (((500, 250, 100), 64), ((128,), 64), ((32, 32), 32)):
        case: dict[str, Any] = {"hidden_sizes": sizes, "batch_size": batch_size}
        pairs = [(epoch_s(**case), epoch_s(**case, averaging=0.99)) for _ in range(n_rounds)]
        seconds, share = (statistics.median(values) for values in zip(*((a, b / a - 1) for a, b in pairs), strict=True))
        shape = f"784-{'-'.join(map(str, sizes))}-10 batch {batch_size}"
        print(f"{shape}: {seconds:.3f} cpu-s an epoch, averaging {100 * share:+.1f} %", flush=True)


def row(case: Case, system: str, n_rows: int, measured: list[tuple[float, float, float]]) -> dict[str, Any]:
    """Return one line of the result."""
    wall, cpu = (statistics.median(times) for times in list(zip(*measured, strict=True))[:2])
    return {
        "shape": case.shape,
        "batch": case.batch_size,
        "activation": case.activation,
        "threads": case.threads,
        "n_rows": n_rows,
        "system": system,
        "samples_per_s": round(n_rows / wall),
        "samples_per_cpu_s": round(n_rows / cpu),
        "gflop_per_cpu_s": round(case.flop_per_sample * n_rows / cpu / 1e9, 1),
        "peak_mb": round(measured[-1][2], 1),
    }


def show(rows: list[dict[str, Any]]) -> None:
    """Print one case, each system beside ours."""
    ours = next(row for row in rows if row["system"] == "ours")
    for row in rows:
        ratios = [f"{ours[rate] / row[rate]:.2f}" for rate in ("samples_per_s", "samples_per_cpu_s")]
        print(
            f"  {row['system']:9} {row['samples_per_s']:9,} samples/s {row['samples_per_cpu_s']:9,} per cpu-s "
            f"{row['gflop_per_cpu_s']:6.1f} GFLOP/cpu-s   "
            f"ours/it {ratios[0]} ({ratios[1]} by cpu)   peak {row['peak_mb']:6.1f} MB",
            flush=True,
        )


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return a line for each case: our speed, what multiple of each other system's that is, and our peak of memory.

    At one thread speeds are by processor time, at more by the clock.
    """
    systems = [name for name in SYSTEMS if name != "ours" and any(row["system"] == name for row in rows)]
    heads = ["shape", "batch", "activation", "threads", "rows", "samples/s", *(f"ours / {name}" for name in systems)]
    lines = [f"| {' | '.join([*heads, 'peak'])} |", "|---" * (len(heads) + 1) + "|"]
    for ours in (row for row in rows if row["system"] == "ours"):
        case = {name: ours[name] for name in ("shape", "batch", "activation", "threads", "n_rows")}
        rate = "samples_per_cpu_s" if ours["threads"] == 1 else "samples_per_s"
        speeds = {row["system"]: row[rate] for row in rows if case.items() <= row.items()}
        ratios = [f"{ours[rate] / speeds[name]:.2f}" if name in speeds else "" for name in systems]
        cells = [*map(str, case.values()), f"{ours[rate]:,}", *ratios, f"{ours['peak_mb']:.1f} MB"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure the cases chosen on the command line, print them, and write them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--growth", action="store_true", help="ours and the products over widths, depths and rows")
    parser.add_argument("--rows", type=int, default=20_000, help="rows of an epoch")
    parser.add_argument("--rounds", type=int, default=9, help="epochs of each system")
    parser.add_argument("--only", default="", help="only cases whose description holds this text")
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="only these")
    parser.add_argument("--pair", action="store_true", help="one process against two at once")
    parser.add_argument("--averaging", action="store_true", help="an epoch on MNIST with averaged weights and without")
    parser.add_argument(
        "--kernel", help="OpenBLAS's kernel; without it OpenBLAS chooses, whatever the environment says"
    )
    parser.add_argument("--before", type=Path, help="a checkout with other code of ours, to be compared with")
    arguments = parser.parse_args()
    choose_kernel(arguments.kernel)
    if arguments.before:
        os.environ[BEFORE] = str(arguments.before.resolve())
    if arguments.averaging:
        measure_averaging(arguments.rounds)
        return
    if arguments.pair:
        measure_pair(arguments.rows, arguments.rounds)
        return
    cases, systems = (growth, ["ours", "products"]) if arguments.growth else (comparison, arguments.systems.split(","))
    systems = [name for name in systems if name != "before" or arguments.before]
    print(f"784 inputs: {'MNIST' if PREPARED.exists() else 'random pixels'}; 64: random pixels", flush=True)
    rows: list[dict[str, Any]] = []
    for case, n_rows in cases(arguments.rows):
        title = f"{case.shape} batch {case.batch_size} {case.activation}, {case.threads} thread(s), {n_rows} rows"
        if arguments.only not in title:
            continue
        print(title, flush=True)
        measured = measure(case, n_rows, arguments.rounds, systems)
        show(measured)
        rows += measured
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
    print(f"\n{markdown(rows)}")


if __name__ == "__main__":
    main()
