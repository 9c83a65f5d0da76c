"""A set of 2 GB in IDX files: memory of its own that prepare and an epoch take, and rows per second beside MNIST's.

``python -m benchmarks.big`` writes 2,550,000 images of 28 x 28 pixels into a temporary folder, which needs 4.5 GB, and
prints a row for prepare and for an epoch: the largest ``RssAnon``, what a process has in memory beside files that it
shares, and the time. ``BIG_MB=200`` makes less. Exit code 5 if a bound is passed.
"""

import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mlpsweep import DataSettings, TrainSettings, run_training
from mlpsweep.data.ready import DataFolders

SIDE, CLASSES, PIECE = 28, 10, 10_000
BOUND_MB = 300


def write(folder: Path, n_rows: int, seed: int = 0) -> DataSettings:
    """Write noise that is brighter for higher classes, some rows at a time, and return the settings of the set."""
    rng = np.random.default_rng(seed)
    with (folder / "images").open("wb") as images, (folder / "labels").open("wb") as labels:
        images.write(bytes([0, 0, 8, 3]) + np.array([n_rows, SIDE, SIDE], ">u4").tobytes())
        labels.write(bytes([0, 0, 8, 1]) + np.array([n_rows], ">u4").tobytes())
        for first in range(0, n_rows, PIECE):
            numbers = np.arange(first, min(n_rows, first + PIECE)) % CLASSES
            pixels = rng.integers(0, 100, (len(numbers), SIDE, SIDE), np.uint8)
            images.write((pixels + 15 * numbers[:, None, None].astype(np.uint8)).tobytes())
            labels.write(numbers.astype(np.uint8).tobytes())
    files = {"train_images": {"name": "images"}, "train_labels": {"name": "labels"}}
    return DataSettings(name="big", format="idx", path=str(folder), files=files, n_epochs=1, n_validation=10_000)


def anonymous_mb() -> float:
    """Return what this process has in memory that is no file's, MB."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


@contextmanager
def peak() -> Iterator[list[float]]:
    """Yield a list that holds the largest memory and the seconds of the block, once it is left."""
    seen, told, is_done, start = [anonymous_mb()], list[float](), threading.Event(), time.perf_counter()

    def watch() -> None:
        while not is_done.wait(0.02):
            seen.append(anonymous_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield told
    finally:
        is_done.set()
        watcher.join()
        told += [max(seen), time.perf_counter() - start]


def measured(what: str, act: Callable[[], Any]) -> Any:
    """Do something, print its memory and time, and return what it returns."""
    with peak() as told:
        result = act()
    print(f"{what}: {told[0]:.0f} MB RssAnon, {told[1]:.1f} s", flush=True)
    if told[0] > BOUND_MB:
        sys.exit(f"{what}: {told[0]:.0f} MB; expected at most {BOUND_MB}")
    return result


def epoch(folders: DataFolders, data: DataSettings) -> float:
    """Train one epoch, and return its rows per second."""
    settings = TrainSettings(data=data, activation="relu", hidden_sizes=(100,), n_epochs=1, monitor="none")
    return run_training(settings, folders.open(data)[1]).samples_per_s


def main() -> None:
    """Write, prepare, train."""
    n_rows = int(os.environ.get("BIG_MB", "2000")) * 1_000_000 // SIDE**2
    with tempfile.TemporaryDirectory() as folder:
        small, large = (Path(folder) / name for name in ("as MNIST", "big"))
        rates = {}
        for place, n in ((small, 87_500), (large, n_rows)):  # a fifth is cut off: 70,000 rows are left, as MNIST has
            place.mkdir()
            data, folders = write(place, n), DataFolders.below(place)
            measured(f"{place.name}: download, {n:,} rows", lambda: folders.download(data))  # noqa: B023
            measured(f"{place.name}: prepare", lambda: folders.prepare(data))  # noqa: B023
            rates[place.name] = measured(f"{place.name}: an epoch", lambda: epoch(folders, data))  # noqa: B023
            print(f"{place.name}: {rates[place.name]:,.0f} rows/s", flush=True)
        share = rates["big"] / rates["as MNIST"]
        print(f"big beside as MNIST: {share:.2f}")
    if not 0.85 < share < 1.15:
        sys.exit(5)


if __name__ == "__main__":
    main()
