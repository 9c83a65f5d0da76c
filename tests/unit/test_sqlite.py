"""Databases are for their owner only, from the first moment, whatever the umask; what is in them is told elsewhere."""

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest

from mlpsweep.search import database
from mlpsweep.sqlite import check_sqlite
from mlpsweep.tracking.settings import TrackingSettings
from mlpsweep.tracking.store import open_store


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def noting(wrapped: Any, file: Path, seen: list[int]) -> Any:
    """Note a database's permissions at the moment its library is called."""

    def call(*arguments: Any, **named: Any) -> Any:
        seen.append(mode(file))
        return wrapped(*arguments, **named)

    return call


def test_a_new_study_is_private_before_optuna_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, seen = tmp_path / "mlruns/optuna.db", []
    monkeypatch.setattr(database, "RDBStorage", noting(database.RDBStorage, file, seen))
    database.open_database(f"sqlite:///{file}", tmp_path / "lock", 1.0)
    assert file.stat().st_size > 0
    assert [*seen, mode(file)] == [0o600, 0o600]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning")
def test_a_new_store_is_private_before_mlflow_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, seen = tmp_path / "mlflow.db", []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mlflow, "MlflowClient", noting(mlflow.MlflowClient, file, seen))
    with open_store(TrackingSettings(experiment=None, uri=f"sqlite:///{file}"), "digits"):
        assert [*seen, mode(file)] == [0o600, 0o600]


def test_a_database_that_others_may_read_is_tightened_and_so_is_what_lies_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("create table one (two)")
    (tmp_path / "mlflow.db-wal").touch()
    assert mode(file) == 0o644
    check_sqlite(f"sqlite:///{file}")
    assert [mode(file), mode(tmp_path / "mlflow.db-wal")] == [0o600, 0o600]


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_what_sqlite_writes_beside_it_is_private(tmp_path: Path, journal: str) -> None:
    check_sqlite(f"sqlite:///{tmp_path / 'mlflow.db'}")
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        connection.execute(f"pragma journal_mode = {journal}")
        connection.execute("create table one (two)")
        connection.execute("begin immediate")
        connection.execute("insert into one values (3)")
        files = sorted(tmp_path.iterdir())
        assert len(files) > 1
        assert {mode(file) for file in files} == {0o600}


def test_where_no_file_can_be_made_the_library_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///nowhere/mlflow.db", "sqlite:///file:mlflow.db?uri=true", "http://127.0.0.1:1"):
        check_sqlite(url)
    assert list(tmp_path.iterdir()) == []
