"""The database of studies: addresses, engines, transactions, and patience with one that does not answer.

It knows no study. SQLite and PostgreSQL are two rows of one table; all else is the same for both.
"""

import contextlib
import functools
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import URL, ColumnElement, Connection, Engine, create_engine, literal_column, make_url, text
from sqlalchemy.exc import DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from mlpsweep.errors import SettingsError, StorageError
from mlpsweep.files import locked, storage_errors
from mlpsweep.search.leases import TABLES
from mlpsweep.search.settings import STORAGE, STORAGE_VARIABLE
from mlpsweep.sqlite import PATIENCE_S, PREFIX, check_sqlite

STORE: Final = "mlruns"
PAUSE_S: Final = 0.2
"""Seconds between two tries."""
T = TypeVar("T")


@dataclass(frozen=True)
class Kind:
    """What differs between kinds of database.

    Parameters
    ----------
    driver : str
        SQLAlchemy's name of dialect and driver.
    arguments : mapping
        Of every engine: how many connections there are, and how each is opened.
    now : str
        Expression for the time, in seconds. The database's clock is the only one that all workers share.
    passing : pattern
        Matches the texts of faults that pass.
    alone : str or None
        Statement after which a transaction is the only one that said it; None where a lock file on one machine will do.
    remedy : str
        What a person does about a fault that stays.
    """

    driver: str
    arguments: Mapping[str, Any]
    now: str
    passing: re.Pattern[str]
    alone: str | None
    remedy: str


KINDS: Final[Mapping[str, Kind]] = {
    # Connections are kept from one transaction to the next, with patience for other writers. The journal is SQLite's
    # default, the rollback kind: its write-ahead log can corrupt a database in versions before 3.51.3.
    "sqlite": Kind(
        "sqlite",
        {"poolclass": QueuePool, "connect_args": {"timeout": PATIENCE_S}},
        "(julianday('now') - 2440587.5) * 86400.0",
        re.compile(r"locked|busy"),
        None,
        "a study database that can be read and written. Free space or restore the file",
    ),
    # CURRENT_TIMESTAMP would stand still inside a transaction. A server that vanished is noticed after a while.
    "postgresql": Kind(
        "postgresql+psycopg",
        {
            "poolclass": QueuePool,
            "pool_size": 2,
            "pool_pre_ping": True,
            "connect_args": {"connect_timeout": 10, "tcp_user_timeout": 30_000, "keepalives_idle": 10},
        },
        "extract(epoch from clock_timestamp())::double precision",
        # What a server refuses for good it says in words; psycopg has no SQLSTATE for a refused connection.
        re.compile(r"^(?!.*(does not exist|authentication failed|no password|pg_hba|permission denied))", re.DOTALL),
        "SELECT pg_advisory_xact_lock(1301317)",
        "a database server that answers and lets you in. Start it, or mend the address",
    ),
}


def kind_of(url: str) -> Kind:
    """Return what is special about the database at an address."""
    return KINDS[url.partition(":")[0]]


def address(storage: str | None, root: Path) -> str:
    """Return the address of a study's database: as set, else of the environment, else ``mlruns/optuna.db``.

    Raises
    ------
    SettingsError
        If the environment names none that can be used.
    """
    wanted = storage or os.environ.get(STORAGE_VARIABLE)
    if not wanted:
        return f"{PREFIX}{root / STORE / 'optuna.db'}"
    try:
        return str(STORAGE.parse(wanted))
    except SettingsError:
        raise
    except ValueError:
        raise SettingsError(f"{STORAGE_VARIABLE}: {wanted!r} does not fit; expected {STORAGE.expected}") from None


def file_of(url: str) -> Path | None:
    """Return the file of a database, or None if a server has it."""
    return Path(url.removeprefix(PREFIX)) if url.startswith(PREFIX) else None


def studies_folder(url: str, root: Path, wanted: str | None = None) -> Path:
    """Return where the folders of a database's studies lie: as wanted, else beside its file, or in ``mlruns/``."""
    if wanted:
        return root / wanted
    file = file_of(url)
    return (file.parent if file else root / STORE) / "studies"


def database_errors(url: str) -> contextlib.AbstractContextManager[None]:
    """Wrap a use of the database at an address, so that its exceptions become StorageError."""
    # The last three are what Optuna says of values that it cannot have written.
    kinds = (SQLAlchemyError, StorageInternalError, ValueError, LookupError, TypeError)
    return storage_errors(
        url, f"{kind_of(url).remedy}, then start the same command again: it goes on where it was", kinds
    )


