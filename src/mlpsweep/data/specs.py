"""What is known of a data set before its files are read, and which sets there are."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from mlpsweep.data.manifest import MANIFEST_NAME, Manifest
from mlpsweep.data.source import STAND_IN
from mlpsweep.datasets import DataSettings
from mlpsweep.errors import DataError, SettingsError
from mlpsweep.tables import Column, Table, counted


class Size(NamedTuple):
    """Rows of the train file, features and classes; of unknown classes there is at least one."""

    n_rows: int
    n_features: int
    n_classes: int

    @classmethod
    def of(cls, manifest: Manifest) -> "Size":
        """Return the size of prepared data."""
        return cls(manifest.counts["train"], manifest.n_features, manifest.n_classes)


def declared(settings: DataSettings) -> DataSettings:
    """Return the digits as their file in ``conf/data/`` has them where a training of earlier times left that out."""
    is_bare = settings.format is None and settings.path is None and not settings.files
    return DataSettings.named(STAND_IN) if is_bare and settings.name == STAND_IN else settings


def expected_size(settings: DataSettings, prepared: Path | None = None) -> Size | None:
    """Return the size of a data set from its manifest or from the declared bytes of its IDX files; None if unknown.

    Parameters
    ----------
    settings : DataSettings
        Settings of the data set.
    prepared : Path or None
        Folder of arrays, one folder per data set.
    """
    if prepared is not None and (prepared / settings.name / MANIFEST_NAME).is_file():
        try:
            manifest = Manifest.read(prepared / settings.name)
        except DataError:  # told when it is opened
            return None
        if manifest.dataset == settings.name:
            return Size.of(manifest)
    n_images, n_labels = (settings.files.get(role, {}).get("n_bytes") for role in ("train_images", "train_labels"))
    if not isinstance(n_images, int) or not isinstance(n_labels, int) or n_labels <= 8:
        return None
    n_rows = n_labels - 8  # behind a header of one dimension; the images have one of three
    return Size(n_rows, (n_images - 16) // n_rows, len(settings.class_names) or 1)


def listing(prepared: Path, folders: Iterable[Path] = ()) -> Table:
    """Return a table of the data sets there are.

    Parameters
    ----------
    prepared : Path
        Folder of arrays, one folder per data set.
    folders : iterable of Path
        As :meth:`mlpsweep.settings.DataSettings.named`.
    """
    rows: list[dict[str, str]] = []
    for name, path in sorted(DataSettings.known(folders).items()):
        try:
            settings = DataSettings.named(name, folders)
        except SettingsError as error:
            rows.append({"name": name, "state": f"{path}: {error.messages[0]}"})
            continue
        told = {"title": settings.shown_title, "from": _origin(settings), "state": _state(settings, prepared)}
        rows.append({"name": name, **told})
    columns = (Column("name", "data="), Column("title", "title"), Column("from", "from"), Column("state", "prepared"))
    return Table("", columns, tuple(rows))


def _origin(settings: DataSettings) -> str:
    if settings.path is not None:
        return settings.path
    return "scikit-learn" if settings.format == "sklearn" else counted(len(settings.mirrors), "mirror")


def _state(settings: DataSettings, prepared: Path) -> str:
    if not (prepared / settings.name / MANIFEST_NAME).is_file():
        return "no"
    try:
        manifest = Manifest.read(prepared / settings.name)
    except DataError:
        return "damaged"
    rows = " + ".join(str(manifest.counts[split]) for split in ("train", "test"))
    height, width = manifest.image_shape
    kind = f"{height} x {width} pixels" if manifest.holds_images else counted(width, "column")
    what = f"{rows} rows, {kind}, {manifest.n_classes} classes"
    return what if manifest.stands_in_for is None else f"no; {manifest.title}"
