"""Files that killed processes left: parts of files, and locks that nobody holds."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mlpsweep.files import left_parts, sweep
from mlpsweep.search.ownership import is_held
from mlpsweep.tracking.project import left_running, remove_left
from mlpsweep.upkeep.finding import FIX, ORPHANED, Finding
from mlpsweep.upkeep.project import STORE, Project

REMEDY: Final = f"{FIX} removes it"


def parts(project: Project) -> Iterator[Finding]:
    """Yield temporary files of writes that never ended."""
    folders = (*project.folders, *project.data, project.root / STORE)
    for path in dict.fromkeys(path for folder in folders for path in left_parts(folder, recursive=True)):
        mend = functools.partial(sweep, path.parent)
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
