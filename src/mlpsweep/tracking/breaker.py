"""How a failing store is dealt with: a failed write is skipped, a failed read is an error."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mlpsweep.errors import reason_of
from mlpsweep.files import storage_errors

PATIENCE = 10.0
"""Back-off: after a failure that took t seconds, wait PATIENCE * t seconds before the next attempt."""
LOCKED, N_TRIES = "database is locked", 3
"""SQLite still locked after MLflow's 20 s time-out means busy, not missing: try N_TRIES times before giving up."""


@dataclass
class CircuitBreaker:
    """Sends records to the store and pauses after a failure, so that a failing store stops no training.

    The output folder is the record and the store its copy. A failed write is therefore reported once and dropped, and
    the next attempt is made after a pause.

    Parameters
    ----------
    where : str
        The store's address, without a password.
    is_told : bool
        Whether the user was told that records are being lost.
    resumes_at : float
        End of the pause, in seconds of ``time.monotonic``.
    """

    where: str
    is_told: bool = False
    resumes_at: float = 0.0

    def write(self, send: Callable[[], object], *, is_end: bool = False) -> bool:
        """Call ``send``, which writes to the store, unless a pause is on; return whether the write succeeded.

        The end of a run (``is_end``) is sent during a pause, too: without its end the run would stay RUNNING for ever.
        """
        started = time.monotonic()
        if started < self.resumes_at and not is_end:
            return False
        try:
            _send_patiently(send)
        except _failures() as error:
            ended = time.monotonic()
            self.resumes_at = ended + PATIENCE * (ended - started)
            self.tell(error)
            return False
        return True

    def tell(self, error: BaseException) -> None:
        """Say on stderr, once, that records are being lost."""
        if not self.is_told:
            self.is_told = True
            sys.stderr.write(
                f"warning: tracking.uri: {self.where} does not take records any more ({reason_of(error)}). Nothing "
                "stops for it: the output folder is the record, of which MLflow may now lack a part.\n"
            )


def _send_patiently(send: Callable[[], object]) -> None:
    for _ in range(N_TRIES - 1):
        try:
            send()
        except _failures() as error:
            if LOCKED not in str(error):
                raise
        else:
            return
    send()


@contextmanager
def answered(where: str) -> Iterator[None]:
    """Turn a failure of the store inside the block into a StorageError.

    Parameters
    ----------
    where : str
        The store's address, without a password.

    Raises
    ------
    StorageError
        If the store does not answer.
    """
    expected = (
        "a store of MLflow that can be used. Start its server, or leave out tracking.uri and MLFLOW_TRACKING_URI: "
        "mlflow.db here is used then."
    )
    with storage_errors(f"tracking.uri: {where}", expected, _failures()):
        yield


def _failures() -> tuple[type[Exception], ...]:
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    # ImportError: the driver of a database may not be installed.
    return MlflowException, SQLAlchemyError, OSError, ImportError
