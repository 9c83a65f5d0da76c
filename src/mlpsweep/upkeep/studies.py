"""What is left over of studies: trials that no worker has any more, folders whose study is gone, checkpoints."""

import functools
from collections.abc import Iterator
from pathlib import Path

from mlpsweep.search.ledger import Ledger, database_errors, open_storage
from mlpsweep.search.ownership import is_held
from mlpsweep.tables import counted
from mlpsweep.training.checkpoint import CheckpointStore
from mlpsweep.upkeep.finding import FIX, ORPHANED, STALE, Finding
from mlpsweep.upkeep.project import STORE, Project


def deserted(project: Project) -> Iterator[Finding]:
    """Yield studies with trials that are RUNNING and have lost their worker."""
    for ledger in _ledgers(project):
        is_alive = functools.partial(_is_alive, project.studies / ledger.name / "workers")
        numbers = ledger.deserted(is_alive)
        if numbers:
            what = f"{counted(len(numbers), 'trial')} RUNNING without a worker: {', '.join(map(str, numbers))}"
            remedy = f"{FIX} leaves them to the next search, which takes them up"
            yield Finding(STALE, f"study {ledger.name}", what, remedy, functools.partial(ledger.leave, is_alive))


def orphaned(project: Project) -> Iterator[Finding]:
    """Yield folders beside the database that belong to none of its studies."""
    known = {ledger.name for ledger in _ledgers(project)}
    for folder in sorted(project.studies.glob("*")):
        if folder.is_dir() and folder.name not in known:
            what = f"folder of a study that {project.study_file.name} does not have"
            yield Finding(ORPHANED, project.shown(folder), what, "restore the database, or remove the folder")


def checkpoints(project: Project) -> Iterator[Finding]:
    """Yield the checkpoints of trials and of finalists' trainings that ended for good."""
    for ledger in _ledgers(project):
        folder = project.studies / ledger.name
        ended = [folder / "trials" / f"{t.number:04d}" for t in ledger.trials() if t.state.is_finished()]
        ended += [folder / "finalists" / file.stem[:16] for file in (folder / "scores").glob("*.npz")]
        for place in (path / "checkpoints" for path in ended):
            if any(place.glob("epoch-*.ckpt")) or (place.is_dir() and not any(place.iterdir())):
                what = "checkpoints of a training that ended"
                mend = CheckpointStore(place).clear
                yield Finding(ORPHANED, project.shown(place), what, f"{FIX} removes them", mend)


def _is_alive(workers: Path, owner: str | None) -> bool:
    return owner is not None and is_held(workers / f"{owner}.lock")


def _ledgers(project: Project) -> list[Ledger]:
    if not project.study_file.exists():
        return []
    url = f"sqlite:///{project.study_file}"
    storage = open_storage(url, project.root / STORE / ".lock")
    with database_errors(url):
        return [Ledger(storage, study.study_name) for study in storage.get_all_studies()]
