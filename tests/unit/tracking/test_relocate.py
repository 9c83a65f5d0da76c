"""A moved project's artifacts: what is misplaced, what is rewritten, and what is never touched."""

import sqlite3
from pathlib import Path

import pytest

from mlpsweep.errors import StorageError
from mlpsweep.tracking.relocate import COLUMNS, is_misplaced, location_fault, relocate

OLD, SCHEMA = "/old/place", "dc11669786a5"
TABLES = """
create table alembic_version (version_num varchar(32));
create table experiments (experiment_id integer, artifact_location varchar);
create table runs (experiment_id integer, artifact_uri varchar);
create table logged_models (experiment_id integer, artifact_location varchar);
create table model_versions (source varchar, storage_location varchar);
"""


def make_store(root: Path, location: str, schema: str = SCHEMA) -> Path:
    """A store with the columns in question: one experiment of ours, one of somebody else's with a longer name."""
    file = root / "mlflow.db"
    with sqlite3.connect(file) as store:
        store.executescript(TABLES)
        store.execute("insert into alembic_version values (?)", (schema,))
        for number, place in ((1, location), (2, f"{location}-2")):
            store.execute("insert into experiments values (?, ?)", (number, place))
            store.execute("insert into runs values (?, ?)", (number, f"{place}/run/artifacts"))
            store.execute("insert into logged_models values (?, ?)", (number, f"{place}/models/m/artifacts"))
            store.execute("insert into model_versions values (?, ?)", ("models:/m", f"{place}/models/m/artifacts"))
        store.execute("insert into model_versions values (?, ?)", (f"{location}/run/artifacts/model", None))
    store.close()
    return file


def paths(file: Path) -> list[str | None]:
    with sqlite3.connect(file) as store:
        found = [row[0] for table, name, _ in COLUMNS for row in store.execute(f"select {name} from {table}")]
    store.close()
    return found


def uri(file: Path) -> str:
    return f"sqlite:///{file}"


@pytest.mark.parametrize("scheme", ["", "file://"], ids=["path", "address"])
def test_every_path_of_the_experiment_is_repointed_and_no_other(tmp_path: Path, scheme: str) -> None:
    location = f"{scheme}{OLD}/mlruns/digits"
    file = make_store(tmp_path, location)
    before = paths(file)
    copy = relocate(uri(file), {"1": location}, tmp_path)
    new = f"{scheme}{tmp_path}/mlruns/digits"
    wanted = [
        path if path is None or path.startswith(f"{location}-2") else path.replace(location, new) for path in before
    ]
    assert paths(file) == wanted
    assert len([path for path in wanted if path and path.startswith(new)]) == 5
    assert (copy.name, paths(copy), copy.stat().st_mode & 0o777) == ("mlflow.db.before-move", before, 0o600)


def test_each_time_there_is_a_copy_of_its_own(tmp_path: Path) -> None:
    file = make_store(tmp_path, f"{OLD}/mlruns/digits")
    names = [relocate(uri(file), {}, tmp_path).name for _ in range(3)]
    assert names == ["mlflow.db.before-move", "mlflow.db.before-move-2", "mlflow.db.before-move-3"]


@pytest.mark.parametrize("schema", ["000000000000", ""], ids=["another", "none"])
def test_a_schema_that_was_not_looked_at_is_refused_and_left(tmp_path: Path, schema: str) -> None:
    location = f"{OLD}/mlruns/digits"
    file = make_store(tmp_path, location, schema)
    before = file.read_bytes()
    with pytest.raises(StorageError, match="MLflow's schema is .*; expected dc11669786a5"):
        relocate(uri(file), {"1": location}, tmp_path)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_failure_in_mid_way_changes_nothing(tmp_path: Path) -> None:
    location = f"{OLD}/mlruns/digits"
    file = make_store(tmp_path, location)
    with sqlite3.connect(file) as store:
        store.execute("drop table model_versions")
    store.close()
    with pytest.raises(StorageError, match="no such table: model_versions"):
        relocate(uri(file), {"1": location}, tmp_path)
    with sqlite3.connect(file) as store:
        assert store.execute("select artifact_location from experiments").fetchone() == (location,)
    store.close()


@pytest.mark.parametrize("address", ["http://127.0.0.1:5000", "postgresql://h/x"])
def test_a_server_is_never_touched(tmp_path: Path, address: str) -> None:
    assert not is_misplaced(address, f"{OLD}/mlruns/digits", tmp_path)
    with pytest.raises(StorageError, match="a server; expected a SQLite file"):
        relocate(address, {"1": f"{OLD}/mlruns/digits"}, tmp_path)


@pytest.mark.parametrize(
    ("location", "is_found"),
    [
        (f"{OLD}/mlruns/digits", True),
        (f"file://{OLD}/mlruns/digits", True),
        ("{root}/mlruns/digits", False),
        ("{root}/mlruns/../mlruns/digits", False),
        ("s3://bucket/mlruns/digits", False),
        ("mlflow-artifacts:/1", False),
        ("/big/disk/artifacts", False),
        ("", False),
    ],
    ids=["moved", "moved, as an address", "here", "here in other words", "cloud", "server", "another disk", "none"],
)
def test_only_a_place_that_this_project_chose_is_misplaced(tmp_path: Path, location: str, is_found: bool) -> None:
    place = location.format(root=tmp_path)
    assert is_misplaced(uri(tmp_path / "mlflow.db"), place, tmp_path) is is_found


def test_a_store_shared_by_projects_is_left_while_the_other_one_is_there(tmp_path: Path) -> None:
    shared, here, there = tmp_path / "shared.db", tmp_path / "here", tmp_path / "there"
    there.mkdir()
    assert not is_misplaced(uri(shared), f"{there}/mlruns/digits", here)
    there.rmdir()
    assert is_misplaced(uri(shared), f"{there}/mlruns/digits", here)


def test_a_start_in_a_moved_project_is_told_the_way_out(tmp_path: Path) -> None:
    fault = location_fault(uri(tmp_path / "mlflow.db"), "digits", f"{OLD}/mlruns/digits", tmp_path)
    assert fault is not None
    assert fault.startswith("mlruns: the artifacts of experiment 'digits' are stored in /old/place/mlruns/digits; ")
    assert fault.endswith("python -m pipeline.doctor fix=true")
