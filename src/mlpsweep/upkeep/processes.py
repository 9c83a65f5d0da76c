"""Runs that no process works on any more, or one of another project or host."""

import collections
import functools
from collections.abc import Iterator

from mlpsweep.tables import counted
from mlpsweep.tracking.abandoned import close_abandoned, is_abandoned, is_of, running
from mlpsweep.tracking.queue import answered
from mlpsweep.upkeep.finding import FIX, STALE, Finding
from mlpsweep.upkeep.project import Project


def abandoned(project: Project) -> Iterator[Finding]:
    """Yield this project's runs on this host that are RUNNING without a process; others' in a row for each place."""
    runs = project.runs()
    if runs is None:
        return
    with answered(runs.where):
        found = list(running(runs.client, runs.experiment_ids))
        mine = [run for run in found if is_of(run, project.root)]
        lost = [run.info for run in mine if is_abandoned(runs.client, run, project.root)]
    for info in lost:
        mend = functools.partial(close_abandoned, runs.client, [info.experiment_id], project.root)
        what = f"RUNNING, and its process is gone: {info.run_name}"
        yield Finding(STALE, f"run {info.run_id}", what, f"{FIX} closes it as FAILED (killed)", mend)
    tags = [run.data.tags for run in found if run not in mine]
    others = collections.Counter((one.get("host", "no host"), one.get("project", "no project")[:8]) for one in tags)
    for (host, name), n_runs in sorted(others.items()):
        what, remedy = f"{counted(n_runs, 'run')} of project {name} RUNNING", "not this project's here: left alone"
        yield Finding(STALE, f"host {host}", what, remedy, is_ours=False)
