"""What settings ask for against what there is: rows, memory, places for folders."""

import itertools
import math
import os
from collections.abc import Iterator, Mapping

from mlpsweep.config import plain
from mlpsweep.data.specs import SPECS
from mlpsweep.schema import Settings
from mlpsweep.settings import TrainSettings
from pipeline.folders import unusable

# Memory holds the weights, the best ones so far and a checkpoint, each number in 4 bytes.
N_COPIES, BYTES = 3, 4


def impossible(settings: Settings) -> Iterator[str]:
    """Yield why a job cannot do its work here: its data, this machine, or its folders do not allow it."""
    if isinstance(settings, TrainSettings):
        yield from _oversized(settings)
    if (output_dir := getattr(settings, "output_dir", None)) is not None:
        yield from unusable("output_dir", output_dir)
    paths = getattr(settings, "paths", None)
    for name, value in plain(paths).items() if paths else ():
        yield from unusable(f"paths.{name}", value)


def _oversized(settings: TrainSettings) -> Iterator[str]:
    """Yield a message for each way in which a training does not fit the data or this machine."""
    spec, data = SPECS[settings.data.name], settings.data
    n_rows = spec.n_train - data.n_validation
    if n_rows < max(1, data.n_train or 1):
        yield (
            f"data.n_validation: {data.n_validation} of {spec.n_train} rows leave {n_rows} to train on; "
            f"expected at least {data.n_train or 1}. Lower data.n_validation or data.n_train"
        )
    rows = data.n_train or max(n_rows, 1)
    for key, largest in (("batch_size", settings.batch_size), ("space.dimensions.batch_size", _searched(settings))):
        if n_rows > 0 and largest > rows:
            yield f"{key}: {largest}; expected at most the {rows} rows to train on"
    sizes = (math.prod(spec.image_shape), *settings.hidden_sizes, len(spec.class_names))
    needed = N_COPIES * BYTES * sum(a * b for a, b in itertools.pairwise(sizes))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        yield (
            f"hidden_sizes: {list(settings.hidden_sizes)} needs {needed / 1e9:,.0f} GB; expected at most the "
            f"{memory / 1e9:,.0f} GB of this machine. Example: hidden_sizes=[500,250,100]"
        )


def _searched(settings: TrainSettings) -> int:
    """Return the largest batch that a search may draw; 0 if it draws none, or its space is told of elsewhere."""
    dimension = getattr(getattr(settings, "space", None), "dimensions", {}).get("batch_size")
    told = list(dimension.values()) if isinstance(dimension, Mapping) else []
    values = itertools.chain(*(one if isinstance(one, list | tuple) else [one] for one in told))
    return max((value for value in values if isinstance(value, int)), default=0)
