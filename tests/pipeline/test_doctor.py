"""The door ``doctor``: each finding made real, told with its remedy, mended once, and gone the second time."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlpsweep.files import open_part
from tests.forked import Forked
from tests.pipeline.clinic import POINTS, STATUSES, WELL, change, copied, doctor, is_mended
from tests.pipeline.doors import TINY, door, tracked, tree
from tests.pipeline.processes import Running, count, started, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.fault]
LONG = (*TINY[:3], "n_epochs=100000", "log_every=10000")
SEARCH = (
    "search", "data=digits", "n_epochs=2", "hidden_sizes=[9]", "search.n_trials=3", "search.pruner=none",
    "winner.top_k=1", "winner.n_seeds=1", "space.dimensions.hidden_sizes.width.high=40",
)  # fmt: skip
REASON = "select value from tags where key = 'reason'"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one training; no test changes it."""
    folder = tmp_path_factory.mktemp("trained") / "project"
    folder.mkdir()
    done = door(folder, "train", *TINY, "log_every=5", "output_dir=outputs/one")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Path:
    return copied(trained, tmp_path / "project")


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("searched") / "project"
    folder.mkdir()
    done = door(folder, *SEARCH)
    assert done.returncode == 0, done.stderr
    return folder


@contextmanager
def at_work(folder: Path, *words: str) -> Iterator[Running]:
    with started(folder, *words) as process:
        wait_until(lambda: count(folder, "select count(*) from metrics where key = 'train/loss'") > 0, process)
        yield process


def kill_at_work(folder: Path, *words: str) -> None:
    with at_work(folder, *words) as process:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def n_shown(folder: Path) -> int:
    """Return the number of trials that Optuna shows; one is shown when it has been at work for a second."""
    with contextlib.closing(sqlite3.connect(folder / "mlruns/optuna.db")) as study:
        return len(study.execute("select * from trials").fetchall())


def test_a_whole_project_is_well_and_left_as_it_is(project: Path) -> None:
    before = tree(project)
    assert doctor(project) == WELL
    assert doctor(project, "fix=true") == WELL
    assert tree(project) == before


def test_an_empty_folder_is_well_and_gets_no_store(tmp_path: Path) -> None:
    assert doctor(tmp_path, "fix=true") == WELL
    assert not (tmp_path / "mlflow.db").exists()


def test_a_killed_training_is_closed(tmp_path: Path) -> None:
    kill_at_work(tmp_path, "train", *LONG, "output_dir=outputs/x")
    assert tracked(tmp_path, STATUSES) == [("RUNNING", 1)]
    is_mended(tmp_path, "stale", "process is gone", "FAILED", "lock of a run")
    assert (tracked(tmp_path, STATUSES), tracked(tmp_path, REASON)) == ([("FAILED", 1)], [("killed",)])


def test_the_next_start_closes_a_killed_training(tmp_path: Path) -> None:
    kill_at_work(tmp_path, "train", *LONG, "output_dir=outputs/x")
    assert door(tmp_path, "train", *TINY, "output_dir=outputs/y").returncode == 0
    assert (tracked(tmp_path, STATUSES), tracked(tmp_path, REASON)) == (
        [("FAILED", 1), ("FINISHED", 1)],
        [("killed",)],
    )


def test_a_training_at_work_is_left(tmp_path: Path) -> None:
    with at_work(tmp_path, "train", *LONG, "output_dir=outputs/x"):
        assert doctor(tmp_path, "fix=true") == WELL
        assert door(tmp_path, "train", *TINY, "output_dir=outputs/y").returncode == 0
        assert tracked(tmp_path, STATUSES) == [("FINISHED", 1), ("RUNNING", 1)]


def test_the_main_trees_training_is_left_by_a_doctor_in_a_copy_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "main").mkdir()
    with at_work(tmp_path / "main", "train", *LONG, "output_dir=outputs/x"):
        copy = copied(tmp_path / "main", tmp_path / "copy")
        words = f"tracking.uri=sqlite:///{tmp_path}/main/mlflow.db"
        assert "RUNNING" not in doctor(copy, "fix=true", words)[1]
        assert tracked(tmp_path / "main", STATUSES) == [("RUNNING", 1)]


def test_a_copy_that_dvc_made_belongs_to_the_main_tree(tmp_path: Path) -> None:
    copy = tmp_path / ".dvc/tmp/exps/standalone/one"
    copy.mkdir(parents=True)
    kill_at_work(tmp_path, "train", *LONG, "output_dir=outputs/x")
    assert doctor(copy, "fix=true")[0] == 0
    assert tracked(tmp_path, STATUSES) == [("FAILED", 1)]
    assert tree(copy) == set()


