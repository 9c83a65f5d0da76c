"""The checkpoints of a training, written after every epoch; the newest undamaged one counts."""

import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlpsweep.errors import DataError, DataFormatError
from mlpsweep.files import read_bytes, sweep, write_atomic
from mlpsweep.training.arrays import pack_arrays, unpack_arrays

MAGIC: Final = b"mlpsweep checkpoint 1\n"
KEPT: Final = 2


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training after an epoch, from which it goes on as if it had never stopped.

    Parameters
    ----------
    run_key : str
        Key of the training.
    epoch : int
        Number of finished epochs.
    values : dict
        JSON values: counters, generator states, history.
    arrays : dict of ndarray
        Parameters and the optimiser's state.
    run_id : str
        Id of the tracked run that has the epochs so far; empty if there is none.
    """

    run_key: str
    epoch: int
    values: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]]
    run_id: str = ""


@dataclass
class Pace:
    """When the next checkpoint may be written.

    Parameters
    ----------
    not_before : float
        Monotonic time, seconds.
    """

    not_before: float = 0.0


@dataclass(frozen=True)
class CheckpointStore:
    """Keeps the two newest checkpoints of one training in a folder of their own.

    Each file starts with the SHA-256 of its rest.

    Parameters
    ----------
    folder : Path
        The folder, created by the first checkpoint.
    run_id : str
        Id of the tracked run, to be written into each checkpoint.
    max_share : float
        Largest share of the time that writing may take, > 0 and <= 1; below 1, epochs that come too fast for it are
        passed over.
    starts_anew : bool
        Whether checkpoints of an earlier attempt are not loaded; the first new one replaces them.
    pace : Pace
        When the next one may be written.
    """

    folder: Path
    run_id: str = ""
    max_share: float = 1.0
    starts_anew: bool = False
    pace: Pace = field(default_factory=Pace, repr=False, compare=False)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, atomically, and remove all others but the one before.

        Raises
        ------
        OSError
            If the folder cannot be written; earlier checkpoints are then as they were.
        """
        began = time.monotonic()
        if began < self.pace.not_before:
            return
        about = {"run_key": checkpoint.run_key, "epoch": checkpoint.epoch, "values": checkpoint.values}
        about |= {"run_id": self.run_id} if self.run_id else {}
        text = json.dumps(about, sort_keys=True, allow_nan=False)
        payload = pack_arrays({"about": np.frombuffer(text.encode(), np.uint8), **checkpoint.arrays})
        digest = hashlib.sha256(payload).hexdigest().encode()
        newest = self.folder / f"epoch-{checkpoint.epoch:06d}.ckpt"
        write_atomic(newest, MAGIC + digest + b"\n" + payload)
        # Later epochs are of an attempt that was given up.
        so_far = [path for path in self._newest_first() if path.name <= newest.name][:KEPT]
        for path in set(self._newest_first()) - set(so_far):
            path.unlink(missing_ok=True)
        ended = time.monotonic()
        self.pace.not_before = ended + (ended - began) * (1.0 / self.max_share - 1.0)

    def load(self, run_key: str) -> tuple[Checkpoint | None, tuple[str, ...]]:
        """Return the newest whole checkpoint of a training.

        Parameters
        ----------
        run_key : str
            Key of the training; checkpoints with another key, as from another kind of machine, are passed over.

        Returns
        -------
        checkpoint : Checkpoint or None
            The checkpoint, or None if there is none to use.
        skipped : tuple of str
            A message for each newer file that was passed over.
        """
        skipped: list[str] = []
        if self.starts_anew:
            return None, ()
        for path in self._newest_first():
            try:
                checkpoint = _parse(path)
            except (DataError, OSError) as error:
                skipped.append(f"{path.name}: passed over, {error}")
                continue
            if checkpoint.run_key == run_key:
                return checkpoint, tuple(skipped)
            skipped.append(
                f"{path.name}: passed over, it belongs to run_key {checkpoint.run_key[:12]}, expected {run_key[:12]}; "
                "settings, data, sources or machine differ."
            )
        return None, tuple(skipped)

    def clear(self) -> None:
        """Remove every checkpoint, and the folder if nothing else is in it."""
        for path in self._newest_first():
            path.unlink(missing_ok=True)
        sweep(self.folder)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("epoch-*.ckpt"), reverse=True)


def _parse(path: Path) -> Checkpoint:
    content = read_bytes(path)
    head, payload = content[: len(MAGIC) + 65], content[len(MAGIC) + 65 :]
    digest = hashlib.sha256(payload).hexdigest()
    if head != MAGIC + digest.encode() + b"\n":
        raise DataFormatError(f"{path.name}: {len(content)} bytes whose SHA-256 is not the one inside; it is damaged.")
    arrays = unpack_arrays(payload, path.name)
    about = json.loads(arrays.pop("about").tobytes())
    return Checkpoint(about["run_key"], about["epoch"], about["values"], arrays, about.get("run_id", ""))
