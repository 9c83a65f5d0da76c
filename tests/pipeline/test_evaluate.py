"""The door ``evaluate``, and that the test split selects nothing."""

import csv
import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from mlpsweep.tracking.queue import RecordQueue, RunHandle
from mlpsweep.tracking.run import Run
from mlpsweep.training.folder import TrainingFolder
from pipeline.evaluate import register
from tests.pipeline.doors import TINY, door, repoint, tracked

pytestmark = pytest.mark.slow
SEARCH = (
    "data=digits",
    "n_epochs=2",
    "search.n_trials=3",
    "space.dimensions.hidden_sizes.width.high=40",
    "search.pruner=none",
    "winner.top_k=1",
    "winner.n_seeds=1",
)
TEST_FILES = ("test_images.npy", "test_labels.npy")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    assert door(folder, "train", *TINY, "output_dir=model").returncode == 0
    done = door(folder, "evaluate", "model_dir=model", "output_dir=evaluation")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder


def test_the_files_agree_with_each_other(evaluated: Path) -> None:
    metrics = json.loads((evaluated / "evaluation/metrics.json").read_text())
    rows = list(csv.DictReader((evaluated / "evaluation/predictions.csv").read_text().splitlines()))
    right = sum(row["label"] == row["predicted"] for row in rows)
    assert metrics["test"]["accuracy"] == pytest.approx(right / 360)
    counts = list(csv.reader((evaluated / "evaluation/confusion_matrix.csv").read_text().splitlines()))[1:]
    assert sum(int(line[1 + i]) for i, line in enumerate(counts)) == right
    assert metrics["test"]["accuracy"] > 0.85


def test_figures_go_into_the_trainings_own_run(evaluated: Path) -> None:
    run_id = json.loads((evaluated / "model.run.json").read_text())["run_id"]
    metrics = json.loads((evaluated / "evaluation/metrics.json").read_text())
    logged = dict(tracked(evaluated, f"select key, value from latest_metrics where run_uuid = '{run_id}'"))
    assert logged["test/accuracy"] == pytest.approx(metrics["test"]["accuracy"])
    assert logged["validation/final_loss"] == pytest.approx(metrics["validation"]["loss"])
    assert tracked(evaluated, "select count(*) from runs") == [(1,)]
    stored = evaluated / "mlruns/digits" / run_id / "artifacts/evaluation"
    assert {path.name for path in stored.iterdir()} == {path.name for path in (evaluated / "evaluation").iterdir()}


def test_the_last_epochs_record_is_what_evaluate_measures(evaluated: Path) -> None:
    last = list(csv.DictReader((evaluated / "model/history.csv").read_text().splitlines()))[-1]
    metrics = json.loads((evaluated / "evaluation/metrics.json").read_text())
    assert float(last["validation/accuracy"]) == pytest.approx(metrics["validation"]["accuracy"])
    assert float(last["validation/loss"]) == pytest.approx(metrics["validation"]["loss"], rel=1e-5)


def test_a_lost_run_is_found_by_its_key_and_a_lost_store_restored(evaluated: Path) -> None:
    (evaluated / "model.run.json").rename(evaluated / "kept")
    assert door(evaluated, "evaluate", "model_dir=model", "output_dir=evaluation").returncode == 0
    assert tracked(evaluated, "select count(*) from runs") == [(1,)]
    (evaluated / "mlflow.db").rename(evaluated / "kept.db")
    try:
        assert door(evaluated, "evaluate", "model_dir=model", "output_dir=evaluation").returncode == 0
        assert tracked(evaluated, "select value from tags where key = 'restored'") == [("true",)]
    finally:
        (evaluated / "kept.db").rename(evaluated / "mlflow.db")
        (evaluated / "kept").rename(evaluated / "model.run.json")


def test_a_folder_without_a_model_is_named(evaluated: Path) -> None:
    done = door(evaluated, "evaluate", "model_dir=data")
    assert (done.returncode, done.stderr.count("data/model.npz: no such file")) == (3, 1)


@pytest.fixture(scope="module")
def without_test_split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("no test split")
    assert door(folder, "prepare", "data=digits").returncode == 3
    assert door(folder, "download", "data=digits").returncode == 0
    assert door(folder, "prepare", "data=digits").returncode == 0
    for name in TEST_FILES:
        (folder / "data/prepared/digits" / name).unlink()
    return folder


def weights(file: Path) -> dict[str, bytes]:
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name].tobytes() for name in arrays.files}


def test_training_without_the_test_split_gives_the_same_weights(evaluated: Path, without_test_split: Path) -> None:
    assert door(without_test_split, "train", *TINY, "output_dir=model").returncode == 0
    assert weights(without_test_split / "model/model.npz") == weights(evaluated / "model/model.npz")
    done = door(without_test_split, "evaluate", "model_dir=model")
    assert done.returncode == 3
    assert "Traceback" not in done.stderr


def test_searching_without_the_test_split_gives_the_same_weights(
    evaluated: Path, without_test_split: Path, tmp_path: Path
) -> None:
    hashes = []
    for folder in (repoint(shutil.copytree(evaluated, tmp_path / "copy")), without_test_split):
        done = door(folder, "search", *SEARCH)
        assert done.returncode == 0, done.stderr
        trials = list(csv.DictReader((folder / "artifacts/digits/search/trials.csv").read_text().splitlines()))
        hashes.append([trial["weights_hash"] for trial in trials])
    assert hashes[0] == hashes[1]
    assert all(hashes[0])


def test_a_model_is_registered_if_that_is_asked(evaluated: Path) -> None:
    assert tracked(evaluated, "select count(*) from registered_models") == [(0,)]
    done = door(evaluated, "evaluate", "model_dir=model", "output_dir=evaluation", "register=true")
    assert (done.returncode, done.stderr) == (0, "")
    assert "digits-mlp version 1 is the champion: models:/digits-mlp@champion\n" in done.stdout
    assert tracked(evaluated, "select alias, version from registered_model_aliases") == [("champion", 1)]
    # It was the second evaluation: no point of the first is logged once more.
    assert tracked(evaluated, "select max(n) from (select count(*) n from metrics group by run_uuid, key, step)") == [
        (1,)
    ]


def test_a_registry_that_refuses_loses_no_evaluation(evaluated: Path, tmp_path: Path) -> None:
    folder = repoint(shutil.copytree(evaluated, tmp_path / "copy"))
    with sqlite3.connect(folder / "mlflow.db") as store:
        store.execute("alter table registered_models rename to gone")
    done = door(folder, "evaluate", "model_dir=model", "output_dir=again", "register=true")
    assert (done.returncode, done.stderr.count("warning: tracking.uri: ")) == (0, 1), done.stderr
    assert "not registered: the tracking store did not take it" in done.stdout
    assert (folder / "again/metrics.json").read_text() == (folder / "evaluation/metrics.json").read_text()


def test_a_stand_in_is_not_registered(evaluated: Path) -> None:
    folder = TrainingFolder(evaluated / "model")
    model, _ = folder.load()
    store = Run(None, RunHandle(), RecordQueue(None, "nowhere"))  # type: ignore[arg-type]
    said = register(store, folder, model.with_metadata(stands_in_for="mnist"), "a card")
    assert said == "not registered: digits stands in for mnist"
