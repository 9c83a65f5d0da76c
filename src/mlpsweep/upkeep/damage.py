"""Files of trainings and trials that cannot be read, or do not belong together; what is damaged is left as it is."""

from collections.abc import Iterator

from mlpsweep.errors import DataError
from mlpsweep.tracking.trial_record import NAME, TrialRecord
from mlpsweep.upkeep.finding import DAMAGED, Finding
from mlpsweep.upkeep.project import Project, fault_of


def damaged(project: Project) -> Iterator[Finding]:
    """Yield folders whose readers refuse them, with the reader's own words."""
    for folder in project.trainings():
        if fault := fault_of(folder):
            yield Finding(DAMAGED, project.shown(folder.path), fault, "train it again, or remove the folder")
    for path in project.trials():
        try:
            if (path / NAME).exists():
                TrialRecord.read(path)
        except DataError as error:
            yield Finding(DAMAGED, project.shown(path), str(error), "delete the file")
