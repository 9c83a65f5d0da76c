"""Files that killed processes left: parts of files, and locks that nobody holds."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mlpsweep.files import left_parts, lock, sweep
from mlpsweep.search.database import STORE
from mlpsweep.tracking.project import left_running, remove_left
from mlpsweep.upkeep.finding import FIX, ORPHANED, Finding
from mlpsweep.upkeep.project import Project

REMEDY: Final = f"{FIX} removes it"


def parts(project: Project) -> Iterator[Finding]:
    """Yield temporary files of writes that never ended."""
    folders = (*project.folders, *project.data, project.root / STORE)
    for path in dict.fromkeys(path for folder in folders for path in left_parts(folder, recursive=True)):
        mend = functools.partial(sweep, path.parent)
        yield Finding(ORPHANED, project.shown(path), "part of a file whose writer was killed", REMEDY, mend)


def locks(project: Project) -> Iterator[Finding]:
    """Yield locks that no process holds: of runs, and of workers and finalists' trainings of earlier versions."""
    kinds = {
        "a run whose process is gone": left_running(project.root),
        "a worker that is gone": filter(_is_free, project.studies.glob("*/workers/*.lock")),
        "a training that is done": filter(_is_free, project.studies.glob("*/scores/*.lock")),
    }
    for kind, files in kinds.items():
        for file in sorted(files):
            mend = functools.partial(remove_left, file)
            yield Finding(ORPHANED, project.shown(file), f"lock of {kind}", REMEDY, mend)


def _is_free(file: Path) -> bool:
    try:
        with file.open("r") as stream:
            return lock(stream, wait=False)
    except FileNotFoundError:
        return False
