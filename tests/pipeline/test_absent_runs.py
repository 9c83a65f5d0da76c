"""Runs that are not there: deleted in MLflow's page, their files gone, or in another experiment than one thinks."""

import csv
import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.pipeline.doors import TINY, door, repoint, tracked, tree

pytestmark = [
    pytest.mark.slow,
    # What MLflow says to itself of SQLAlchemy's future.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("absent") / "project"
    folder.mkdir()
    assert door(folder, "train", *TINY, "seed=1", "output_dir=m").returncode == 0
    assert door(folder, "evaluate", "model_dir=m", "register=true").returncode == 0
    return folder


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Path:
    return repoint(Path(shutil.copytree(trained, tmp_path / "project")))


@pytest.fixture
def deleted(project: Path) -> str:
    """The id of the project's one run, deleted as MLflow's page does it."""
    run_id = str(json.loads((project / "m.run.json").read_text())["run_id"])
    MlflowClient(f"sqlite:///{project}/mlflow.db").delete_run(run_id)
    return run_id


def active(project: Path) -> list[str]:
    return [run_id for (run_id,) in tracked(project, "select run_uuid from runs where lifecycle_stage = 'active'")]


def test_an_evaluation_gets_a_new_run_and_the_registry_a_new_version(project: Path, deleted: str) -> None:
    done = door(project, "evaluate", "model_dir=m", "register=true")
    assert done.returncode == 0, done.stderr
    assert f"mlflow runs restore --run-id {deleted}" in done.stderr
    (new,) = active(project)
    assert (new == deleted, f"MLflow run {new}" in done.stdout) == (False, True)
    assert "digits-mlp version 2 is the champion" in done.stdout
    assert tracked(project, "select run_id from model_versions where version = 2") == [(new,)]
    assert door(project, "evaluate", "model_dir=m", "register=true").returncode == 0
    assert (active(project), tracked(project, "select count(*) from model_versions")) == ([new], [(2,)])


def test_it_is_not_reused(project: Path, deleted: str) -> None:
    done = door(project, "train", *TINY, "seed=1", "reuse=true", "output_dir=again")
    assert (done.returncode, "taken from" in done.stdout) == (0, False)
    assert (project / "again/model.npz").read_bytes() == (project / "m/model.npz").read_bytes()


def test_it_cannot_be_compared_until_it_is_restored(project: Path, deleted: str) -> None:
    assert door(project, "train", *TINY, "seed=2", "output_dir=other").returncode == 0
    words = ("compare", f"run_ids=[{deleted},{active(project)[0]}]", "output_dir=compared")
    done = door(project, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"error: run_ids: run {deleted} is deleted; `mlflow runs restore --run-id {deleted}` brings" in done.stderr
    MlflowClient(f"sqlite:///{project}/mlflow.db").restore_run(deleted)
    assert door(project, *words).returncode == 0


def test_a_sweep_whose_parent_is_deleted_is_told_so(tmp_path: Path) -> None:
    assert door(tmp_path, "train", "-m", *TINY, "seed=1,2", "hydra.sweep.dir=jobs").returncode == 0
    parent = tracked(tmp_path, "select run_uuid from runs where name like 'sweep%'")[0][0]
    MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").delete_run(parent)
    done = door(tmp_path, "compare", "sweep=jobs")
    assert done.returncode == 2
    assert f"error: sweep: 'jobs': run {parent} is deleted; `mlflow runs restore --run-id {parent}`" in done.stderr


def test_the_doctor_leaves_a_deleted_run_deleted(project: Path, deleted: str) -> None:
    done = door(project, "doctor", "fix=true")
    assert (done.returncode, done.stdout) == (0, "doctor: all is well\n"), done.stdout
    assert active(project) == []


def test_files_that_are_gone_are_trained_again(project: Path) -> None:
    shutil.rmtree(project / "mlruns/digits")
    done = door(project, "train", *TINY, "seed=1", "reuse=true", "output_dir=x")
    assert (done.returncode, "taken from" in done.stdout) == (0, False), done.stderr
    assert tree(project / "x") == tree(project / "m")


def test_the_environment_names_the_experiment(tmp_path: Path) -> None:
    names = "select name from experiments where name != 'Default' order by 1"
    assert door(tmp_path, "train", *TINY, MLFLOW_EXPERIMENT_NAME="mine").returncode == 0
    assert tracked(tmp_path, names) == [("mine",)]
    assert door(tmp_path, "train", *TINY, "tracking.experiment=yours", MLFLOW_EXPERIMENT_NAME="mine").returncode == 0
    assert tracked(tmp_path, names) == [("mine",), ("yours",)]


def test_a_stand_ins_experiment_is_always_the_digits(tmp_path: Path) -> None:
    words = ("train", "n_epochs=1", "hidden_sizes=[8]", "tracking.experiment=mnist")
    done = door(tmp_path, *words, MNIST_MIRROR="", MLFLOW_EXPERIMENT_NAME="mine", HTTPS_PROXY="http://127.0.0.1:9")
    assert (done.returncode, "could not be downloaded" in done.stderr) == (0, True), done.stderr
    assert tracked(tmp_path, "select name from experiments where name != 'Default'") == [("digits",)]


@pytest.mark.parametrize("uri", ["sqlite:///", "sqlite:///:memory:", "sqlite://"])
@pytest.mark.parametrize("words", [("train", *TINY), ("train", "-m", *TINY, "seed=1,2"), ("doctor",)], ids=" ".join)
def test_a_store_in_memory_is_refused_before_anything(tmp_path: Path, uri: str, words: tuple[str, ...]) -> None:
    done = door(tmp_path, *words, MLFLOW_TRACKING_URI=uri)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: MLFLOW_TRACKING_URI: '{uri}' keeps nothing; expected sqlite:///FILE")
    assert tree(tmp_path) == set()


def test_a_diverged_job_is_a_row_of_its_sweep(tmp_path: Path) -> None:
    words = ("-m", *TINY[:2], "hidden_sizes=[8]", "n_epochs=2", "learning_rate=0.1,0.2,1e20", "hydra.sweep.dir=jobs")
    assert door(tmp_path, "train", *words).returncode == 5
    done = door(tmp_path, "compare", "sweep=jobs", "output_dir=new")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "new/comparison.csv").read_text().splitlines()))
    assert [(row["learning_rate"], row["status"]) for row in rows][-1] == ("1e+20", "diverged")
    # A run of earlier times that failed has no parameters.
    (run_id,) = tracked(tmp_path, "select run_uuid from runs where status = 'FAILED' and name not like 'sweep%'")[0]
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    assert client.get_run(run_id).data.params["learning_rate"] == "1e+20"
    with sqlite3.connect(tmp_path / "mlflow.db") as store:
        store.execute("delete from params where run_uuid = ?", (run_id,))
    store.close()
    done = door(tmp_path, "compare", "sweep=jobs", "output_dir=old")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "old/comparison.csv").read_text().splitlines()))
    assert [name for name in rows[0] if not name.startswith(("validation/", "train/"))] == [
        "row", "learning_rate", "status", "run_ids",
    ]  # fmt: skip
    assert (rows[-1]["learning_rate"], rows[-1]["status"], rows[-1]["run_ids"]) == ("", "diverged", run_id)


def test_a_model_finds_its_own_data_in_a_folder_without_any(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "m", tmp_path / "m")
    done = door(tmp_path, "evaluate", "model_dir=m", "output_dir=e")
    assert done.returncode == 0, done.stderr
    assert "data/prepared/digits is missing: downloading and preparing digits first" in done.stderr
    was = json.loads((trained / "m.evaluation/metrics.json").read_text())
    assert json.loads((tmp_path / "e/metrics.json").read_text()) == was


def test_a_stand_ins_model_finds_the_digits_under_their_own_name(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    nobody = {"HTTPS_PROXY": "http://127.0.0.1:9"}
    assert door(here, "train", "n_epochs=1", "hidden_sizes=[8]", "output_dir=m", **nobody).returncode == 0
    shutil.copytree(here / "m", there / "m")
    for door_name in ("verify", "evaluate"):
        done = door(there, door_name, "model_dir=m", **nobody)
        assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (there / "data/prepared").iterdir() if path.is_dir()) == ["digits"]
