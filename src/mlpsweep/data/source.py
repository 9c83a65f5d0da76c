"""The contents of a raw folder: its data set, its files and their checksums."""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

from mlpsweep import rules
from mlpsweep.datasets import DataSettings
from mlpsweep.errors import ChecksumError, DataError, DataFormatError, SettingsError, quoted
from mlpsweep.files import read_json, sha256_file, write_json

ROLES: Final = ("train_images", "train_labels", "test_images", "test_labels")
"""The files of a set in IDX files; those of the test split may be missing, both of them."""
LARGEST_BYTES: Final = 1 << 36
"""A file of unknown size ends here."""
SOURCE_NAME: Final = "source.json"
STAND_IN: Final = "digits"


@dataclass(frozen=True, slots=True)
class DataFile:
    """One raw file: its name, checksum and size.

    Parameters
    ----------
    name : str
        File name, without folder.
    sha256 : str or None
        Checksum of the file as downloaded, 64 hexadecimal digits; None where nobody declared or recorded it.
    n_bytes : int or None
        Size of its contents once uncompressed, if it is known.
    contents_sha256 : str or None
        Checksum of its contents once uncompressed; None where it is not known.
    """

    name: str
    sha256: str | None
    n_bytes: int | None
    contents_sha256: str | None = None

    @property
    def unpacked_name(self) -> str:
        """The name under which ``download`` puts the contents, unpacked."""
        return f"{self.name.removesuffix('.gz')}.idx"

    @property
    def described(self) -> dict[str, str | int | None]:
        """Name, checksum and size as a manifest has them, whichever way the file came."""
        return {"name": self.name, "sha256": self.sha256, "n_bytes": self.n_bytes}

    @property
    def max_bytes(self) -> int:
        """Largest possible size of the file, bytes: gzip adds less than the margin to contents it cannot shrink."""
        return LARGEST_BYTES if self.n_bytes is None else self.n_bytes + self.n_bytes // 1000 + 1024

    def found(self, folder: Path) -> Path | None:
        """Return the file in ``folder`` that has the right bytes, as downloaded or unpacked; None if neither has."""
        unpacked = (self.unpacked_name, self.name.removesuffix(".gz"))
        known = ((self.name, self.sha256), *((name, self.contents_sha256) for name in unpacked))
        paths = ((folder / name, digest) for name, digest in known if digest)
        return next((path for path, digest in paths if path.is_file() and sha256_file(path) == digest), None)

    def is_valid(self, folder: Path) -> bool:
        """Tell whether the file lies in ``folder`` with the right bytes."""
        return self.found(folder) is not None

    def check(self, folder: Path) -> Path:
        """Return the file's path.

        Raises
        ------
        DataError
            If the file is missing.
        ChecksumError
            If the SHA-256 of the file differs; the file is kept.
        """
        if found := self.found(folder):
            return found
        path = folder / self.name
        if not path.is_file():
            raise DataError(f"{path}: no such file. `dvc repro -f download` fetches it.")
        raise ChecksumError(
            f"{path}: the file is damaged, its SHA-256 is {sha256_file(path)}; expected {self.sha256}. "
            "`dvc repro -f download` repairs it."
        )


def files_of(settings: DataSettings, recorded: Mapping[str, str] = MappingProxyType({})) -> Mapping[str, DataFile]:
    """Return the raw file of each role as the settings name them.

    Parameters
    ----------
    settings : DataSettings
        Settings of the data set.
    recorded : mapping of str to str
        By role, the SHA-256 of files that the settings give none for.

    Raises
    ------
    SettingsError
        If a file is missing in the settings, or its name, checksum or size is malformed.
    """
    faults, files = [], {}
    for role in _roles(settings):
        values = settings.files.get(role, {})
        faults += [
            f"data.files.{role}.{key}: {quoted(values.get(key))} does not fit; expected {expected}."
            for key, (expected, fits) in _FILE_KEYS.items()
            if not fits(values.get(key)) and not (key == "name" and _is_member(settings, values.get(key)))
        ]
        known = {key: values.get(key) for key in _FILE_KEYS}
        files[role] = DataFile(**(known | {"sha256": known["sha256"] or recorded.get(role)}))
    faults += [
        f"data.files.{role}: no such file in a set of this format; expected {', '.join(files)}."
        for role in settings.files.keys() - files.keys()
    ]
    if faults:
        raise SettingsError(*faults)
    return files


def _roles(settings: DataSettings) -> tuple[str, ...]:
    """Return the roles that files of a set must have; those of a test file only if there is one."""
    if settings.path is not None and settings.format != "idx" and not settings.files:
        return ()  # the path is the file
    kind = settings.format or "idx"
    if kind in ("npz", "images"):
        return ("archive",) if kind == "npz" else ()
    if kind == "csv" or (kind == "sklearn" and "train" in settings.files):
        return ("train", "test") if "test" in settings.files else ("train",)
    return ROLES if not settings.files or {"test_images", "test_labels"} & settings.files.keys() else ROLES[:2]


def _is_member(settings: DataSettings, name: object) -> bool:
    """Tell whether a name is that of a file below the ``path`` of the set."""
    return settings.path is not None and _is_text(name, r"\w[\w.-]*(/\w[\w.-]*)*")


def _is_text(value: object, pattern: str) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


_FILE_KEYS: Final[Mapping[str, tuple[str, Callable[[Any], bool]]]] = MappingProxyType(
    {
        "name": ("a file name without folder", lambda v: _is_text(v, r"\w[\w.-]*")),
        "sha256": ("64 hexadecimal digits, or null", lambda v: v is None or _is_text(v, r"[0-9a-f]{64}")),
        "n_bytes": ("an integer >= 1, or null", lambda v: v is None or (isinstance(v, int) and v >= 1)),
        "contents_sha256": ("64 hexadecimal digits, or null", lambda v: v is None or _is_text(v, r"[0-9a-f]{64}")),
    }
)


@dataclass(frozen=True, slots=True)
class Source:
    """The content of a raw folder's ``source.json``.

    Parameters
    ----------
    dataset : str
        Name of the data set that the files belong to.
    stands_in_for : str or None
        Name of the wanted data set that could not be downloaded; None for the wanted set itself.
    """

    dataset: str
    stands_in_for: str | None = None

    def write(self, folder: Path) -> None:
        """Write ``source.json`` into a raw folder, unless the file already says the same."""
        try:
            is_current = Source.read(folder) == self
        except DataError:  # missing or damaged
            is_current = False
        if not is_current:
            write_json(folder / SOURCE_NAME, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the source of a raw folder.

        Raises
        ------
        DataError
            If nothing was downloaded into the folder.
        DataFormatError
            If ``source.json`` says something that ``download`` never writes.
        """
        path = folder / SOURCE_NAME
        if not path.is_file():
            raise DataError(f"{path}: no such file, so nothing was downloaded. Run `dvc repro download`.")
        values = read_json(path)
        expected = cls.__dataclass_fields__.keys()
        names = [values[key] for key in expected] if isinstance(values, dict) and values.keys() == expected else []
        if not names or not rules.NAME.accepts(names[0]) or not (names[1] is None or rules.NAME.accepts(names[1])):
            raise DataFormatError(
                f"{path}: {values!r} names no data set; expected dataset and stands_in_for. "
                "Delete the file and run `dvc repro -f download`."
            )
        return cls(**values)
