"""How a job ends: the one place where exceptions become messages and exit codes."""

import errno
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from mlpsweep.errors import DivergenceError, MlpsweepError, StorageError, hide_passwords, readable, reason_of
from mlpsweep.files import FOLDER_WANTED
from pipeline.process import Terminated
from pipeline.standing import PACKAGES, no_environment

BUG, LOST, INTERRUPTED, TERMINATED = 1, 5, 130, 143
# Exit codes, worst first: a multirun ends with the worst one of its jobs.
SEVERITY = (BUG, INTERRUPTED, TERMINATED, 4, 3, 2, LOST, 0)
ERROR = "error: "
# What asks for tracebacks; the second one speaks for the user while Hydra is made to raise instead of to print.
FULL_ERROR, ASKED = "HYDRA_FULL_ERROR", "MLPSWEEP_FULL_ERROR"
# Errors of the environment, such as a full disk or missing permissions: exit code 4, not bugs.
NO_ROOM = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """How one job ended: its exit code, one message per fault, and a word for a table."""

    exit_code: int
    messages: tuple[str, ...] = ()
    word: str = "done"


KILLED = Outcome(LOST, ("the job ended without a word: killed, perhaps out of memory. Run it alone to see.",), "killed")
NOT_BEGUN = Outcome(
    LOST, ("the job never began: the sweep ended before its turn. Run it alone, or the sweep again.",), "not begun"
)


def guarded(work: Callable[[], object], where: str = "") -> Outcome:
    """Run ``work`` and return how it ended.

    Parameters
    ----------
    work : callable
    where : str
        What the messages on stderr begin with, such as the job of a sweep.
    """
    try:
        work()
    except MlpsweepError as error:
        return _fault(error, where)
    except OSError as error:
        return _fault(_storage_error(error), where) if error.errno in NO_ROOM else _bug(error, where)
    except KeyboardInterrupt as error:
        return Outcome(TERMINATED if isinstance(error, Terminated) else INTERRUPTED, ("interrupted",), "interrupted")
    except ModuleNotFoundError as error:
        return _fault(no_environment(error), where) if error.name in PACKAGES else _bug(error, where)
    except Exception as error:  # noqa: BLE001 - a bug
        return _bug(error, where)
    return Outcome(0)


def _fault(error: MlpsweepError, where: str) -> Outcome:
    messages = tuple(readable(hide_passwords(message)) for message in error.messages)
    sys.stderr.write("".join(f"{ERROR}{hide_passwords(where)}{message}\n" for message in messages))
    if os.environ.get(ASKED, os.environ.get(FULL_ERROR)) == "1":
        traceback.print_exception(error)
    return Outcome(error.exit_code, messages, "diverged" if isinstance(error, DivergenceError) else "failed")


def _storage_error(error: OSError) -> StorageError:
    translated = StorageError(f"{error.filename or 'storage'}: {reason_of(error)}; expected {FOLDER_WANTED}.")
    translated.__cause__ = error
    return translated


def _bug(error: Exception, where: str) -> Outcome:
    sys.stderr.write(hide_passwords(where) and f"{hide_passwords(where)}\n")
    sys.stderr.write(hide_passwords(traceback.format_exc()))
    return Outcome(BUG, (hide_passwords(f"{type(error).__name__}: {error}"),), "failed")