@pytest.mark.parametrize(("tag", "value"), [("host", "elsewhere"), ("project", "f" * 32)])
def test_runs_of_others_are_listed_and_left(tmp_path: Path, tag: str, value: str) -> None:
    kill_at_work(tmp_path, "train", *LONG, "output_dir=outputs/x")
    change(tmp_path, f"update tags set value = '{value}' where key = '{tag}'")
    for file in (tmp_path / "mlruns/.running").glob("[!.]*"):
        file.unlink()
    code, table, _ = doctor(tmp_path, "fix=true")
    assert (code, tracked(tmp_path, STATUSES)) == (0, [("RUNNING", 1)])
    assert value[:8] in table
    assert ("left" in table, "alone" in table) == (True, True)


def test_points_that_the_store_lacks_are_sent_once(project: Path) -> None:
    before = tracked(project, POINTS)
    change(project, "delete from metrics where step > 1", "update runs set status = 'RUNNING', end_time = null")
    is_mended(project, "missing", "points", "its end")
    assert tracked(project, POINTS) == before
    assert {n for *_, n in before} == {1}
    assert tracked(project, STATUSES) == [("FINISHED", 1)]


def test_a_training_in_any_folder_is_found_by_its_run(trained: Path, tmp_path: Path) -> None:
    project, elsewhere = copied(trained, tmp_path / "project"), tmp_path / "elsewhere"
    for place in ("mine", str(elsewhere)):
        assert door(project, "train", *TINY, "log_every=5", f"output_dir={place}").returncode == 0
    before = tracked(project, POINTS)
    change(project, "delete from metrics where key = 'train/loss'")
    is_mended(project, "mine", "outputs/one")
    assert tracked(project, POINTS) == before


def test_a_run_marked_incomplete_is_completed(project: Path) -> None:
    run_id = json.loads((project / "outputs/one.run.json").read_text())["run_id"]
    change(
        project,
        f"insert into tags (key, value, run_uuid) values ('incomplete', 'true', '{run_id}')",
        "delete from metrics where key = 'batch/loss' and step > 20",
    )
    is_mended(project, "missing", "points")
    assert tracked(project, "select * from tags where key = 'incomplete'") == []


def test_files_that_the_store_lost_are_sent(project: Path) -> None:
    shutil.rmtree(project / "mlruns/digits")
    is_mended(project, "missing", "files")
    (run,) = (path for path in (project / "mlruns/digits").iterdir() if path.name != "models")
    for file in (project / "outputs/one").iterdir():
        assert (run / "artifacts" / file.name).read_bytes() == file.read_bytes()


def test_a_training_that_the_store_does_not_know_gets_a_run(project: Path) -> None:
    n_points = tracked(project, "select count(*) from metrics where key = 'train/loss'")
    (project / "mlflow.db").unlink()
    shutil.rmtree(project / "mlruns/digits")
    code, table, _ = doctor(project)
    assert (code, (project / "mlflow.db").exists()) == (5, False)
    assert "no run" in " ".join(table.split())
    assert doctor(project, "fix=true")[0] == 0
    assert doctor(project) == WELL
    assert tracked(project, "select count(*) from metrics where key = 'train/loss'") == n_points
    known = json.loads((project / "outputs/one.run.json").read_text())["run_id"]
    assert tracked(project, "select run_uuid, status from runs") == [(known, "FINISHED")]
    assert tracked(project, "select value from params where key = 'hidden_sizes'") == [("[16]",)]


def move(trained: Path, tmp_path: Path) -> tuple[Path, Path]:
    there = copied(trained, tmp_path / "there")
    return there, there.rename(tmp_path / "here")


def copy_of(trained: Path, tmp_path: Path) -> tuple[Path, Path]:
    there = copied(trained, tmp_path / "there")
    return there, Path(shutil.copytree(there, tmp_path / "here"))


