"""Checksums that nobody declared: recorded beside the raw files when these are first read, and checked from then on."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from mlpsweep.data.formats import local_files, read_parts
from mlpsweep.data.halves import Halves
from mlpsweep.data.raw import RawFile
from mlpsweep.data.source import files_of
from mlpsweep.datasets import DataSettings
from mlpsweep.errors import ChecksumError, DataError, DataFormatError
from mlpsweep.files import read_json, write_json

LOCK_NAME: Final = "lock.json"
Checked = tuple[RawFile, dict[str, Any]]
"""A file whose bytes are the declared or recorded ones, with its name, checksum and size."""


def recorded(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each role that a raw folder's lock has; none if there is no lock.

    Raises
    ------
    DataFormatError
        If the file is not what :func:`record` writes.
    """
    path = folder / LOCK_NAME
    if not path.is_file():
        return {}
    values = read_json(path, f"Delete {path} and run `dvc repro -f download`.")
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise DataFormatError(f"{path}: no checksums by role. Delete it and run `dvc repro -f download`.")
    return values


def record(settings: DataSettings, folder: Path, notify: Callable[[str], object]) -> None:
    """Check files against the lock; record those without a checksum, once each of their rows could be read.

    Raises
    ------
    DataError
        If a file is missing, or its contents are not those of its format; nothing is recorded then.
    ChecksumError
        If a file has changed since it was recorded.
    """
    declared, known = files_of(settings), recorded(folder)
    if settings.path is None and all(file.sha256 for file in declared.values()):
        return  # whoever fetched them has seen to it
    files, wanted = _located(settings, folder), known | {r: file.sha256 for r, file in declared.items() if file.sha256}
    actual = {role: file.sha256() for role, file in files.items()}
    for role in actual.keys() & wanted.keys():
        _require(files[role], actual[role], wanted[role], folder)
    new = {role: sha256 for role, sha256 in actual.items() if role not in wanted}
    if not new:
        return
    for half in Halves.of(read_parts(files, settings), settings).files.values():
        for _ in half.rows():
            pass
    write_json(folder / LOCK_NAME, known | new)
    for role, sha256 in sorted(new.items()):
        notify(
            f"{files[role]}: no SHA-256 is declared for it; {sha256} is recorded in {folder / LOCK_NAME}, and "
            "checked from now on"
        )


def checked(settings: DataSettings, folder: Path) -> dict[str, Checked]:
    """Return the raw files of a set by role, after checking every byte.

    Raises
    ------
    DataError
        If a file is missing, or was never recorded.
    ChecksumError
        If a file is damaged, or has changed since it was recorded.
    """
    known = recorded(folder)
    declared = files_of(settings, known)
    if settings.path is None:
        return {role: (RawFile(file.check(folder)), file.described) for role, file in declared.items()}
    found: dict[str, Checked] = {}
    for role, file in _located(settings, folder).items():
        wanted = declared[role].sha256 if role in declared else known.get(role)
        if wanted is None:
            raise DataError(f"{folder / LOCK_NAME}: says nothing of {file}. `dvc repro -f download` records it.")
        _require(file, file.sha256(), wanted, folder)
        found[role] = (file, {"name": file.member or file.path.name, "sha256": wanted, "n_bytes": None})
    return found


def _located(settings: DataSettings, folder: Path) -> Mapping[str, RawFile]:
    if settings.path is not None:
        return local_files(settings)
    files = files_of(settings, recorded(folder))
    return {role: RawFile(file.found(folder) or folder / file.name) for role, file in files.items()}


def _require(file: RawFile, actual: str, wanted: str, folder: Path) -> None:
    if actual != wanted:
        raise ChecksumError(
            f"{file}: not what it was, its SHA-256 is {actual}; expected {wanted}. Put the former file back; or, if "
            f"the change is meant, correct data.files or delete {folder / LOCK_NAME}, and run `dvc repro -f download "
            "prepare`."
        )
