"""scikit-learn's own data sets as files, so that every later step treats them like downloaded ones."""

import csv
import hashlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from mlpsweep.data.idx import encode_idx
from mlpsweep.data.source import files_of
from mlpsweep.data.split import cut_test
from mlpsweep.datasets import DataSettings
from mlpsweep.errors import ChecksumError, SettingsError
from mlpsweep.files import write_atomic


def write_embedded(settings: DataSettings, folder: Path) -> None:
    """Write the files of one of scikit-learn's sets into ``folder``; valid files are kept.

    Raises
    ------
    ChecksumError
        If this scikit-learn embeds other data.
    SettingsError
        If it has no set of this name, or not the files that the settings name.
    """
    files = files_of(settings)
    if settings.name not in ENCODERS:
        known = ", ".join(ENCODERS)
        raise SettingsError(
            f"data.format: sklearn, and data.name={settings.name}; expected the name of one of {known}."
        )
    missing = {role: file for role, file in files.items() if not file.is_valid(folder)}
    contents = ENCODERS[settings.name](settings.name) if missing else {}
    for role, file in missing.items():
        actual = hashlib.sha256(contents[role]).hexdigest()
        if file.sha256 not in (None, actual):
            raise ChecksumError(
                f"{file.name}: this scikit-learn embeds other data, with SHA-256 {actual}; expected {file.sha256}. "
                "Install the versions of constraints.txt."
            )
        write_atomic(folder / file.name, contents[role])


def _load(name: str) -> Any:
    from sklearn import datasets  # the import takes seconds, so it is made only here

    return getattr(datasets, f"load_{name}")()


def _images(name: str) -> dict[str, bytes]:
    """Return the four IDX files of a set of images, a fifth of them for testing."""
    bunch = _load(name)
    images, labels = bunch.images.astype(np.uint8), bunch.target.astype(np.uint8)
    is_test = cut_test(labels)
    rows = {"test": is_test, "train": ~is_test}
    return {
        f"{split}_{kind}": encode_idx(array[rows[split]])
        for split in rows
        for kind, array in (("images", images), ("labels", labels))
    }


def _table(name: str) -> dict[str, bytes]:
    """Return the CSV file of a table, with the names of classes as labels."""
    bunch = _load(name)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["label", *bunch.feature_names])
    for label, row in zip(bunch.target.tolist(), bunch.data.tolist(), strict=True):
        writer.writerow([bunch.target_names[label], *row])
    return {"train": text.getvalue().encode()}


ENCODERS: Final[Mapping[str, Callable[[str], dict[str, bytes]]]] = MappingProxyType(
    {"breast_cancer": _table, "digits": _images, "iris": _table, "wine": _table}
)
