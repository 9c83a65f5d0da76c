"""Peak memory of a training on the real files, mapped pixels counted: there is no float copy of the data."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.doors import ROOT

pytestmark = [pytest.mark.mnist, pytest.mark.slow]
MEASURE = """
import re, sys
from pathlib import Path
from pipeline import train
from pipeline.compose import check
from pipeline.door import Context
from pipeline.inputs import settled
from mlpsweep.figures.style import png_bytes
from mlpsweep.training.folder import TrainingFolder
import mlpsweep.figures.training, mlpsweep.training.run, rich.progress
import mlflow, mlflow.pyfunc, mlpsweep.tracking.store, mlpsweep.tracking.model

def peak_mb():
    # Not ru_maxrss, which starts from the parent's.
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

(job,) = check("train", train.DOOR.settings, ["activation=relu", "n_epochs=1"], multirun=False)
imports = peak_mb()
if sys.argv[1] == "tracked":
    train.run(job.settings, Context(Path("out")))
else:
    settings, dataset = settled(job.settings, Context(Path("out")))
    result = mlpsweep.training.run.run_training(settings.training(), dataset)
    figure = mlpsweep.figures.training.curves(result.history, "relu")
    TrainingFolder(Path("out")).save(result, settings.training(), png_bytes(figure))
sys.exit(f"{peak_mb() - imports:.0f}")
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mnist")
    if "MNIST_MIRROR" not in os.environ:
        pytest.skip("MNIST_MIRROR names no folder with the files")
    for name in ("download", "prepare"):
        subprocess.run([sys.executable, "-m", f"pipeline.{name}"], cwd=folder, env=environment(), check=True)
    return folder


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}


@pytest.mark.parametrize(("mode", "bound_mb"), [("untracked", 150), ("tracked", 200)])
def test_a_training_stays_within_its_bound(prepared: Path, mode: str, bound_mb: int) -> None:
    words = [sys.executable, "-c", MEASURE, mode]
    done = subprocess.run(words, cwd=prepared, env=environment(), capture_output=True, text=True, check=False)
    grown_mb = int(done.stderr.splitlines()[-1])
    assert 10 < grown_mb <= bound_mb
