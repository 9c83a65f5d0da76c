"""Files that killed processes left: parts of files, and locks that nobody holds."""

import functools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mlpsweep.search.ownership import is_held
from mlpsweep.tracking.project import left_running, remove_left
from mlpsweep.upkeep.finding import FIX, ORPHANED, Finding
from mlpsweep.upkeep.project import STORE, Project

SETTLED_S: Final = 1.0
"""A part whose file is closed gets its name within a moment; one that is older by so much has lost its process."""
UNKNOWN_S: Final = 3600.0
"""The same where the system does not tell which files are open."""
OPEN_FILES: Final = Path("/proc/self/fd")
REMEDY: Final = f"{FIX} removes it"


def parts(project: Project) -> Iterator[Finding]:
    """Yield temporary files of writes that never ended."""
    folders = (*project.folders, *project.data, project.root / STORE)
    found = {path: None for folder in folders for path in sorted(folder.rglob(".*.part")) if path.is_file()}
    for path in found:
        if _is_left(path):
            mend = functools.partial(path.unlink, missing_ok=True)
            yield Finding(ORPHANED, project.shown(path), "part of a file whose writer was killed", REMEDY, mend)


def locks(project: Project) -> Iterator[Finding]:
    """Yield locks that no process holds: of runs, of workers, and of finalists' trainings that are done."""
    done = (file for file in project.studies.glob("*/scores/*.lock") if file.with_suffix(".npz").exists())
    kinds = {
        "a run whose process is gone": left_running(project.root),
        "a worker that is gone": filter(_is_free, project.studies.glob("*/workers/*.lock")),
        "a training that is done": filter(_is_free, done),
    }
    for kind, files in kinds.items():
        for file in sorted(files):
            mend = functools.partial(remove_left, file)
            yield Finding(ORPHANED, project.shown(file), f"lock of {kind}", REMEDY, mend)


def _is_free(file: Path) -> bool:
    return not is_held(file)


def _is_left(path: Path) -> bool:
    """Return whether no process has a file open, a moment after it was last written."""
    try:
        age = time.time() - path.stat().st_mtime
        if not OPEN_FILES.exists():
            return age > UNKNOWN_S
        time.sleep(min(SETTLED_S, max(0.0, SETTLED_S - age)))
        return path.exists() and not _is_open(path)
    except FileNotFoundError:
        return False


def _is_open(path: Path) -> bool:
    """Return whether a process has the file open, as far as this system tells."""
    wanted = path.stat()
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.path.samestat(descriptor.stat(), wanted):
                return True
        except OSError:  # gone, or another user's
            continue
    return False