@pytest.mark.parametrize("act", [move, copy_of], ids=["moved", "copied while the original is there"])
def test_a_project_elsewhere_is_refused_until_it_is_repointed(
    trained: Path, tmp_path: Path, act: Callable[[Path, Path], tuple[Path, Path]]
) -> None:
    there, here = act(trained, tmp_path)
    before = tree(tmp_path / "there")
    store = (there / "mlflow.db").read_bytes() if there.exists() else b""
    refused = door(here, "train", *TINY, "seed=5", "output_dir=outputs/two")
    assert (refused.returncode, refused.stdout) == (4, "")
    assert "pipeline.doctor fix=true" in refused.stderr
    assert door(here, "evaluate", "model_dir=outputs/one").returncode == 4
    assert door(here, "verify", "model_dir=outputs/one").returncode == 0  # it writes a tag only
    is_mended(here, "moved", "artifacts", "repoints it")
    done = door(here, "train", *TINY, "seed=5", "output_dir=outputs/two")
    assert done.returncode == 0, done.stderr
    places = tracked(here, "select artifact_uri from runs") + tracked(
        here, "select artifact_location from logged_models"
    )
    assert [place for (place,) in places if not place.startswith(f"{here}/mlruns/digits/")] == []
    assert all(Path(place).is_dir() for (place,) in places)
    assert tree(tmp_path / "there") == before
    if there.exists():
        assert (there / "mlflow.db").read_bytes() == store
        assert door(there, "train", *TINY, "seed=6", "output_dir=outputs/two").returncode == 0


def test_a_store_of_a_schema_nobody_looked_at_is_told_and_left(trained: Path, tmp_path: Path) -> None:
    _, here = move(trained, tmp_path)
    # MLflow itself would refuse the file, so the reviewed list is what changes.
    process = Forked(
        f"{__name__}:doctor_without_schemas", (), here, {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        ("pipeline.doctor", "fix=true"),
    )  # fmt: skip
    out, fault = process.communicate(timeout=120)
    assert process.returncode == 5, fault
    assert "schema" in " ".join(out.split())
    assert not (here / "mlflow.db.before-move").exists()
    assert tracked(here, f"select count(*) from runs where artifact_uri like '{here}/%'") == [(0,)]


def doctor_without_schemas() -> None:
    from mlpsweep.tracking import relocate as module
    from pipeline.door import enter

    module.SCHEMAS = frozenset()  # type: ignore[misc]
    enter("pipeline.doctor")


def test_parts_of_files_are_removed_unless_somebody_writes_them(project: Path) -> None:
    left = [
        project / name
        for name in (
            "outputs/.model.npz.x_______.part",
            "data/raw/digits/.a.gz.y_______.part",
            "mlruns/.b.z_______.part",
        )
    ]
    for file in left:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"half")
    with open_part(project / "outputs/config.yaml") as (_, written):
        is_mended(project, "orphaned", "part of a file")
        assert [file for file in left if file.exists()] == []
        assert written.exists()


def test_locks_that_nobody_holds_are_removed(project: Path) -> None:
    study = project / "mlruns/studies/gone"
    for name in ("workers/dead.lock", "scores/aa.lock", "scores/aa.npz", "scores/bb.lock"):
        (study / name).parent.mkdir(parents=True, exist_ok=True)
        (study / name).touch()
    (project / "mlruns/.running" / ("c" * 32)).touch()
    for number in range(4):
        (study / f"workers/{number}.lock").touch()
    code, table, _ = doctor(project)
    assert (code, table.count("5 in mlruns/"), table.count("lock of")) == (5, 1, 4)
    code, table, _ = doctor(project, "fix=true")
    assert code == 5  # the folder itself belongs to no study: a person has to decide
    assert table.count("fixed") == 4
    assert tree(study) == {"workers", "scores", "scores/aa.npz"}
    code, table, _ = doctor(project, "fix=true")
    assert (code, table.count("orphaned")) == (5, 1)