@dataclass(frozen=True)
class Database:
    """An open database.

    Parameters
    ----------
    url : str
        Its address.
    patience_s : float
        Seconds for which it is tried again while it does not answer.
    engine : Engine
        For tables of ours.
    storage : RDBStorage
        For Optuna's, through what it offers publicly.
    lock : Path
        File that keeps the processes of this machine apart.
    """

    url: str
    patience_s: float
    engine: Engine
    storage: RDBStorage
    lock: Path

    @functools.cached_property
    def now(self) -> ColumnElement[float]:
        """The database's time, seconds."""
        return literal_column(kind_of(self.url).now)

    def run(self, work: Callable[[Connection], T]) -> T:
        """Return what ``work`` returns inside one transaction; it may be called again after a fault that passed.

        Raises
        ------
        StorageError
            If the database cannot be used, or did not answer for ``patience_s``.
        """

        def whole() -> T:
            with self.engine.begin() as connection:
                return work(connection)

        return self.patiently(whole)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep all others out that make a study or its run, on this machine by a file, elsewhere by the server.

        Raises
        ------
        StorageError
            As :meth:`run`, before the block begins.
        """
        statement = kind_of(self.url).alone
        with locked(self.lock):
            connection = self.patiently(lambda: self._saying(statement)) if statement else None
            try:
                yield
            finally:
                if connection is not None:
                    with contextlib.suppress(SQLAlchemyError):  # a server that is gone keeps nobody out
                        connection.close()

    def _saying(self, statement: str) -> Connection:
        """Return a connection inside a transaction that has said ``statement``."""
        connection = self.engine.connect()
        try:
            connection.execute(text(statement))
        except BaseException:
            connection.close()
            raise
        return connection

    def patiently(self, call: Callable[[], T]) -> T:
        """Return what ``call`` returns, tried again while its fault is one that passes; raises as :meth:`run`."""
        with database_errors(self.url):
            return _patiently(call, self.patience_s, functools.partial(passes, self.url))


def _patiently(call: Callable[[], T], patience_s: float, may_pass: Callable[[DBAPIError], bool]) -> T:
    # Whoever slept or was cut off for long during one try has not tried for long: each counts for an eighth at most.
    left_s, most_s = patience_s, max(2 * PAUSE_S, patience_s / 8)
    while True:
        began = time.monotonic()
        try:
            return call()
        except (DBAPIError, StorageInternalError) as error:
            cause = _fault_of(error)
            if cause is None or not may_pass(cause) or left_s <= 0:
                raise
        time.sleep(PAUSE_S)
        left_s -= min(time.monotonic() - began, most_s)


def _fault_of(error: BaseException) -> DBAPIError | None:
    """Return the database's fault behind an error: Optuna asks again in the broken transaction, and tells of that."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DBAPIError):
        cause = cause.__cause__ or cause.__context__
    return cause


def passes(url: str, error: DBAPIError) -> bool:
    """Return whether a fault may be gone a moment later: a lock, a restart, a server that is not there yet."""
    if isinstance(error, IntegrityError):  # others write the same; what they wrote is seen the next time
        return True
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:  # a server's word; class 08 is connections, 40 conflicts, 53 resources, 57 its operator
        return str(state)[:2] in {"08", "40", "53", "57"}
    named = type(error).__name__ in {"OperationalError", "InterfaceError"}
    return (named or error.connection_invalidated) and bool(kind_of(url).passing.search(str(error.orig)))


def open_database(url: str, lock: Path, patience_s: float) -> Database:
    """Return the database at ``url``, its tables made if need be.

    On one machine one process at a time does that, held by ``lock``; others elsewhere come too, so it is tried again.

    Raises
    ------
    SettingsError
        If the driver is not installed.
    StorageError
        If the database cannot be opened, is damaged, or is of another version. A file is left as it is.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # a fault that passes is no news
    file = file_of(url)
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with locked(lock), database_errors(url):
            check_sqlite(url)
            engine = create_engine(_dialect(url), **kind_of(url).arguments)

            def opened() -> RDBStorage:
                whole = _dialect(url).render_as_string(hide_password=False)
                storage = RDBStorage(whole, engine_kwargs=dict(kind_of(url).arguments))
                TABLES.create_all(engine)
                return storage

            # Where others make the same tables at once, all but one fail, each in its own way.
            storage = _patiently(opened, patience_s, lambda error: _starts(url, error))
            return Database(url, patience_s, engine, storage, lock)
    except RuntimeError as error:
        raise StorageError(
            f"{url}: made by another Optuna ({error}). Move the file away, or use that version"
        ) from error
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise SettingsError(
            f"search.storage: {url} needs a package that is not here ({error}); "
            "expected it. pip install 'mlpsweep[postgres]'"
        ) from error


def _dialect(url: str) -> URL:
    return make_url(url).set(drivername=kind_of(url).driver)


def _starts(url: str, error: DBAPIError) -> bool:
    return passes(url, error) or "already exists" in str(error.orig)


def may_hold_studies(url: str) -> bool:
    """Return whether a study may be there, without making one."""
    file = file_of(url)
    return file is None or file.exists()
