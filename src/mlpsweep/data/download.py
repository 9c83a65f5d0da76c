"""The download stage: raw files with the right checksums, or a stand-in, or an error that says why."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from mlpsweep.data.embedded import write_embedded
from mlpsweep.data.formats import local_files
from mlpsweep.data.http import MirrorFault
from mlpsweep.data.local import take
from mlpsweep.data.lock import record, recorded
from mlpsweep.data.manifest import title_of
from mlpsweep.data.mirrors import TIMEOUT_S, Mirror, Progress, fetch, mirrors_of, named_mirror
from mlpsweep.data.source import STAND_IN, DataFile, Source, files_of
from mlpsweep.data.specs import declared
from mlpsweep.datasets import DataSettings
from mlpsweep.errors import DataError
from mlpsweep.files import FOLDER_WANTED, locked, read_json, storage_errors, sweep, write_json

STAND_IN_MESSAGE: Final = (
    "{title} could not be downloaded{failures}. Going on with scikit-learn's digits, 1,797 images of 8x8, so "
    "that you can see the whole pipeline. These results say nothing about {title}. For {title}: connect, or set "
    "{variable}, then `dvc repro`. To stop here instead: data.fallback=null."
)


def download(
    settings: DataSettings,
    folder: Path,
    *,
    allow_fallback: bool = False,
    progress: Progress | None = None,
    notify: Callable[[str], object] = lambda sentence: None,
    timeout_s: float = TIMEOUT_S,
) -> Source:
    """Fetch the missing raw files of a data set into ``folder`` and verify the SHA-256 of each file.

    Files of a ``path`` stay where they are. Any number of processes may call this at once: one fetches, the others
    wait and find a valid cache.

    Parameters
    ----------
    settings : DataSettings
        Data set, its mirrors and files; ``<NAME>_MIRROR`` of the environment is tried before the mirrors.
    folder : Path
        ``data/raw/<name>``; made if missing. A file of another name or packing is taken if its contents are right, and
        left where it is.
    allow_fallback : bool
        Whether ``settings.fallback`` may stand in if no mirror can be reached: not if the set was asked for by name,
        and never for a mirror that ``<NAME>_MIRROR`` names.
    progress : callable, optional
        Callback, see :data:`mlpsweep.data.mirrors.Progress`.
    notify : callable
        Callback with a sentence for each checksum that is recorded because nobody declared it.
    timeout_s : float
        Longest wait for a mirror's first answer, seconds; later waits may take half of it.

    Returns
    -------
    Source
        Description of what the folder now holds.

    Raises
    ------
    DataError
        If a file is missing or damaged and no mirror gives it.
    SettingsError
        If a mirror may not be used, or a file's name, checksum or size is malformed.
    StorageError
        If the folder cannot be written.
    """
    settings = declared(settings)
    check(settings, folder)
    with storage_errors(folder, FOLDER_WANTED), locked(_beside(folder, "lock")):
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        if settings.format == "sklearn":
            write_embedded(settings, folder)
        is_fetched = settings.format != "sklearn" and settings.path is None
        files = files_of(settings, recorded(folder)).values() if is_fetched else ()
        missing = [file for file in files if not _is_there(file, folder)]
        damaged = {file.name for file in missing if file.sha256 and (folder / file.name).exists()}
        faults = _fetch_all(missing, mirrors_of(settings) if missing else (), folder, progress, timeout_s)
        if faults is None:
            with _taken_back([folder / file.name for file in missing if file.sha256 is None]):
                record(settings, folder, notify)
            return _settle(folder, Source(settings.name))
        was_reached = any(fault.was_reached for fault in faults.values()) or any(f.is_valid(folder) for f in missing)
        failures = {mirror.location: fault.reason for mirror, fault in faults.items()}
        is_allowed = allow_fallback and settings.fallback is not None and not named_mirror(settings.name)
        if was_reached or damaged or not is_allowed:
            raise DataError(_failure_message(settings, folder, missing, damaged, failures))
        write_embedded(DataSettings.named(STAND_IN), folder)
        write_json(_beside(folder, "failures.json"), failures)
        return _settle(folder, Source(STAND_IN, stands_in_for=settings.name))


def check(settings: DataSettings, folder: Path) -> None:
    """Raise what is wrong with the settings of a download, before anything is made for it.

    Raises
    ------
    DataError
        If the ``path`` of the settings, or a file below it, is not there.
    SettingsError
        As :func:`download`; a mirror is not looked at where the files are there.
    """
    settings = declared(settings)
    files = files_of(settings, recorded(folder))
    if settings.path is not None:
        for file in local_files(settings).values():
            if not file.path.exists():
                raise DataError(
                    f"{file.path}: no such file or folder; expected the data. Put it there, or set data.path"
                )
    elif not all(file.is_valid(folder) for file in files.values()):
        mirrors_of(settings)


def stand_in_message(folder: Path) -> str | None:
    """Return the message about a stand-in in a raw folder, or None if the folder holds the set itself.

    Raises
    ------
    DataError
        If nothing was downloaded into the folder.
    """
    asked_for = Source.read(folder).stands_in_for
    if asked_for is None:
        return None
    record = _beside(folder, "failures.json")
    failures: dict[str, str] = read_json(record) if record.is_file() else {}
    return STAND_IN_MESSAGE.format(
        title=title_of(asked_for),
        failures=f" ({_listed(failures)})" if failures else "",
        variable=f"{asked_for.upper()}_MIRROR",
    )


@contextlib.contextmanager
def _taken_back(paths: list[Path]) -> Iterator[None]:
    """Remove files that turn out not to be data; else they would be there, and never be fetched again."""
    try:
        yield
    except DataError:
        for path in paths:
            path.unlink(missing_ok=True)
        raise


def _is_there(file: DataFile, folder: Path) -> bool:
    """Tell whether the folder has a file, after taking it from another name or packing if it is there under one."""
    if file.sha256 is None:
        return (folder / file.name).is_file()  # a download is there whole or not at all
    if not file.is_valid(folder):
        with contextlib.suppress(MirrorFault):
            take(file, folder, folder)
    return file.is_valid(folder)


def _fetch_all(
    files: list[DataFile], mirrors: tuple[Mirror, ...], folder: Path, progress: Progress | None, timeout_s: float
) -> dict[Mirror, MirrorFault] | None:
    """Fetch each file from the first mirror that gives it; return the mirrors' faults if no mirror gives a file."""
    faults: dict[Mirror, MirrorFault] = {}

    def gives(mirror: Mirror, file: DataFile) -> bool:
        try:
            fetch(mirror, file, folder, progress or _say_nothing, timeout_s)
        except MirrorFault as fault:
            faults[mirror] = fault
            return False
        return True

    for file in files:
        # Try mirrors that already failed last; they would probably time out again.
        if not any(gives(mirror, file) for mirror in sorted(mirrors, key=faults.__contains__)):
            return faults
    return None


