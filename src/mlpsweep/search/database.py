"""The database of studies: addresses, engines, transactions, and patience with one that does not answer.

It knows no study.
"""

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import ColumnElement, Connection, Engine, create_engine, literal_column, text
from sqlalchemy.exc import DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from mlpsweep.errors import SettingsError, StorageError
from mlpsweep.files import locked, storage_errors
from mlpsweep.search.kinds import kind_of
from mlpsweep.search.leases import TABLES
from mlpsweep.search.settings import STORAGE, STORAGE_VARIABLE
from mlpsweep.sqlite import PREFIX, check_sqlite

STORE: Final = "mlruns"
SILENT: Final = "25P03"
"""What a server says to whoever was silent inside a transaction for too long; it may try again."""
PAUSE_S: Final = 0.2
"""Seconds between two tries."""
T = TypeVar("T")


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
        statements = kind_of(self.url).alone
        with locked(self.lock):
            connection = self.patiently(lambda: self._saying(statements)) if statements else None
            try:
                yield
            finally:
                if connection is not None:
                    with contextlib.suppress(SQLAlchemyError):  # a server that is gone keeps nobody out
                        connection.close()

    def _saying(self, statements: tuple[str, ...]) -> Connection:
        """Return a connection inside a transaction that has said ``statements``."""
        connection = self.engine.connect()
        try:
            for statement in statements:
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
        return str(state)[:2] in {"08", "40", "53", "57"} or state == SILENT
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
            whole, arguments = kind_of(url).url(url), kind_of(url).engine_arguments(url, patience_s)
            engine = create_engine(whole, **arguments)

            def opened() -> RDBStorage:
                storage = RDBStorage(whole.render_as_string(hide_password=False), engine_kwargs=arguments)
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


def _starts(url: str, error: DBAPIError) -> bool:
    return passes(url, error) or "already exists" in str(error.orig)


def may_hold_studies(url: str) -> bool:
    """Return whether a study may be there, without making one."""
    file = file_of(url)
    return file is None or file.exists()
