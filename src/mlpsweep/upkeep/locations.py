"""Experiments whose artifacts are looked for where the project was before it was moved, or copied from."""

import functools
from collections.abc import Iterator

from mlpsweep.tables import counted
from mlpsweep.tracking.queue import answered
from mlpsweep.tracking.relocate import is_misplaced, relocate
from mlpsweep.upkeep.finding import FIX, MOVED, Finding
from mlpsweep.upkeep.project import Project


def moved(project: Project) -> Iterator[Finding]:
    """Yield the store, if the artifacts of some of its experiments are not looked for in this project."""
    runs = project.runs()
    if runs is None:
        return
    with answered(runs.where):
        known = {one.experiment_id: one.artifact_location for one in runs.experiments()}
    locations = {number: place for number, place in known.items() if is_misplaced(project.uri, place, project.root)}
    if locations:
        mend = functools.partial(relocate, project.uri, locations, project.root)
        former, n = " and ".join(sorted(set(locations.values()))), counted(len(locations), "experiment")
        what = f"artifacts of {n} are looked for in {former}; the project lies here now"
        yield Finding(MOVED, runs.where, what, f"{FIX} repoints it, after a copy of the store", mend)
