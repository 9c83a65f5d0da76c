"""A prepared folder as splits of memory-mapped rows; batches gathers and scales the pixels."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlpsweep.data.manifest import SPLIT_NAME, Manifest, array_name
from mlpsweep.errors import DataError, SettingsError
from mlpsweep.settings import DataSettings
from mlpsweep.types import ImageArray, IndexArray, LabelArray


@dataclass(frozen=True, eq=False)
class Split:
    """Some rows of a file; the arrays are read-only views of the file, so that processes share one copy.

    Parameters
    ----------
    images : ndarray of shape (n_rows_of_file, n_features), uint8
        Pixels; for a table its standardised features, float32.
    labels : ndarray of shape (n_rows_of_file,), unsigned integers
    rows : ndarray of shape (n_samples,), intp
        Row numbers that belong to this split, ascending: file order.
    """

    images: ImageArray
    labels: LabelArray
    rows: IndexArray

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class Dataset:
    """The splits a training or an evaluation works on.

    Parameters
    ----------
    manifest : Manifest
        Description of the prepared folder.
    train, validation : Split
        Rows of the train file; the validation split may be empty.
    test : Split or None
        Rows of the test file, if they were asked for.
    scale, shift : float
        What the network sees is ``pixel * scale + shift``.
    """

    manifest: Manifest
    train: Split
    validation: Split
    test: Split | None
    scale: float
    shift: float


def load_dataset(folder: Path, settings: DataSettings, *, with_test: bool = False) -> Dataset:
    """Return the splits of a prepared folder, each array's SHA-256 verified.

    The validation split is the first ``n_validation`` rows of the split's order, the train split the ``n_train``
    after them; without validation rows the train split is the first ``n_train`` rows of the file.

    Parameters
    ----------
    folder : Path
        ``data/prepared/<name>``.
    settings : DataSettings
        Which set and which of its rows.
    with_test : bool
        Whether to open the test arrays; without, they need not exist.

    Returns
    -------
    Dataset
        Its arrays are mapped, not read into memory.

    Raises
    ------
    DataError
        If an array is missing, or the folder holds another set than ``settings.name``, as a stand-in is, or was
        prepared from another declaration of it.
    ChecksumError
        If an array or the manifest is damaged.
    SettingsError
        If more rows are asked for than there are.
    """
    manifest = dataclasses.replace(Manifest.read(folder), own_title=settings.title or "")
    _check_name(manifest, settings, folder)
    load = functools.partial(_load, manifest, folder)
    train_rows, validation_rows = _cut(load(SPLIT_NAME), settings)
    images, labels = load(array_name("train_images")), load(array_name("train_labels"))
    scale, shift = SCALERS[settings.scaling](manifest)
    return Dataset(
        manifest=manifest,
        train=Split(images, labels, train_rows),
        validation=Split(images, labels, validation_rows),
        test=_load_test(load, settings) if with_test else None,
        scale=scale,
        shift=shift,
    )


def _check_name(manifest: Manifest, settings: DataSettings, folder: Path) -> None:
    if manifest.dataset != settings.name:
        held = manifest.dataset + (f", standing in for {manifest.stands_in_for}" if manifest.stands_in_for else "")
        raise DataError(
            f"{folder}: holds {held}; expected {settings.name}. "
            f"Connect, or set {settings.name.upper()}_MIRROR, then `dvc repro`."
        )
    if manifest.declared != settings.declared or settings.class_names not in ((), manifest.class_names):
        was, now = (
            {**declared, "class_names": list(names)}
            for declared, names in (
                (manifest.declared, manifest.class_names),
                (settings.declared, settings.class_names),
            )
        )
        raise DataError(
            f"{folder}: prepared from {was}; expected {now}, as the file of {settings.name} says now. "
            f"Run `python -m pipeline.prepare data={settings.name}`."
        )


def _load(manifest: Manifest, folder: Path, name: str) -> npt.NDArray[Any]:
    mapped: npt.NDArray[Any] = np.load(manifest.check_array(folder, name), mmap_mode="r", allow_pickle=False)
    return mapped.view(np.ndarray)  # the same bytes; indexing the memmap subclass costs more at every batch


def _cut(order: npt.NDArray[np.integer[Any]], settings: DataSettings) -> tuple[IndexArray, IndexArray]:
    """Return the rows of the train and of the validation split, each ascending."""
    n_rows, n_validation = len(order), settings.n_validation
    n_train = n_rows - n_validation if settings.n_train is None else settings.n_train
    if n_train < 1 or n_validation + n_train > n_rows:
        wanted = f"data.n_train={'null' if settings.n_train is None else n_train} and data.n_validation={n_validation}"
        raise SettingsError(
            f"{wanted}: more rows than the train file of {settings.name} has; expected at most {n_rows} together, "
            "one of them to train on. Lower one of the two."
        )
    candidates = order[n_validation:] if n_validation else np.arange(n_rows)
    return np.sort(candidates[:n_train]).astype(np.intp), np.sort(order[:n_validation]).astype(np.intp)


def _load_test(load: Callable[[str], npt.NDArray[Any]], settings: DataSettings) -> Split:
    images, labels = load(array_name("test_images")), load(array_name("test_labels"))
    n_test = len(labels) if settings.n_test is None else settings.n_test
    if n_test > len(labels):
        raise SettingsError(
            f"data.n_test={n_test}: more rows than the test file of {settings.name} has; "
            f"expected at most {len(labels)}, or null for all of them."
        )
    return Split(images, labels, np.arange(n_test, dtype=np.intp))


def _standardize(manifest: Manifest) -> tuple[float, float]:
    return 1.0 / manifest.pixel_std, -manifest.pixel_mean / manifest.pixel_std


SCALERS: Final[Mapping[str, Callable[[Manifest], tuple[float, float]]]] = MappingProxyType(
    {
        "standardize": _standardize,
        "unit": lambda manifest: (1.0 / manifest.max_value, 0.0),
        "none": lambda manifest: (1.0, 0.0),
    }
)
"""For each ``data.scaling`` the scale and shift that give it; no floats are stored, only these two."""
