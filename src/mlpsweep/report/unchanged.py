"""Whether a page still shows what it would show if it were made again; this module imports nothing that draws."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import mlpsweep
from mlpsweep.errors import DataError
from mlpsweep.files import read_bytes, read_json, write_json

CODE: Final = (".py", ".j2", ".css", ".js")


@dataclass(frozen=True)
class PageRecord:
    """What a page was made of, in a file beside it.

    Parameters
    ----------
    shows : str
        SHA-256 over all that the page depends on.
    page : str
        SHA-256 of the page itself, which people may edit.
    stands_in_for : str or None
        Name of the data set for which another one stands in.
    """

    shows: str
    page: str
    stands_in_for: str | None


def digest_of(artifacts: Path, *words: str) -> str:
    """Return the SHA-256 over the stages' outputs, this package's code, and further words.

    Parameters
    ----------
    artifacts : Path
        Folder of the stages' outputs; the report's own folder in it is left out.
    *words : str
        What else the page shows.
    """
    total = hashlib.sha256("\0".join(words).encode())
    package = Path(mlpsweep.__file__).parent
    outputs = (file for file in artifacts.rglob("*") if artifacts / "report" not in file.parents)
    code = (file for file in package.rglob("*") if file.suffix in CODE)
    for file in (*sorted(outputs), *sorted(code)):
        if file.is_file():
            total.update(f"{file}\0{_sha256(file)}\n".encode())
    return total.hexdigest()


def unchanged(page: Path, digest: str) -> PageRecord | None:
    """Return the record of a page that need not be made again, or None."""
    record = _record_file(page)
    try:
        told = PageRecord(**read_json(record)) if record.exists() and page.exists() else None
    except (DataError, TypeError):
        return None
    return told if told is not None and (told.shows, told.page) == (digest, _sha256(page)) else None


def remember(page: Path, digest: str, stands_in_for: str | None) -> PageRecord:
    """Write and return the record of a page that was just made.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    record = PageRecord(digest, _sha256(page), stands_in_for)
    write_json(_record_file(page), asdict(record))
    return record


def _record_file(page: Path) -> Path:
    return page.with_suffix(".json")


def _sha256(file: Path) -> str:
    return hashlib.sha256(read_bytes(file)).hexdigest()
