"""What is kept of a training until it ends: a checkpoint per epoch, and what a person is told of it."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from mlpsweep.errors import DivergenceError
from mlpsweep.files import lock
from pipeline.inputs import say
from pipeline.standing import shown

if TYPE_CHECKING:
    from mlpsweep.tracking.run import Run
    from mlpsweep.tracking.store import Store
    from mlpsweep.training.checkpoint import Checkpoint, CheckpointStore

# Not below an output folder: DVC removes those before it runs a stage again.
FOLDER: Final = Path("outputs", ".checkpoints")
MAX_SHARE: Final = 0.05
"""Largest share of a training's time that goes into checkpoints; epochs of milliseconds are not all kept."""


@dataclass
class Kept:
    """The checkpoints of one training, held by this process.

    Parameters
    ----------
    run_key : str
    n_epochs : int
    checkpoints : CheckpointStore or None
        None while another process does the same training, which has the same bits.
    resumes : bool
        Whether the training goes on from the newest one.
    """

    run_key: str
    n_epochs: int
    checkpoints: "CheckpointStore | None"
    resumes: bool

    def newest(self) -> "Checkpoint | None":
        """Return the newest whole checkpoint, also where the training starts anew."""
        return None if self.checkpoints is None else replace(self.checkpoints, starts_anew=False).load(self.run_key)[0]

    def earlier_run(self, store: "Store") -> "Run | None":
        """Return the run of the training that goes on, set RUNNING again; None if there is none to go on with."""
        found = self.newest() if self.resumes else None
        run = store.open_run(found.run_id) if found and found.run_id else None
        if run is not None:
            run.reopen()
        return run

    def into(self, run: "Run") -> "CheckpointStore | None":
        """Return where the run's training keeps its checkpoints."""
        return self.checkpoints and replace(self.checkpoints, run_id=run.run_id)

    def announce(self) -> None:
        """Say on stderr what an interrupted training has left, or that it left nothing."""
        found = self.newest()
        if self.checkpoints is None and self.resumes:
            say("note: resume=true: another process does this training now; it is done here from the start, too.")
        elif found is None and self.resumes:
            say("note: resume=true: nothing is kept of a training with these settings; it starts from the beginning.")
        elif found and self.resumes:
            say(f"goes on after epoch {found.epoch} of {self.n_epochs}")
        elif found:
            say(
                f"note: an interrupted training of these settings is kept up to epoch {found.epoch} of "
                f"{self.n_epochs}; this one starts from the beginning and will replace it. "
                "resume=true goes on from there."
            )

    def account(self, error: BaseException) -> None:
        """Say on stderr what is kept of a training that was broken off."""
        found = self.newest()
        if found:
            say(
                f"{shown(FOLDER)} keeps it up to epoch {found.epoch} of {self.n_epochs}: "
                "the same command with resume=true goes on from there."
            )
        elif isinstance(error, KeyboardInterrupt):
            say("Nothing is kept of it: no epoch had ended.")


@contextlib.contextmanager
def kept(run_key: str, n_epochs: int, *, resumes: bool) -> Iterator[Kept]:
    """Yield what is kept of a training; it is removed when the block ends well or the loss became infinite."""
    from mlpsweep.training.checkpoint import CheckpointStore

    folder, file = FOLDER / run_key, FOLDER / f"{run_key}.lock"
    with _opened(file) as stream:
        is_mine = lock(stream, wait=False)
        checkpoints = CheckpointStore(folder, max_share=MAX_SHARE, starts_anew=not resumes) if is_mine else None
        mine = Kept(run_key, n_epochs, checkpoints, resumes)
        try:
            yield mine
        except DivergenceError:
            _remove(checkpoints, file)
            raise
        except BaseException as error:
            mine.account(error)
            raise
        _remove(checkpoints, file)


def _opened(file: Path) -> IO[str]:
    """Open a file whose folder another process may be removing, because its own training ended."""
    for _ in range(100):
        with contextlib.suppress(FileNotFoundError):
            file.parent.mkdir(parents=True, exist_ok=True)
            return file.open("a")
    return file.open("a")


def _remove(checkpoints: "CheckpointStore | None", file: Path) -> None:
    if checkpoints is not None:
        checkpoints.clear()
        file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            os.removedirs(FOLDER)
