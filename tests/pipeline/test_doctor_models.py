"""What doctor sends into a live MLflow server, and the models that a store has lost."""

import json
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.pipeline.clinic import POINTS, STATUSES, WELL, change, copied, doctor, is_mended
from tests.pipeline.doors import TINY, door, mlflow_ui, tracked

pytestmark = [
    pytest.mark.slow,
    pytest.mark.fault,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning"),
]
MODELS = "select model_id, artifact_location from logged_models order by creation_timestamp_ms"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one training whose model is registered; no test changes it."""
    folder = tmp_path_factory.mktemp("trained") / "project"
    folder.mkdir()
    assert door(folder, "train", *TINY, "output_dir=outputs/one").returncode == 0
    assert door(folder, "evaluate", "model_dir=outputs/one", "register=true").returncode == 0
    return folder


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Path:
    return copied(trained, tmp_path / "project")


def holds_the_weights(location: str, weights: Path) -> bool:
    """Tell whether a stored model is whole, and has these weights."""
    (artifact,) = Path(location, "artifacts").iterdir()
    return Path(location, "MLmodel").is_file() and artifact.read_bytes() == weights.read_bytes()


def test_a_model_whose_files_are_lost_gets_them_again_under_its_id(project: Path) -> None:
    before = tracked(project, MODELS)
    shutil.rmtree(project / "mlruns/digits/models")
    is_mended(project, "missing", "its model")
    ((model_id, location),) = tracked(project, MODELS)
    assert [(model_id, location)] == before
    assert holds_the_weights(location, project / "outputs/one/model.npz")
    assert f"model_id: {model_id}" in Path(location, "MLmodel").read_text()
    assert tracked(project, "select source from model_versions") == [(f"models:/{model_id}",)]


def test_a_run_without_a_model_gets_one(project: Path) -> None:
    change(project, "delete from inputs where source_type = 'RUN_OUTPUT'")
    is_mended(project, "missing", "its model")
    *_, (model_id, location) = tracked(project, MODELS)
    assert holds_the_weights(location, project / "outputs/one/model.npz")
    outputs = tracked(project, "select destination_id from inputs where source_type = 'RUN_OUTPUT'")
    assert outputs == [(model_id,)]


def test_a_model_that_somebody_deleted_is_not_missed(project: Path) -> None:
    MlflowClient(f"sqlite:///{project}/mlflow.db").delete_logged_model(tracked(project, MODELS)[0][0])
    assert doctor(project) == WELL


def test_a_run_that_took_an_equal_trainings_outputs_needs_no_model(project: Path) -> None:
    done = door(project, "train", *TINY, "reuse=true", "output_dir=outputs/two")
    assert (done.returncode, len(tracked(project, MODELS))) == (0, 1), done.stderr
    assert doctor(project) == WELL


def test_a_restored_run_has_its_model(project: Path) -> None:
    (project / "mlflow.db").unlink()
    shutil.rmtree(project / "mlruns/digits")
    assert doctor(project, "fix=true")[0] == 0
    assert doctor(project) == WELL
    ((_, location),) = tracked(project, MODELS)
    assert holds_the_weights(location, project / "outputs/one/model.npz")


def test_a_server_that_lacks_points_a_run_and_models_gets_them_once(tmp_path: Path) -> None:
    project, there = tmp_path / "project", tmp_path / "server"
    project.mkdir()
    there.mkdir()
    with mlflow_ui(there, start_s=180) as address:
        server = {"MLFLOW_TRACKING_URI": address}
        for seed in (1, 2):
            done = door(project, "train", *TINY, "log_every=5", f"seed={seed}", f"output_dir=outputs/{seed}", **server)
            assert done.returncode == 0, done.stderr
        assert doctor(project, **server) == WELL
        points, files = tracked(there, POINTS), stored(there)
        assert {"train/loss", "validation/accuracy", "batch/loss"} <= {key for _, key, *_ in points}
        half, gone = (json.loads((project / f"outputs/{seed}.run.json").read_text())["run_id"] for seed in (1, 2))
        change(there, f"delete from metrics where step > 1 and run_uuid = '{half}'")
        for table in ("metrics", "latest_metrics", "params", "tags", "runs"):
            change(there, f"delete from {table} where run_uuid = '{gone}'")
        shutil.rmtree(there / "mlartifacts")
        is_mended(project, "missing", "points", "files", "its model", "no run of this training", store=there, **server)
        made = json.loads((project / "outputs/2.run.json").read_text())["run_id"]
        assert made != gone
        named = [(made if run == gone else run, *rest) for run, *rest in points if "/" in rest[0]]
        assert [row for row in tracked(there, POINTS) if "/" in row[1]] == sorted(named)
        assert {n for *_, n in tracked(there, POINTS)} == {1}
        assert tracked(there, STATUSES) == [("FINISHED", 2)]
        assert stored(there) == files


def stored(there: Path) -> list[str]:
    """Return the names of all files that a server stores, without the ids of runs and models in their paths."""
    return sorted(
        path.name for path in (there / "mlartifacts").rglob("*") if path.is_file() and "code" not in path.parts
    )
