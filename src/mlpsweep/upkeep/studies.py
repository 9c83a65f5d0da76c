"""What is left over of studies: trials that no worker has any more, folders whose study is gone, checkpoints."""

from collections.abc import Iterator
from typing import Final

from mlpsweep.search.database import STORE, may_hold_studies, open_database
from mlpsweep.search.ledger import Ledger
from mlpsweep.search.scores import ScoreStore
from mlpsweep.search.study import UID
from mlpsweep.tables import counted
from mlpsweep.training.checkpoint import CheckpointStore
from mlpsweep.upkeep.finding import FIX, ORPHANED, STALE, Finding
from mlpsweep.upkeep.project import Project

PATIENCE_S: Final = 10.0
"""Seconds for which a database that does not answer is tried."""


def deserted(project: Project) -> Iterator[Finding]:
    """Yield studies with trials that are RUNNING and have lost their worker."""
    for ledger in _ledgers(project):
        numbers = ledger.deserted()
        if numbers:
            what = f"{counted(len(numbers), 'trial')} RUNNING without a worker: {', '.join(map(str, numbers))}"
            remedy = f"{FIX} leaves them to the next search, which takes them up"
            yield Finding(STALE, f"study {ledger.name}", what, remedy, ledger.leave)


def orphaned(project: Project) -> Iterator[Finding]:
    """Yield folders beside the database that belong to none of its studies."""
    known = {ledger.name for ledger in _ledgers(project)}
    for folder in sorted(project.studies.glob("*")):
        if folder.is_dir() and folder.name not in known:
            what = "folder of a study that the database of studies does not have"
            yield Finding(ORPHANED, project.shown(folder), what, "restore the database, or remove the folder")


def checkpoints(project: Project) -> Iterator[Finding]:
    """Yield the checkpoints of trials and of finalists' trainings that ended for good."""
    for ledger in _ledgers(project):
        folder = project.studies / ledger.name
        ended = [folder / "trials" / f"{t.number:04d}" for t in ledger.trials() if t.state.is_finished()]
        scored = ScoreStore(ledger.database, ledger.key).keys()
        ended += [folder / "finalists" / run_key[:16] for run_key in sorted(scored)]
        for place in (path / "checkpoints" for path in ended):
            if any(place.glob("epoch-*.ckpt")) or (place.is_dir() and not any(place.iterdir())):
                what = "checkpoints of a training that ended"
                mend = CheckpointStore(place).clear
                yield Finding(ORPHANED, project.shown(place), what, f"{FIX} removes them", mend)


def _ledgers(project: Project) -> list[Ledger]:
    if not may_hold_studies(project.storage):
        return []
    database = open_database(project.storage, project.root / STORE / ".lock", PATIENCE_S)
    studies = database.patiently(database.storage.get_all_studies)
    return [Ledger(database, study.study_name, str(study.user_attrs.get(UID, ""))) for study in studies]
