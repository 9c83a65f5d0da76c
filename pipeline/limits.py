"""What settings ask for against what there is: rows, memory, places for folders."""

import itertools
import math
import os
from collections.abc import Iterator
from pathlib import Path

from mlpsweep.config import plain
from mlpsweep.data.specs import Size, expected_size
from mlpsweep.schema import Settings
from mlpsweep.search.corners import corners
from mlpsweep.search.groups import applied
from mlpsweep.settings import TrainSettings
from pipeline.folders import unusable
from pipeline.settings import SearchJob, TrainJob

# Memory holds the weights, the best ones so far and a checkpoint, each number in 4 bytes.
N_COPIES, BYTES = 3, 4


def impossible(settings: Settings) -> Iterator[str]:
    """Yield why a job cannot do its work here: its data, this machine, or its folders do not allow it."""
    if isinstance(settings, TrainJob) and (size := expected_size(settings.data, Path(settings.paths.prepared))):
        yield from oversized(settings, size)
        if isinstance(settings, SearchJob):
            yield from _oversized_corners(settings, size)
    if isinstance(settings, SearchJob) and settings.search.folder is not None:
        yield from unusable("search.folder", settings.search.folder)
    if (output_dir := getattr(settings, "output_dir", None)) is not None:
        yield from unusable("output_dir", output_dir)
    paths = getattr(settings, "paths", None)
    for name, value in plain(paths).items() if paths else ():
        yield from unusable(f"paths.{name}", value)


def _oversized_corners(settings: SearchJob, size: Size) -> Iterator[str]:
    """Yield a message for each way in which some corner of a search's space does not fit."""
    known = {message.partition(":")[0] for message in oversized(settings, size)}
    dimensions = settings.space.parse()
    for params in corners(dimensions):
        one = applied(dimensions, params, settings.training())
        if n_weights(one, size) > (settings.space.max_parameters or math.inf):
            continue  # never trained
        for message in oversized(one, size):
            if (key := message.partition(":")[0]) not in known:
                known.add(key)
                yield f"space: {message}"


def oversized(settings: TrainSettings, size: Size) -> Iterator[str]:
    """Yield a message for each way in which a training does not fit the data or this machine."""
    data = settings.data
    n_rows = size.n_rows - data.n_validation
    if n_rows < max(1, data.n_train or 1):
        yield (
            f"data.n_validation: {data.n_validation} of {size.n_rows} rows leave {n_rows} to train on; "
            f"expected at least {data.n_train or 1}. Lower data.n_validation or data.n_train"
        )
    rows = data.n_train or max(n_rows, 1)
    if n_rows > 0 and settings.batch_size > rows:
        yield f"batch_size: {settings.batch_size}; expected at most the {rows} rows to train on"
    needed = N_COPIES * BYTES * n_weights(settings, size)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        yield (
            f"hidden_sizes: {list(settings.hidden_sizes)} needs {needed / 1e9:,.0f} GB; expected at most the "
            f"{memory / 1e9:,.0f} GB of this machine. Example: hidden_sizes=[500,250,100]"
        )


def n_weights(settings: TrainSettings, size: Size) -> int:
    """Return the number of weights of a network, without its biases."""
    sizes = (size.n_features, *settings.hidden_sizes, size.n_classes)
    return sum(a * b for a, b in itertools.pairwise(sizes))
