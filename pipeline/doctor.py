"""Tell what is missing, orphaned, stale, moved or damaged in folders, study and tracking store; fix=true mends it.

Reads paths.artifacts, outputs, multirun, mlruns and both stores. fix=true sends missing runs, points and files, closes
runs whose process is gone, repoints a project that was moved, and removes what killed processes left; it touches only
this project's runs on this host.
Exit codes: 0 nothing found or all mended, 4 a store cannot be read, 5 findings remain.
"""

import sys

from pipeline.door import Context, Door, enter
from pipeline.settings import DoctorJob


def run(settings: DoctorJob, context: Context) -> None:
    """Look, mend, tell."""
    from mlpsweep.errors import NoResultError
    from mlpsweep.tables import counted
    from mlpsweep.upkeep.checkup import examine
    from mlpsweep.upkeep.finding import FIX, findings_table
    from mlpsweep.upkeep.project import Project
    from pipeline.screen import show

    paths = settings.paths
    place = settings.search
    project = Project.here(paths.artifacts, (paths.raw, paths.prepared), settings.tracking, place.storage, place.folder)
    treated = examine(project, fix=settings.fix)
    if treated:
        show(findings_table(treated), piped=80)  # its cells are sentences, which are read
    n_fixed, n_left = sum(one.is_fixed for one in treated), sum(one.remains for one in treated)
    if n_left:
        n_mendable = sum(one.remains and one.finding.mend is not None for one in treated)
        more = f" `{FIX}` mends {n_mendable} of them." if n_mendable and not settings.fix else ""
        raise NoResultError(f"doctor: {counted(n_left, 'finding')} left, {n_fixed} fixed.{more}")
    sys.stdout.write(f"doctor: {counted(n_fixed, 'finding')} fixed\n" if n_fixed else "doctor: all is well\n")


DOOR = Door(
    module="pipeline.doctor",
    text=__doc__,
    settings=DoctorJob,
    config="doctor",
    run=run,
    examples=(
        "  # look, change nothing",
        "fix=true  # mend what is safe to mend",
        "tracking.uri=http://127.0.0.1:5000  # with the runs of a server",
    ),
)

if __name__ == "__main__":
    enter("pipeline.doctor")
