"""Starts a training eight times at once, round after round: ``python -m tests.pipeline.first_starts <folder> ...``.

Every round has a folder of its own with nothing in it. The processes are forked from this one after its imports, so
that they come to the store within the same moment, and a round takes a fraction of what eight cold starts do.
"""

import importlib
import os
import sys
from pathlib import Path

from pipeline.door import enter
from tests.pipeline.doors import TINY

N_STARTS = 8
# What a training imports on its way.
HEAVY = (
    "hydra", "matplotlib.figure", "mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store", "mlpsweep.config",
    "mlpsweep.figures.training", "mlpsweep.tracking.model", "mlpsweep.tracking.store", "mlpsweep.training.run",
    "pipeline.inputs", "pipeline.train", "rich.progress",
)  # fmt: skip


def start(folder: Path, seed: int) -> int:
    """Run one training in a process of its own, and return the process's number."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.chdir(folder)
        sys.argv = ["train", *TINY, f"seed={seed}"]
        enter("pipeline.train")
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.stdout.flush()
        os._exit(code)


def main(folders: list[Path]) -> int:
    for module in HEAVY:
        importlib.import_module(module)
    worst = 0
    for folder in folders:
        pids = [start(folder, seed) for seed in range(N_STARTS)]
        worst = max([worst, *(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids)], key=abs)
    return abs(worst)


if __name__ == "__main__":
    sys.exit(main([Path(word) for word in sys.argv[1:]]))
