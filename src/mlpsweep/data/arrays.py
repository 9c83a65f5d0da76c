"""A data set out of arrays in memory; nothing is read, written or scaled here."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlpsweep import rules
from mlpsweep.data.dataset import Dataset, Split
from mlpsweep.data.manifest import SPLIT_NAME, Manifest, array_name
from mlpsweep.data.split import stratified_order
from mlpsweep.errors import SettingsError
from mlpsweep.rules import key
from mlpsweep.settings import DataSettings
from mlpsweep.types import LabelArray

# Studies, their folders and experiments are named so.
_NAME = rules.matching(r"[A-Za-z][A-Za-z0-9_]{0,63}", "a name of letters, digits and underscores, a letter first")


BUDGET: Final = 100
"""Epochs where nobody says how many."""


@dataclass(frozen=True, kw_only=True)
class ArraySettings(DataSettings):
    """The settings of a data set in memory, which is no file of ``conf/data/``."""

    name: str = key(_NAME, "data set", "arrays")


def array_settings(name: str = "arrays", n_validation: int = 0) -> ArraySettings:
    """Return the settings of a data set in memory, whose rows are taken as they are.

    Raises
    ------
    SettingsError
        If no study can have this name, or the number is none.
    """
    return ArraySettings(
        name=name,
        mirrors=(),
        files={},
        fallback=None,
        scaling="none",
        n_epochs=BUDGET,
        n_train=None,
        n_validation=n_validation,
        n_test=None,
    )


def array_dataset(
    x: npt.NDArray[Any], labels: LabelArray, class_names: Sequence[str], settings: ArraySettings
) -> Dataset:
    """Return a data set whose rows are those of ``x``, without a copy and without a test split.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_features), float32 or float64, C-contiguous
        The network computes in its type.
    labels : ndarray of shape (n_rows,)
        0 .. n_classes - 1.
    class_names : sequence of str
        One per class.
    settings : ArraySettings
        ``n_validation`` rows are for validation: the first of the stratified order, as for files.

    Raises
    ------
    SettingsError
        If no row is left to train on.
    """
    order, n_validation = stratified_order(labels), settings.n_validation
    if n_validation >= len(labels):
        raise SettingsError(
            f"n_validation: {n_validation} of {len(labels)} rows; expected fewer, because one at least is to train on. "
            "Lower n_validation"
        )
    images, numbers = array_name("train_images"), array_name("train_labels")
    manifest = Manifest(
        dataset=settings.name,
        stands_in_for=None,
        sources={},
        arrays={images: _sha256(x), numbers: _sha256(labels), SPLIT_NAME: _sha256(order)},
        counts={"train": len(labels)},
        class_counts={"train": np.bincount(labels, minlength=len(class_names)).tolist()},
        distinct_pixel_values={},
        image_shape=(1, x.shape[1]),
        max_value=1,
        pixel_mean=0.0,
        pixel_std=1.0,
        class_names=tuple(class_names),
    )
    validation, train = (np.sort(rows).astype(np.intp) for rows in (order[:n_validation], order[n_validation:]))
    return Dataset(manifest, Split(x, labels, train), Split(x, labels, validation), test=None, scale=1.0, shift=0.0)


def _sha256(array: npt.NDArray[Any]) -> str:
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}\n".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
