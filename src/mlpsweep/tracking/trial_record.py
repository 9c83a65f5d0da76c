"""What the store shall know of a trial that ended, kept in the trial's folder: the run is a copy of it."""

import contextlib
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from mlpsweep.errors import DataError, DataFormatError
from mlpsweep.files import read_json, write_json
from mlpsweep.tracking.run import REASON
from mlpsweep.training.folder import TrainingFolder

if TYPE_CHECKING:
    from mlflow import MlflowClient

NAME: Final = "run.json"
REMEDY: Final = "Delete it: the same search goes on without it."


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial's run.

    Parameters
    ----------
    mine : mapping of str to str
        Tags by which the run is found.
    name : str
        Its name.
    tags, params : mapping of str to str
        All others.
    made_with : mapping of str to str
        Versions, machine and commit.
    metrics : mapping of str to float
        Single figures; epochs and batches are in the folder's tables.
    status : str
        MLflow's word for how it ended; empty while it has not.
    reason : str or None
        Why it is not FINISHED.
    """

    mine: Mapping[str, str]
    name: str
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    made_with: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    status: str = ""
    reason: str | None = None

    def save(self, folder: Path) -> None:
        """Write the record of an ended trial into its folder.

        Raises
        ------
        OSError
            If the folder cannot be written.
        """
        write_json(folder / NAME, dataclasses.asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the record of a trial's folder.

        Raises
        ------
        DataError
            If there is none.
        DataFormatError
            If it is not what :meth:`save` writes.
        """
        values = read_json(folder / NAME, REMEDY)
        try:
            known = {item.name: values[item.name] for item in dataclasses.fields(cls) if item.name in values}
            record = cls(**known)
            for name in ("mine", "tags", "params", "made_with", "metrics"):
                if not isinstance(getattr(record, name), dict):
                    raise ValueError(f"{name} is {getattr(record, name)!r}")
            if not all(isinstance(value, int | float) for value in record.metrics.values()):
                raise ValueError(f"metrics is {record.metrics!r}")
        except (KeyError, TypeError, ValueError) as error:
            raise DataFormatError(f"{folder / NAME}: not the record of a trial ({error!r}). {REMEDY}") from error
        return record

    def create(self, client: "MlflowClient", experiment_id: str, at_ms: int, tags: Mapping[str, str]) -> str:
        """Create the run with all but its points, files and end, and return its id; ``tags`` are added to its own."""
        from mlflow.entities import Metric, Param

        told = {**self.tags, **self.mine, **tags} | ({REASON: self.reason[:5000]} if self.reason else {})
        run = client.create_run(experiment_id, start_time=at_ms, run_name=self.name, tags=told)
        client.log_batch(
            run.info.run_id,
            metrics=[Metric(name, value, at_ms, 0) for name, value in self.metrics.items()],
            params=[Param(name, str(value)) for name, value in self.params.items()],
        )
        return str(run.info.run_id)


def files_of(folder: TrainingFolder) -> list[Path]:
    """Return the files of a trial's folder that its run gets: the histories that are there, and the record."""
    return [*folder.histories(), *(file for file in (folder.path / NAME,) if file.exists())]


def figures_of(folder: Path, mine: Mapping[str, str]) -> Mapping[str, float]:
    """Return the single figures of a trial that was put down, such as what a first look found.

    Nothing if the folder is one of a study that was deleted: ``mine`` are the tags of this one's trial.
    """
    with contextlib.suppress(DataError):
        record = TrialRecord.read(folder)
        return record.metrics if record.mine == mine else {}
    return {}


def forget(folder: Path) -> None:
    """Remove the record and the histories of a trial that goes on, or of one of a study that was deleted."""
    for file in (folder / NAME, *TrainingFolder(folder).histories()):
        file.unlink(missing_ok=True)
