"""The tables of a multirun: one row per job, and mean and spread where seeds and one setting varied."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mlpsweep.evaluation.statistics import spread_of
from mlpsweep.metric import metric_named
from mlpsweep.tables import Column, Table, varying
from mlpsweep.training.folder import RunRecord

METRIC: Final = "validation/accuracy"
LEAVES: Final = {"train/loss": 3, "validation/loss": 2, METRIC: 0}
"""The measured columns, and when each leaves a table that is too wide for a terminal."""

MEASURED: Final = tuple(LEAVES)

WELL: Final = frozenset({"done", "reused"})
"""How a job ended that has a result."""


@dataclass(frozen=True)
class FinishedJob:
    """One job of a multirun, completed or failed.

    Parameters
    ----------
    settings : mapping
        Settings of the job by dotted name.
    record : RunRecord or None
        Record beside the folder of the training; None if the training left none.
    ended : str
        A word that tells how the job ended.
    """

    settings: Mapping[str, Any]
    record: RunRecord | None
    ended: str = "done"

    @property
    def metrics(self) -> Mapping[str, float]:
        """Final metrics of the training; empty if the job left no record."""
        return {} if self.record is None else self.record.metrics


def jobs_table(jobs: Sequence[FinishedJob], title: str) -> Table:
    """Return one row per job, over the settings that differ between jobs."""
    names = varied(jobs)
    measured = [name for name in MEASURED if any(name in job.metrics for job in jobs)]
    columns = [
        Column("job", "job", leaves=0),
        *(Column(name, name) for name in names),
        *(Column(name, name, metric_named(name).kind, leaves=LEAVES[name]) for name in measured),
        Column("seconds", "time", "seconds", leaves=4),
        Column("ended", "ended", leaves=0),
    ]
    rows = tuple(
        {name: job.settings.get(name) for name in names}
        | {name: job.metrics.get(name) for name in measured}
        | {"job": number, "ended": _ended(job), "seconds": job.record and job.record.seconds}
        for number, job in enumerate(jobs)
    )
    done = {number: job.metrics[METRIC] for number, job in enumerate(jobs) if METRIC in job.metrics}
    return Table(title, tuple(columns), rows, max(done, key=lambda number: done[number], default=None))


def _ended(job: FinishedJob) -> str:
    return "reused" if job.ended == "done" and job.record and job.record.reused_from else job.ended


def by_value(jobs: Sequence[FinishedJob]) -> tuple[str, dict[Any, list[float]]] | None:
    """Return the setting that varied beside the seed, and the final accuracies of each of its values.

    Returns
    -------
    tuple of (str, dict), or None if not exactly the seed and one other setting varied, or no job has an accuracy.
    """
    names = varied(jobs)
    others = [name for name in names if name != "seed"]
    if len(others) != 1 or "seed" not in names:
        return None
    (name,) = others
    groups: dict[Any, list[float]] = {}
    for job in jobs:
        if METRIC in job.metrics:
            value = job.settings[name]
            groups.setdefault(tuple(value) if isinstance(value, list) else value, []).append(job.metrics[METRIC])
    return (name, groups) if groups else None


def seeds_table(name: str, groups: Mapping[Any, Sequence[float]]) -> Table:
    """Return mean, standard deviation and number of seeds for each value of a setting."""
    columns = (
        Column(name, name),
        Column("mean", f"mean {METRIC}", "percent"),
        Column("spread", "std. dev.", "percent"),
        Column("n", "seeds", "count"),
    )
    rows = tuple(
        {name: value, "mean": statistics.fmean(found), "spread": spread_of(found), "n": len(found)}
        for value, found in groups.items()
    )
    return Table(f"{METRIC} by {name}", columns, rows)


def varied(jobs: Sequence[FinishedJob]) -> tuple[str, ...]:
    """Return the settings that differ between jobs."""
    return varying([job.settings for job in jobs], jobs[0].settings)
