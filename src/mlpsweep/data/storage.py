"""What a stage says when its own folder cannot be written; nothing about what is in the files."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from mlpsweep.errors import MlpsweepError, StorageError


@contextlib.contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Turn what the file system says while ``folder`` is written into an error with an exit code of its own.

    Raises
    ------
    StorageError
        If a file cannot be written, made or read: a full disk, a missing permission, a file where a folder should be.
    """
    try:
        yield
    except MlpsweepError:
        raise
    except OSError as error:
        raise StorageError(
            f"{error.filename or folder}: {error.strerror or error}; expected a folder that can be written, with room "
            "in it. Free some space or mend its permissions, then `dvc repro`."
        ) from error