def test_a_killed_search_is_left_in_order_and_goes_on(tmp_path: Path) -> None:
    words = (*SEARCH[:2], "n_epochs=100000", *SEARCH[3:])
    with at_work(tmp_path, *words) as process:
        wait_until(lambda: n_shown(tmp_path) == 1, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert dict(tracked(tmp_path, STATUSES))["RUNNING"] == 2
    is_mended(tmp_path, "stale", "RUNNING without a worker")
    assert tracked(tmp_path, STATUSES) == [("FAILED", 2)]
    with contextlib.closing(sqlite3.connect(tmp_path / "mlruns/optuna.db")) as study:
        assert study.execute("select distinct state from trials").fetchall() == [("WAITING",)]
        assert study.execute("select value_json from trial_user_attributes where key = 'retries'").fetchall() == [
            ("1",)
        ]
    with started(tmp_path, *words) as process:
        wait_until(lambda: dict(tracked(tmp_path, STATUSES)).get("RUNNING") == 2, process)
    assert tracked(tmp_path, "select count(*) from runs") == [(2,)]


def test_trials_that_the_store_lacks_get_their_runs(searched: Path, tmp_path: Path) -> None:
    project = copied(searched, tmp_path / "project")
    assert doctor(project) == WELL
    names = tracked(project, "select name, status from runs order by name")
    points = tracked(project, "select key, step, value from metrics where key like '%/%' order by 1, 2, 3")
    told = tracked(
        project, "select key, value from tags where key in ('trial', 'trial_state', 'run_key') order by 1, 2"
    )
    (gone,) = tracked(project, "select run_uuid from runs where name like '1: %'")
    half = tracked(project, "select run_uuid from runs where name like '2: %'")[0]
    change(project, f"update runs set status = 'RUNNING' where run_uuid = '{half[0]}'")
    for table in ("metrics", "latest_metrics", "params", "tags", "runs"):
        change(project, f"delete from {table} where run_uuid = '{gone[0]}'")
    change(project, f"delete from metrics where run_uuid = '{half[0]}'")
    is_mended(project, "missing", "no run of this trial", "points")
    assert tracked(project, "select name, status from runs order by name") == names
    assert tracked(project, "select key, step, value from metrics where key like '%/%' order by 1, 2, 3") == points
    now = tracked(project, "select key, value from tags where key in ('trial', 'trial_state', 'run_key') order by 1, 2")
    assert now == told


def test_a_trial_has_one_run_and_its_state(searched: Path, tmp_path: Path) -> None:
    """An earlier version's worker could send late what another one had gone on from."""
    project = copied(searched, tmp_path / "project")
    (first,) = tracked(project, "select run_uuid from runs where name like '1: %'")
    change(project, f"update tags set value = 'paused' where key = 'trial_state' and run_uuid = '{first[0]}'")
    is_mended(project, "stale", "its run lacks its end")
    state = f"select value from tags where key = 'trial_state' and run_uuid = '{first[0]}'"
    assert tracked(project, state) == [("complete",)]
    (columns,) = tracked(project, "select group_concat(name) from pragma_table_info('runs')")
    for table, names in {"runs": columns[0], "tags": "key,value,run_uuid"}.items():
        taken = names.replace("run_uuid", "'0' || substr(run_uuid, 2)").replace("start_time", "start_time - 1")
        change(project, f"insert into {table} ({names}) select {taken} from {table} where run_uuid = '{first[0]}'")
    is_mended(project, "stale", "the store has 2 runs of this trial")
    left = "select run_uuid from runs where name like '1: %' and lifecycle_stage = 'active'"
    assert tracked(project, left) == [first]


def test_checkpoints_of_ended_trials_are_removed(searched: Path, tmp_path: Path) -> None:
    project = copied(searched, tmp_path / "project")
    (study,) = (project / "mlruns/studies").iterdir()
    done, going = study / "trials/0000/checkpoints", study / "trials/0001/checkpoints"
    for folder in (done, going):
        folder.mkdir(exist_ok=True)
        (folder / "epoch-000001.ckpt").touch()
    change(project, "update mlpsweep_lease set state = 'waiting' where slot = 1", database="mlruns/optuna.db")
    is_mended(project, "orphaned", "checkpoints")
    assert (done.exists(), [file.name for file in going.iterdir()]) == (False, ["epoch-000001.ckpt"])


def spoil_model(project: Path) -> str:
    (project / "outputs/one/model.npz").write_bytes(b"noise")
    return "outputs/one"


def spoil_record(project: Path) -> str:
    (project / "outputs/one.run.json").write_text("[]")
    return "record of a run"


@pytest.mark.parametrize("spoil", [spoil_model, spoil_record])
def test_damaged_folders_are_told_and_left(project: Path, spoil: Callable[[Path], str]) -> None:
    named = spoil(project)
    before = {path: path.read_bytes() for path in (project / "outputs").rglob("*") if path.is_file()}
    code, table, fault = doctor(project, "fix=true")
    assert (code, "damaged" in table) == (5, True), table
    assert all(word in table for word in named.split())
    assert fault.startswith("error: doctor: 1 finding left, 0 fixed.")
    assert {path: path.read_bytes() for path in (project / "outputs").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["mlflow.db", "mlruns/optuna.db"])
def test_a_store_that_cannot_be_read_is_exit_4_and_left(project: Path, name: str) -> None:
    (project / name).write_bytes(b"no database " * 1000)
    code, _, fault = doctor(project, "fix=true")
    assert (code, name.rpartition("/")[2] in fault) == (4, True), fault
    assert (project / name).read_bytes() == b"no database " * 1000


def test_a_server_that_is_away_is_exit_4(project: Path) -> None:
    code, _, fault = doctor(project, "tracking.uri=http://127.0.0.1:9")
    assert (code, fault.startswith("error: tracking.uri: http://127.0.0.1:9: ")) == (4, True)
