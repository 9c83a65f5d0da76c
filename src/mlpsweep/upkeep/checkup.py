"""The whole examination: every kind of finding in order, each mended before the next one is looked for."""

from collections.abc import Callable, Iterator
from typing import Final

from mlpsweep.errors import MlpsweepError
from mlpsweep.upkeep.copies import missing_trainings, missing_trials
from mlpsweep.upkeep.damage import damaged
from mlpsweep.upkeep.finding import Finding, Treated
from mlpsweep.upkeep.leftovers import locks, parts
from mlpsweep.upkeep.locations import moved
from mlpsweep.upkeep.processes import abandoned
from mlpsweep.upkeep.project import Project
from mlpsweep.upkeep.studies import checkpoints, deserted, orphaned

KINDS: Final[tuple[tuple[str, Callable[[Project], Iterator[Finding]]], ...]] = (
    ("experiments of a project that was moved", moved),
    ("trainings that the store lacks", missing_trainings),
    ("trials that the store lacks", missing_trials),
    ("runs without a process", abandoned),
    ("trials without a worker", deserted),
    ("folders without a study", orphaned),
    ("damaged folders", damaged),
    ("locks", locks),
    ("parts of files", parts),
    ("checkpoints", checkpoints),
)
"""What is looked for, in this order: artifacts are sent to the right place, and a run that is whole is not closed as
killed."""


def examine(project: Project, *, fix: bool) -> list[Treated]:
    """Look through a project, and mend what is safe to mend if asked to.

    Parameters
    ----------
    project : Project
    fix : bool
        Whether to change anything.

    Returns
    -------
    list of Treated
        In the order of ``KINDS``; empty if all is well.

    Raises
    ------
    StorageError
        If the store or the study cannot be read.
    """
    # Each kind is found whole before its first one is mended: a mended one may hide the next.
    return [_treated(finding, fix=fix) for _, find in KINDS for finding in list(find(project))]


def _treated(finding: Finding, *, fix: bool) -> Treated:
    if not fix or finding.mend is None:
        return Treated(finding)
    try:
        finding.mend()
    except MlpsweepError as error:
        return Treated(finding, fault=str(error))
    return Treated(finding, is_fixed=True)
