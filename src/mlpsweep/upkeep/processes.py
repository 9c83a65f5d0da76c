"""Runs that no process works on any more, or one of another project or host."""

import collections
import functools
from collections.abc import Iterator

from mlpsweep.tables import counted
from mlpsweep.tracking.abandoned import close_abandoned, is_at_work, is_of, running
from mlpsweep.tracking.queue import answered
from mlpsweep.upkeep.finding import FIX, STALE, Finding
from mlpsweep.upkeep.project import Project


def abandoned(project: Project) -> Iterator[Finding]:
    """Yield this project's runs on this host that are RUNNING without a process; others' in a row for each place."""
    runs = project.runs()
    if runs is None:
        return
    others: collections.Counter[tuple[str, str]] = collections.Counter()
    with answered(runs.where):
        found = list(running(runs.client, runs.experiment_ids))
    for run in found:
        tags, run_id = run.data.tags, run.info.run_id
        if not is_of(run, project.root):
            others[tags.get("host", "no host"), tags.get("project", "no project")[:8]] += 1
        elif not is_at_work(run, project.root):
            mend = functools.partial(close_abandoned, runs.client, [run.info.experiment_id], project.root)
            what = f"RUNNING, and its process is gone: {run.info.run_name}"
            yield Finding(STALE, f"run {run_id}", what, f"{FIX} closes it as FAILED (killed)", mend)
    for (host, name), n_runs in sorted(others.items()):
        what, remedy = f"{counted(n_runs, 'run')} of project {name} RUNNING", "not this project's here: left alone"
        yield Finding(STALE, f"host {host}", what, remedy, is_ours=False)
