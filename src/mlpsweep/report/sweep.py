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
MEASURED: Final = ("train/loss", "validation/loss", METRIC)


@dataclass(frozen=True)
class FinishedJob:
    """One job of a multirun, completed or failed.

    Parameters
    ----------
    settings : mapping
        Settings of the job by dotted name.
    record : RunRecord or None
        Record beside the folder of the training; None if the training left none.
    faults : tuple of str
        Messages of a failed job; empty for a completed one.
    """

    settings: Mapping[str, Any]
    record: RunRecord | None
    faults: tuple[str, ...] = ()

    @property
    def metrics(self) -> Mapping[str, float]:
        """Final metrics of the training; empty if the job left no record."""
        return {} if self.record is None else self.record.metrics


def jobs_table(jobs: Sequence[FinishedJob], title: str) -> Table:
    """Return one row per job, over the settings that differ between jobs."""
    names = varied(jobs)
    measured = [name for name in MEASURED if any(name in job.metrics for job in jobs)]
    columns = [
        Column("job", "job"),
        *(Column(name, name) for name in names),
        *(Column(name, name, metric_named(name).kind) for name in measured),
        Column("seconds", "time", "seconds"),
        Column("ended", "ended"),
    ]
    rows = tuple(
        {name: job.settings.get(name) for name in names}
        | {name: job.metrics.get(name) for name in measured}
        | {"job": number, "ended": "; ".join(job.faults) or "done", "seconds": job.record and job.record.seconds}
        for number, job in enumerate(jobs)
    )
    return Table(title, tuple(columns), rows)


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
