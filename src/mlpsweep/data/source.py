"""The contents of a raw folder: its data set, its files and their checksums."""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

from mlpsweep.errors import ChecksumError, DataError, DataFormatError, SettingsError, quoted
from mlpsweep.files import read_json, sha256_file, write_json
from mlpsweep.settings import DATASETS, DataSettings

ROLES: Final = ("train_images", "train_labels", "test_images", "test_labels")
SOURCE_NAME: Final = "source.json"


@dataclass(frozen=True, slots=True)
class DataFile:
    """One raw file: its name, checksum and size.

    Parameters
    ----------
    name : str
        File name, without folder.
    sha256 : str
        Checksum of the file as downloaded, 64 hexadecimal digits.
    n_bytes : int
        Size of its contents once uncompressed.
    contents_sha256 : str or None
        Checksum of its contents once uncompressed; None where it is not known.
    """

    name: str
    sha256: str
    n_bytes: int
    contents_sha256: str | None = None

    @property
    def unpacked_name(self) -> str:
        """The name under which ``download`` puts the contents, unpacked."""
        return f"{self.name.removesuffix('.gz')}.idx"

    @property
    def described(self) -> dict[str, str | int]:
        """Name, checksum and size as a manifest has them, whichever way the file came."""
        return {"name": self.name, "sha256": self.sha256, "n_bytes": self.n_bytes}

    @property
    def max_bytes(self) -> int:
        """Largest possible size of the file, bytes: gzip adds less than the margin to contents it cannot shrink."""
        return self.n_bytes + self.n_bytes // 1000 + 1024

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


DIGITS_FILES: Final[Mapping[str, DataFile]] = MappingProxyType(
    {
        "train_images": DataFile(
            "digits-train-images-idx3-ubyte", "c867f2a9e7da38cdb9384acdd06dd6ad003cd3ae01f0a256d6df46664c5f3b53", 91984
        ),
        "train_labels": DataFile(
            "digits-train-labels-idx1-ubyte", "70d3877fdad0c5c88bfaf9e4389a56bdd25e75252e8cf49da704d143e2036aee", 1445
        ),
        "test_images": DataFile(
            "digits-test-images-idx3-ubyte", "a1dbb1c8825575bd9f91b6dca5c74329ddf0c97c5e24fc309e793eef0abe49a8", 23056
        ),
        "test_labels": DataFile(
            "digits-test-labels-idx1-ubyte", "bb0a199e9a372fa725c33facae9a8121e62c76431985783502c001b647a3e8ad", 368
        ),
    }
)
"""The files that hold scikit-learn's digits; their bytes are a function of that package's data alone."""


def files_of(settings: DataSettings) -> Mapping[str, DataFile]:
    """Return the raw file of each of ``ROLES`` as the settings name them.

    Raises
    ------
    SettingsError
        If a file is missing in the settings, or its name, checksum or size is malformed.
    """
    if settings.name == "digits":
        return DIGITS_FILES
    faults, files = [], {}
    for role in ROLES:
        values = settings.files.get(role, {})
        faults += [
            f"data.files.{role}.{key}: {quoted(values.get(key))} does not fit; expected {expected}."
            for key, (expected, fits) in _FILE_KEYS.items()
            if not fits(values.get(key))
        ]
        files[role] = DataFile(**{key: values.get(key) for key in _FILE_KEYS})  # type: ignore[arg-type]  # checked above
    if faults:
        raise SettingsError(*faults)
    return files


def _is_text(value: object, pattern: str) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


_FILE_KEYS: Final[Mapping[str, tuple[str, Callable[[Any], bool]]]] = MappingProxyType(
    {
        "name": ("a file name without folder", lambda v: _is_text(v, r"\w[\w.-]*")),
        "sha256": ("64 hexadecimal digits", lambda v: _is_text(v, r"[0-9a-f]{64}")),
        "n_bytes": ("an integer >= 1", lambda v: isinstance(v, int) and v >= 1),
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
        known = [asdict(cls(name)) for name in DATASETS] + [asdict(cls("digits", name)) for name in DATASETS]
        if values not in known:
            raise DataFormatError(
                f"{path}: {values!r} names no known data set; expected dataset and stands_in_for. "
                "Delete the file and run `dvc repro -f download`."
            )
        return cls(**values)
