"""What the doors say of a project that commit fb6852b wrote; README.md tells how it was made.

Each door reads the old files, or refuses them with a sentence that names the way out.
"""

import csv
import gzip
import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.pipeline.doors import door

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
MADE_IN = "/tmp/mlpsweep-old"
STUDY, JOBS = "digits-88f1c09c", "multirun/jobs"
SEARCH = ("data=digits", "n_epochs=3", "hidden_sizes=[16]", "space.dimensions.hidden_sizes.width.high=40")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The old project, as if it had been made in the folder where it now lies."""
    folder = shutil.copytree(HERE / "project", tmp_path_factory.mktemp("old") / "project")
    for dump, database in (("mlflow.sql.gz", "mlflow.db"), ("optuna.sql.gz", "mlruns/optuna.db")):
        script = gzip.decompress((HERE / dump).read_bytes()).decode()
        with sqlite3.connect(folder / database) as store:
            store.executescript(script.replace(MADE_IN, str(folder)))
        store.close()
    return folder


def test_an_old_model_is_evaluated_into_its_own_run(old: Path) -> None:
    done = door(old, "evaluate", "model_dir=artifacts/train/winner", "output_dir=again", "register=true")
    assert done.returncode == 0, done.stderr
    now, then = (
        json.loads((old / name / "metrics.json").read_text()) for name in ("again", "artifacts/evaluate/winner")
    )
    assert now["test"]["accuracy"] == pytest.approx(then["test"]["accuracy"], abs=0.003)
    assert now["test"]["loss"] == pytest.approx(then["test"]["loss"], rel=1e-4)
    run = json.loads((old / "artifacts/train/winner.run.json").read_text())["run_id"]
    assert run in done.stdout
    assert "digits-mlp version 1 is the champion" in done.stdout


@pytest.mark.parametrize(
    ("sweep", "accuracies"),
    [(STUDY, [0.925, 0.5533, 0.3117, 0.1, 0.1, 0.08]), (JOBS, [0.84, 0.81])],
    ids=["study", "multirun"],
)
def test_an_old_sweep_is_compared(old: Path, sweep: str, accuracies: list[float]) -> None:
    done = door(old, "compare", f"sweep={sweep}", f"output_dir=compared/{Path(sweep).name}")
    assert done.returncode == 0, done.stderr
    rows = csv.DictReader((old / f"compared/{Path(sweep).name}/comparison.csv").read_text().splitlines())
    assert [float(row["validation/accuracy"]) for row in rows] == pytest.approx(accuracies, abs=1e-4)


def test_an_old_project_is_reported(old: Path) -> None:
    done = door(old, "report")
    assert done.returncode == 0, done.stderr
    page = (old / "artifacts/report/index.html").read_text()
    assert STUDY in page
    assert "98.33" in page
    assert "fb6852b" in page


def test_an_old_training_is_proved(old: Path) -> None:
    done = door(old, "verify", "model_dir=artifacts/train/relu")
    assert (done.returncode, done.stdout[:9]) == (0, "verified:"), done.stderr


def test_an_old_study_is_not_joined_and_the_way_out_is_told(old: Path) -> None:
    done = door(old, "search", *SEARCH, f"search.study={STUDY}", "search.n_trials=7")
    assert done.returncode == 2, done.stderr
    for words in (f"search.study: '{STUDY}'", "numeric sources", "search.study=null"):
        assert words in done.stderr
    with sqlite3.connect(old / "mlruns/optuna.db") as store:
        assert store.execute("select count(*) from trials").fetchall() == [(6,)]
    store.close()
