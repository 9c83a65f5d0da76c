"""The formats of raw files: for each a reader, and the roles that its files have."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from mlpsweep.data.idx import read_idx
from mlpsweep.data.npz import read_npz
from mlpsweep.data.part import Part, Reader
from mlpsweep.data.pictures import read_images
from mlpsweep.data.raw import RawFile
from mlpsweep.data.table import read_csv
from mlpsweep.datasets import DataSettings
from mlpsweep.errors import DataFormatError


def _read_embedded(files: Mapping[str, RawFile], settings: DataSettings) -> dict[str, Part]:
    """Return the parts of one of scikit-learn's own sets, which ``embedded`` has written in a format of the others."""
    return (read_csv if "train" in files else read_idx)(files, settings)


READERS: Final[Mapping[str, Reader]] = MappingProxyType(
    {"idx": read_idx, "npz": read_npz, "csv": read_csv, "images": read_images, "sklearn": _read_embedded}
)


def read_parts(files: Mapping[str, RawFile], settings: DataSettings) -> dict[str, Part]:
    """Return the part ``train`` and, if there is a test file, ``test`` of a set's raw files, which are given by role.

    Raises
    ------
    DataError
        If a file is missing, damaged, or not in its format.
    ShapeError
        If labels and rows differ in number.
    """
    parts = READERS[settings.format or "idx"](files, settings)
    train, test = parts["train"], parts.get("test")
    if test is not None and (test.row_shape, test.features) != (train.row_shape, train.features):
        raise DataFormatError(
            f"{test.source}: rows of shape {test.row_shape}; expected {train.row_shape}, as {train.source} has. "
            "Both files of a set have rows of one kind"
        )
    return parts


def local_files(settings: DataSettings) -> dict[str, RawFile]:
    """Return the files of a set with a ``path`` by role; whether they are there is seen when they are opened."""
    place = Path(settings.path or "").expanduser()
    if settings.format == "images":
        entries = {path.name for path in place.iterdir() if not path.name.startswith(".")} if place.is_dir() else set()
        if entries == {"train", "test"}:
            return {split: RawFile(place / split) for split in ("train", "test")}
        return {"train": RawFile(place)}
    if not settings.files:
        return {"archive" if settings.format == "npz" else "train": RawFile(place)}
    is_archive = place.is_file() and zipfile.is_zipfile(place)
    names = {role: str(values.get("name")) for role, values in settings.files.items()}
    return {role: RawFile(place, name) if is_archive else RawFile(place / name) for role, name in names.items()}