def _settle(folder: Path, source: Source) -> Source:
    """Record what the folder holds, then remove the files of a former stand-in."""
    source.write(folder)
    if source.dataset != STAND_IN:
        for file in files_of(DataSettings.named(STAND_IN)).values():
            (folder / file.name).unlink(missing_ok=True)
    if source.stands_in_for is None:
        _beside(folder, "failures.json").unlink(missing_ok=True)
    return source


def _failure_message(
    settings: DataSettings, folder: Path, missing: list[DataFile], damaged: set[str], failures: Mapping[str, str]
) -> str:
    still_missing = [file.name for file in missing if not file.is_valid(folder)]
    state = ", ".join(f"{name} ({'damaged' if name in damaged else 'missing'})" for name in still_missing)
    variable = f"{settings.name.upper()}_MIRROR"
    if named_mirror(settings.name):
        way = f"The place that {variable} names is not there, or has not these files: mend {variable} or unset it"
    else:
        way = f"Connect, or set {variable} to a URL or folder that has them"
    title = settings.title or title_of(settings.name)
    return (
        f"{folder}: {title} could not be downloaded ({_listed(failures) or 'no mirror is set'}); "
        f"still to fetch: {state}. {way}, then `dvc repro`."
    )


def _beside(folder: Path, suffix: str) -> Path:
    """Return the path of a note beside ``folder``: DVC hashes the folder, and the note differs from run to run."""
    return folder.parent / f".{folder.name}.{suffix}"


def _listed(failures: Mapping[str, str]) -> str:
    return "; ".join(f"{location}: {reason}" for location, reason in failures.items())


def _say_nothing(name: str, n_read: int, n_promised: int) -> None:
    """Ignore the progress."""
