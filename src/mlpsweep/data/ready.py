"""Opening a data set by name: missing files are downloaded and prepared first; doors and notebooks start here."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mlpsweep.data import download, preprocess
from mlpsweep.data.dataset import Dataset, load_dataset
from mlpsweep.data.manifest import MANIFEST_NAME, Manifest
from mlpsweep.data.mirrors import Progress, named_mirror
from mlpsweep.files import FOLDER_WANTED, locked, storage_errors
from mlpsweep.settings import DataSettings


@dataclass(frozen=True, kw_only=True)
class DataFolders:
    """The folders of all data sets, with the callbacks of downloading and preparing.

    Parameters
    ----------
    raw, prepared : Path
        Folders of downloaded files and of arrays; each data set has a folder of its own in both.
    allow_fallback : bool
        Whether a stand-in may take the place of a set that cannot be reached: not if the set, or where it lies, was
        asked for by name.
    progress : callable or None
        Callback of the download, see :data:`mlpsweep.data.mirrors.Progress`.
    notify : callable
        Callback with a sentence for the user: a download begins, a stand-in is used.
    on_prepared : callable or None
        Callback with a data set that was just prepared, without its test split, and with its folder.
    """

    raw: Path
    prepared: Path
    allow_fallback: bool = False
    progress: Progress | None = None
    notify: Callable[[str], object] = lambda sentence: None
    on_prepared: Callable[[Dataset, Path], object] | None = None

    @classmethod
    def below(cls, folder: Path) -> Self:
        """Return the folders that commands typed in ``folder`` use."""
        return cls(raw=folder / "data" / "raw", prepared=folder / "data" / "prepared")

    def download(self, settings: DataSettings) -> None:
        """Fetch the raw files, or verify them; see :func:`mlpsweep.data.download.download`."""
        folder = self.raw / settings.name
        download.download(
            settings, folder, allow_fallback=self.allow_fallback, progress=self.progress, notify=self.notify
        )
        self._notify_of_stand_in(folder)

    def prepare(self, settings: DataSettings) -> None:
        """Turn the raw files into arrays; see :func:`mlpsweep.data.preprocess.prepare`."""
        folder = self.prepared / settings.name
        accepted = settings if self._may_stand_in(settings) else dataclasses.replace(settings, fallback=None)
        manifest = preprocess.prepare(accepted, self.raw / settings.name, folder)
        if self.on_prepared is not None:
            self.on_prepared(load_dataset(folder, self.own_settings(settings, manifest)), folder)

    def open(self, settings: DataSettings, *, with_test: bool = False) -> tuple[DataSettings, Dataset]:
        """Return a data set with its own settings, downloaded and prepared first if it is missing.

        If several processes find it missing, one does the work and the others wait.

        Parameters
        ----------
        settings : DataSettings
            Wanted data set and rows.
        with_test : bool
            Whether to open the test split.

        Returns
        -------
        settings : DataSettings
            The given settings, or the stand-in's own where one is used.
        dataset : Dataset
            The splits.

        Raises
        ------
        DataError
            If the files cannot be downloaded, are damaged, or hold a stand-in that is not allowed.
        SettingsError
            If the settings ask for more rows than the files have, or a mirror may not be used.
        StorageError
            If a folder cannot be written.
        """
        folder = self.prepared / settings.name
        if not (folder / MANIFEST_NAME).exists():
            download.check(settings, self.raw / settings.name)
        with storage_errors(self.prepared, FOLDER_WANTED), locked(self.prepared / ".lock"):
            if not (folder / MANIFEST_NAME).exists():
                self.notify(f"{folder} is missing: downloading and preparing {settings.name} first")
                self.download(settings)
                self.prepare(settings)
        own = self.own_settings(settings, Manifest.read(folder))
        if own.name != settings.name:
            self._notify_of_stand_in(self.raw / settings.name)
        return own, load_dataset(folder, own, with_test=with_test)

    def own_settings(self, settings: DataSettings, manifest: Manifest) -> DataSettings:
        """Return the settings of the prepared data: the stand-in's own, if a stand-in is held and allowed.

        If the stand-in is not allowed, the given settings are returned, with which loading refuses the stand-in.
        """
        if not (manifest.stands_in_for and settings.fallback and self._may_stand_in(settings)):
            return settings
        own = DataSettings.named(settings.fallback)
        return own if settings.n_validation else dataclasses.replace(own, n_validation=0)

    def _may_stand_in(self, settings: DataSettings) -> bool:
        return self.allow_fallback and not named_mirror(settings.name)

    def _notify_of_stand_in(self, raw: Path) -> None:
        message = download.stand_in_message(raw)
        if message:
            self.notify(message)


def open_dataset(data: str | DataSettings, folder: Path | str | None = None, *, with_test: bool = False) -> Dataset:
    """Return a data set, downloaded and prepared first if it is missing; a stand-in is never used.

    Parameters
    ----------
    data : str or DataSettings
        Name of the data set, such as ``digits``, or its settings.
    folder : Path or str, optional
        Folder whose ``data/`` holds the files; by default, the current folder.
    with_test : bool
        Whether to open the test split, which :func:`mlpsweep.evaluate_model` needs.

    Raises
    ------
    DataError
        If the files cannot be downloaded, or are damaged.
    SettingsError
        If no data set has this name, or the settings ask for more rows than the files have.
    StorageError
        If the folder cannot be written.
    """
    settings = DataSettings.named(data) if isinstance(data, str) else data
    return DataFolders.below(Path(folder or ".")).open(settings, with_test=with_test)[1]
