"""Compare tracked runs over the settings that differ between them; seeds become mean and spread.

Reads the tracking store, or only the experiment that tracking.experiment names; writes comparison.csv,
comparison.html and comparison.png into output_dir.
Exit codes: 2 no such runs, 3 runs of different data sets, 4 tracking store.
"""

import shlex
import sys
from typing import TYPE_CHECKING

from pipeline.door import Context, Door, enter
from pipeline.settings import CompareJob
from pipeline.standing import shown

if TYPE_CHECKING:
    from mlpsweep.tracking.lookup import TrackedRun

# Rows on a terminal; the files hold all.
N_SHOWN = 40


def run(settings: CompareJob, context: Context) -> None:
    """Find, compare, write, show."""
    from mlpsweep.files import write_atomic
    from mlpsweep.report.comparison import compare, figure_png, render_comparison
    from pipeline.screen import show

    compared = compare(found(settings), settings.metric)
    folder, png = context.folder, figure_png(compared)
    command = shlex.join(["python", "-m", "pipeline.compare", *context.overrides])
    files = {
        "comparison.csv": compared.table().to_csv().encode(),
        "comparison.html": render_comparison(compared, png, command).encode(),
        "comparison.png": png,
    }
    for name, data in files.items():
        write_atomic(folder / name, data)
    show(compared.table(N_SHOWN, names_runs=False))
    sys.stdout.write(f"{shown(folder)}  {' '.join(files)}\n")


def found(settings: CompareJob) -> "list[TrackedRun]":
    """Return the runs that the settings name."""
    from mlpsweep.tracking.lookup import open_runs

    runs = open_runs(settings.tracking)
    of_sweep = runs.of_sweep(settings.sweep) if settings.sweep else []
    return of_sweep + runs.of_ids(settings.run_ids)


DOOR = Door(
    module="pipeline.compare",
    text=__doc__,
    settings=CompareJob,
    config="compare",
    run=run,
    makes_folder=True,
    writes_folder=True,
    examples=(
        "sweep=multirun/2026-01-31/12-00-00  # the jobs of a sweep",
        "sweep=mnist-relu metric=validation/loss  # the trials of a study, by their loss",
        "sweep=mine output_dir=outputs/comparison  # the jobs of a parent run called so",
    ),
)

if __name__ == "__main__":
    enter("pipeline.compare")
