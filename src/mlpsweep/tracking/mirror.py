"""What a failing store does: a write to it is passed over, a question that needs its answer is an error."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mlpsweep.errors import reason_of
from mlpsweep.files import storage_errors

PATIENCE = 10.0
"""The store is left alone so many times as long as its failure took: waiting for it costs a tenth of the time."""
LOCKED, N_TRIES = "database is locked", 3
"""A file that other processes kept for MLflow's 20 s is in use, not away: so many times it is waited for."""


@dataclass
class Mirror:
    """The way of a process's records to the store; its failures stop no training.

    The output folder is the record and the store its mirror. So what cannot be written is told once and passed over,
    nothing is kept back, and after a while the store is tried again.

    Parameters
    ----------
    where : str
        The store's address, fit to be shown.
    """

    where: str
    is_told: bool = False
    resumes_at: float = 0.0

    def write(self, send: Callable[[], object], *, is_end: bool = False) -> bool:
        """Call ``send``, which writes to the store, unless the store is being left alone; return whether it is done.

        A run's end is tried in any case: without it the run would be RUNNING for ever.
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
    """Turn a failure of the store in the block into ours.

    Raises
    ------
    StorageError
        If the store cannot be asked.
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

    # A database's driver may not be installed.
    return MlflowException, SQLAlchemyError, OSError, ImportError
