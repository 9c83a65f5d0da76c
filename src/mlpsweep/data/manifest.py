"""The manifest of a prepared folder: identity, counts and checksums of its arrays."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

from mlpsweep import rules
from mlpsweep.datasets import DataSettings
from mlpsweep.errors import ChecksumError, DataError, DataFormatError, SettingsError, quoted
from mlpsweep.files import read_json, sha256_file, write_json
from mlpsweep.tables import is_number

MANIFEST_NAME: Final = "manifest.json"
SPLIT_NAME: Final = "split.npy"
FILES: Final = ("train", "test")
ARRAYS: Final = (SPLIT_NAME, *(f"{file}_{kind}.npy" for file in FILES for kind in ("images", "labels")))
ADDED: Final = frozenset({"columns", "declared"})
REPAIR: Final = "`dvc repro -f prepare` makes it again."


def title_of(name: str) -> str:
    """Return the title that a data set's file gives it; its name, if there is no such file."""
    try:
        return DataSettings.named(name).shown_title
    except SettingsError:
        return name


def array_name(role: str) -> str:
    """Return the file name of one array, as "train_images"."""
    return f"{role}.npy"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The description of a prepared folder; the only source of a run's data identity.

    Parameters
    ----------
    dataset : str
        Name of the data set that the rows belong to.
    stands_in_for : str or None
        Name of the wanted data set that could not be downloaded; None for the wanted set itself.
    sources : dict
        The ``name``, ``sha256`` and uncompressed ``n_bytes`` of each raw file.
    arrays : dict of str to str
        SHA-256 of each array file.
    counts : dict of str to int
        Rows of the ``train`` and the ``test`` file.
    class_counts : dict of str to list of int
        Rows of each class, by file.
    distinct_pixel_values : dict of str to int
        Number of different pixel values, by file; empty for a table.
    image_shape : tuple of int
        Height and width in pixels; for a table 1 and its number of features.
    max_value : int
        The brightest pixel of the train file; 1 for a table.
    pixel_mean, pixel_std : float
        Mean and standard deviation of all pixels of the train file, as stored; 0 and 1 for a table.
    class_names : tuple of str
        Name of each label, 0 first.
    columns : tuple of dict
        The ``name``, ``category``, ``mean`` and ``std`` of each feature of a table, whose rows are stored standardised;
        empty for images.
    declared : dict
        What the set's file declared of :data:`mlpsweep.datasets.DECIDES`.
    own_title : str
        The set's name for readers; it is no part of the identity, and not written.
    """

    dataset: str
    stands_in_for: str | None
    sources: dict[str, dict[str, Any]]
    arrays: dict[str, str]
    counts: dict[str, int]
    class_counts: dict[str, list[int]]
    distinct_pixel_values: dict[str, int]
    image_shape: tuple[int, int]
    max_value: int
    pixel_mean: float
    pixel_std: float
    class_names: tuple[str, ...]
    columns: tuple[dict[str, Any], ...] = ()
    declared: dict[str, Any] = dataclasses.field(default_factory=dict)
    own_title: str = dataclasses.field(default="", compare=False)

    @property
    def holds_images(self) -> bool:
        """Whether the rows are images; those of a table are not."""
        return not self.columns

    @property
    def n_features(self) -> int:
        """Pixels of an image, or features of a table."""
        return self.image_shape[0] * self.image_shape[1]

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def title(self) -> str:
        """The data set's name for figures and reports; the name of a stand-in also tells the set it stands in for."""
        title = self.own_title or title_of(self.dataset)
        return title if self.stands_in_for is None else f"{title} (stands in for {title_of(self.stands_in_for)})"

    @property
    def digest(self) -> str:
        """SHA-256 over the manifest, which holds the SHA-256 of every array; any changed byte changes the digest."""
        return _digest(self._told())

    def _told(self) -> dict[str, Any]:
        """Return what is written; what was added later is left out where a set has none, so that its digest holds."""
        values = dataclasses.asdict(self)
        del values["own_title"]
        return {name: value for name, value in values.items() if name not in ADDED or value}

    def write(self, folder: Path) -> None:
        """Write the manifest and its digest into a prepared folder, atomically."""
        write_json(folder / MANIFEST_NAME, self._told() | {"digest": self.digest})

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the manifest of a prepared folder.

        Raises
        ------
        DataError
            If the folder holds no manifest.
        DataFormatError
            If the file is not JSON, has other keys, or a value out of its range.
        ChecksumError
            If the digest of the contents is not the one in the file.
        """
        path = folder / MANIFEST_NAME
        if not path.is_file():
            raise DataError(f"{path}: no such file, so nothing was prepared. Run `dvc repro prepare`.")
        values = read_json(path)
        expected = {field.name for field in dataclasses.fields(cls)} - ADDED - {"own_title"} | {"digest"}
        if not isinstance(values, dict) or values.keys() - ADDED != expected:
            raise DataFormatError(f"{path}: not a manifest; expected the keys {', '.join(sorted(expected))}. {REPAIR}")
        stated = values.pop("digest")
        if _digest(values) != stated:
            raise ChecksumError(
                f"{path}: the file is damaged, its contents have digest {_digest(values)}; expected {stated}. {REPAIR}"
            )
        if fault := next((name for name, fits in CHECKS.items() if name in values and not fits(values[name])), None):
            raise DataFormatError(f"{path}: {fault} is {quoted(values[fault])}, which no data set has. {REPAIR}")
        tuples = {name: tuple(values[name]) for name in ("image_shape", "class_names", "columns") if name in values}
        return cls(**(values | tuples))

    def check_array(self, folder: Path, name: str) -> Path:
        """Return the path of an array file, verified.

        Raises
        ------
        DataError
            If the file is missing.
        ChecksumError
            If the SHA-256 of the file is not the manifest's.
        """
        path = folder / name
        if not path.is_file():
            raise DataError(f"{path}: no such file. {REPAIR}")
        actual = sha256_file(path)
        if actual != self.arrays[name]:
            raise ChecksumError(
                f"{path}: the file is damaged, its SHA-256 is {actual}; expected {self.arrays[name]}. {REPAIR}"
            )
        return path


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_mapping(value: Any, keys: Iterable[str], fits: Callable[[Any], bool]) -> bool:
    return isinstance(value, dict) and value.keys() >= set(keys) and all(map(fits, value.values()))


def _is_column(value: Any) -> bool:
    return (
        _is_mapping(value, ("name", "category", "mean", "std"), lambda item: True)
        and isinstance(value["name"], str)
        and isinstance(value["category"], str | None)
        and is_number(value["mean"])
        and is_number(value["std"])
        and value["std"] > 0
    )


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


CHECKS: Final[Mapping[str, Callable[[Any], bool]]] = MappingProxyType(
    {
        "dataset": rules.NAME.accepts,
        "stands_in_for": rules.optional(rules.NAME).accepts,
        "sources": lambda value: _is_mapping(value, (), lambda item: isinstance(item, dict)),
        "arrays": lambda value: _is_mapping(value, ARRAYS, lambda item: isinstance(item, str)),
        "counts": lambda value: _is_mapping(value, FILES, _is_count),
        "class_counts": lambda value: _is_mapping(value, FILES, lambda item: _is_list(item, int)),
        "distinct_pixel_values": lambda value: _is_mapping(value, (), _is_count),
        "image_shape": lambda value: isinstance(value, list) and len(value) == 2 and all(map(_is_count, value)),
        "max_value": _is_count,
        "pixel_mean": is_number,
        "pixel_std": lambda value: is_number(value) and value > 0,
        "class_names": lambda value: _is_list(value, str) and value != [],
        "columns": lambda value: isinstance(value, list) and all(map(_is_column, value)),
        "declared": lambda value: isinstance(value, dict),
    }
)
"""What each value must be, or a training would meet it as a puzzle; a digest that fits proves only who wrote it."""


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
