"""The database: where it is, what is refused, what is waited for; what is in it is the ledger's."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import OperationalError, PendingRollbackError

from mlpsweep.errors import SettingsError, StorageError
from mlpsweep.search.database import address, open_database, passes, studies_folder
from tests.search_lab import new_study, search_settings


class Refused(Exception):
    """What a driver raises; psycopg's have a SQLSTATE."""

    sqlstate: str | None = None


def refusal(text: str, sqlstate: str | None = None) -> OperationalError:
    error = Refused(text)
    error.sqlstate = sqlstate
    return OperationalError("SELECT 1", {}, error)


@pytest.mark.parametrize(
    ("text", "sqlstate", "is_passing"),
    [
        ("connection refused", None, True),
        ("FATAL: the database system is starting up", None, True),
        ('FATAL: database "x" does not exist', None, False),
        ('FATAL: password authentication failed for user "x"', None, False),
        ("terminating connection due to administrator command", "57P01", True),
        ("deadlock detected", "40P01", True),
        ("permission denied for table trials", "42501", False),
    ],
)
def test_passing_faults_of_a_server_are_told_from_lasting_ones(
    text: str, sqlstate: str | None, is_passing: bool
) -> None:
    assert passes("postgresql://host/x", refusal(text, sqlstate)) == is_passing


@pytest.mark.parametrize(
    ("text", "is_passing"),
    [("database is locked", True), ("database or disk is full", False), ("disk I/O error", False)],
)
def test_passing_faults_of_a_file_are_told_from_lasting_ones(text: str, is_passing: bool) -> None:
    assert passes("sqlite:///x.db", refusal(text)) == is_passing


def test_a_fault_that_passes_is_waited_for(tmp_path: Path) -> None:
    database, faults = new_study(tmp_path).ledger.database, [refusal("database is locked")] * 2

    def once() -> str:
        if faults:
            raise faults.pop()
        return "done"

    assert database.patiently(once) == "done"


def test_a_fault_that_lasts_is_told_at_once(tmp_path: Path) -> None:
    database, calls = new_study(tmp_path).ledger.database, list[int]()

    def full() -> None:
        calls.append(1)
        raise refusal("database or disk is full")

    with pytest.raises(StorageError, match="optuna.db: database or disk is full; expected a study database that can"):
        database.patiently(full)
    assert calls == [1]


def test_an_address_is_set_or_the_environments_or_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path("here")
    monkeypatch.delenv("MLPSWEEP_STORAGE", raising=False)
    assert address(None, root) == "sqlite:///here/mlruns/optuna.db"
    monkeypatch.setenv("MLPSWEEP_STORAGE", "postgresql://me@host/studies")
    assert address(None, root) == "postgresql://me@host/studies"
    assert address("sqlite:///mine.db", root) == "sqlite:///mine.db"


@pytest.mark.parametrize("value", ["mysql://host/x", "postgresql://host", "postgresql:///x y"])
def test_the_environments_address_is_checked(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MLPSWEEP_STORAGE", value)
    with pytest.raises(
        SettingsError, match="MLPSWEEP_STORAGE: .* does not fit; expected an address sqlite:///<file> or"
    ):
        address(None, Path())


@pytest.mark.parametrize("value", ["postgresql://me:geheim@host/x", "postgresql://host/x?password=geheim"])
def test_a_password_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MLPSWEEP_STORAGE", value)
    for ask in (lambda: search_settings(storage=value), lambda: address(None, Path())):
        with pytest.raises(
            SettingsError, match=r"password.*expected none. Put it in PGPASSWORD or in ~/.pgpass"
        ) as error:
            ask()
        assert "geheim" not in str(error.value)


def test_the_folders_lie_beside_a_file_and_a_servers_in_the_project() -> None:
    assert studies_folder("sqlite:///there/x.db", Path("here")) == Path("there/studies")
    assert studies_folder("postgresql://host/x", Path("here")) == Path("here/mlruns/studies")
    assert studies_folder("postgresql://host/x", Path("here"), "shared") == Path("here/shared")
    assert studies_folder("sqlite:///there/x.db", Path("here"), "/mnt/shared") == Path("/mnt/shared")


def test_a_server_that_does_not_answer_is_tried_for_a_while(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="pip install 'mlpsweep[postgres]'")
    start = time.monotonic()
    with pytest.raises(StorageError, match=r"postgresql://127.0.0.1:9/none: .*refused.*; expected a database server"):
        open_database("postgresql://127.0.0.1:9/none", tmp_path / "lock", 1.0)
    assert 1.0 < time.monotonic() - start < 10


def test_a_fault_that_optuna_ran_into_again_is_tried_again(tmp_path: Path) -> None:
    database, calls = new_study(tmp_path).ledger.database, list[int]()

    def asked() -> int:
        calls.append(1)
        if len(calls) == 1:
            try:
                raise refusal("terminating connection due to administrator command", "57P01")
            except OperationalError:
                raise_twice()
        return len(calls)

    def raise_twice() -> None:
        try:
            raise PendingRollbackError("Can't reconnect until invalid transaction is rolled back.")
        except PendingRollbackError as error:
            raise StorageInternalError("An exception is raised during the commit.") from error

    assert database.patiently(asked) == 2


@pytest.mark.parametrize("asleep_in", [1, 2])
def test_who_slept_through_the_patience_tries_again(tmp_path: Path, asleep_in: int) -> None:
    database, calls = new_study(tmp_path, lease_s=0.7).ledger.database, list[int]()

    def asked() -> int:
        calls.append(1)
        if len(calls) == asleep_in:
            time.sleep(1.0)
        if len(calls) <= 2:
            raise refusal("database is locked")
        return len(calls)

    assert database.patiently(asked) == 3


def test_a_driver_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(SettingsError, match=r"search.storage: .* needs a package .*pip install 'mlpsweep\[postgres\]'"):
        open_database("postgresql://host/none", tmp_path / "lock", 1.0)


def test_the_journal_is_the_rollback_kind(tmp_path: Path) -> None:
    new_study(tmp_path)
    with sqlite3.connect(tmp_path / "mlruns/optuna.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"not a database at all" * 100, "file is not a database"),
        (lambda data: data[: len(data) // 2], "malformed|damaged"),
        (lambda data: data[:4096] + bytes(8192) + data[12288:], "malformed|damaged"),
    ],
    ids=["text", "half", "zeroed pages"],
)
def test_a_damaged_database_is_refused_and_left_as_it_is(
    tmp_path: Path, damage: Callable[[bytes], bytes], message: str
) -> None:
    new_study(tmp_path)
    file = tmp_path / "mlruns/optuna.db"
    file.write_bytes(damage(file.read_bytes()))
    before = file.read_bytes()
    with pytest.raises(StorageError, match=rf"optuna.db: .*({message})"):
        new_study(tmp_path)
    assert file.read_bytes() == before


def test_a_database_in_a_place_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StorageError, match="folder.db: unable to open database file"):
        open_database(f"sqlite:///{tmp_path / 'folder.db'}", tmp_path / ".lock", 1.0)


def test_another_optunas_database_is_refused(tmp_path: Path) -> None:
    new_study(tmp_path)
    with sqlite3.connect(tmp_path / "mlruns/optuna.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    with pytest.raises(StorageError, match="made by another Optuna"):
        new_study(tmp_path)
