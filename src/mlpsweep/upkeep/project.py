"""The project that is looked through: its folders, its store and its study; nothing is judged here."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlpsweep.errors import DataError, MlpsweepError
from mlpsweep.search.database import STORE, address, studies_folder
from mlpsweep.tracking.lookup import Runs, open_runs
from mlpsweep.tracking.project import project_id, work_tree
from mlpsweep.tracking.relocate import store_file
from mlpsweep.tracking.settings import TrackingSettings
from mlpsweep.tracking.store import tracking_uri
from mlpsweep.training.folder import RunRecord, TrainingFolder

OUTPUTS: Final = ("outputs", "multirun")


@dataclass(frozen=True)
class Project:
    """One project.

    Parameters
    ----------
    root : Path
        Its folder: the main work tree, where the command is typed in a copy that DVC made.
    folders : tuple of Path
        Where trainings and searches are.
    data : tuple of Path
        Where raw and prepared data are.
    tracking : TrackingSettings
        Where runs are tracked.
    storage : str
        Address of the studies' database.
    studies : Path
        Folder of the studies' folders.
    """

    root: Path
    folders: tuple[Path, ...]
    data: tuple[Path, ...]
    tracking: TrackingSettings
    storage: str
    studies: Path

    @classmethod
    def here(
        cls,
        artifacts: str,
        data: Sequence[str],
        tracking: TrackingSettings,
        storage: str | None = None,
        studies: str | None = None,
    ) -> "Project":
        """Return the project of the current folder.

        Parameters
        ----------
        artifacts : str
            What the DVC pipeline makes, relative to the project.
        data : sequence of str
            Folders of the data, relative to the project.
        tracking : TrackingSettings
        storage, studies : str or None
            Address of the studies and folder of their folders; None for the default ones.
        """
        root = work_tree()
        folders, inputs = ([root / name for name in names] for names in ((artifacts, *OUTPUTS), data))
        url = address(storage, root)
        return cls(root, tuple(folders), tuple(inputs), tracking, url, studies_folder(url, root, studies))

    @property
    def uri(self) -> str:
        """Address of the store."""
        return tracking_uri(self.tracking)

    def runs(self) -> Runs | None:
        """Return all runs of the store, or None where there is no store yet.

        Raises
        ------
        StorageError
            If it cannot be read.
        """
        file = store_file(self.uri)
        return None if file is not None and not file.exists() else open_runs(self.tracking)

    def trainings(self) -> Iterator[TrainingFolder]:
        """Yield the folders that hold a model: where trainings are, and where else a run of this project says so."""
        known = {found.path: found for folder in self.folders for found in TrainingFolder.below(folder)}
        yield from known.values()
        runs = self.runs()
        for run in runs.with_tags({"project": project_id(self.root)}) if runs else ():
            place = self.root / run.data.tags.get("folder", STORE)
            if place not in known and not place.is_relative_to(self.studies) and TrainingFolder(place).weights.exists():
                known[place] = TrainingFolder(place)
                yield known[place]

    def trials(self) -> Iterator[Path]:
        """Yield the folders of trials and of finalists' trainings."""
        for kind in ("trials", "finalists"):
            yield from sorted(path for path in self.studies.glob(f"*/{kind}/*") if path.is_dir())

    def shown(self, path: Path) -> str:
        """Return a path as one would type it in the project's folder."""
        return str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)


def record_of(folder: TrainingFolder) -> RunRecord | None:
    """Return what lies beside a folder about a training that ended well; None if that is not known."""
    with contextlib.suppress(DataError):
        record = folder.record()
        if record and (record.seconds is not None or record.reused_from):
            return record
    return None


def fault_of(folder: TrainingFolder) -> str | None:
    """Return what is wrong with a training's folder, as its reader says it; None if it is whole."""
    try:
        folder.load()
        folder.history()
        folder.batches()
        folder.record()
    except MlpsweepError as error:
        return str(error)
    return None
