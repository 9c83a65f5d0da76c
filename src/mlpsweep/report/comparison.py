"""The comparison of runs over the settings that differ: one row per configuration, seeds as mean and spread."""

import ast
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from mlpsweep.errors import DataError, SettingsError
from mlpsweep.evaluation.statistics import spread_of
from mlpsweep.figures.axes import scale_of
from mlpsweep.figures.parallel import parallel_coordinates
from mlpsweep.figures.seeds import seeds_figure
from mlpsweep.figures.style import Figure, png_bytes
from mlpsweep.metric import metric_named
from mlpsweep.report.page import MARKED, Command, Page, Section, css_size, image, render_page
from mlpsweep.report.results import N_DIGITS
from mlpsweep.schema import nearest
from mlpsweep.search.rows import COMPLETE, Search, TrialRow
from mlpsweep.tables import Column, Table, counted, is_number, plain, varying
from mlpsweep.tracking.lookup import TrackedRun

DATA: Final = "data.name"
NOT_COMPARED: Final = ("seed", "n_layers")
"""Settings that give no row of their own: a row spans all seeds, and ``hidden_sizes`` tells the number of layers."""

MEASURED: Final = ("validation/accuracy", "validation/loss", "test/accuracy", "test/loss", "train/loss")
MAX_NAMES: Final = 8
"""Largest number of names on an axis of the figure; a setting with more names is in the table only."""

MAX_WIDTH: Final = 400
"""Largest width, in CSS pixels, of a figure that may stand beside others."""


@dataclass(frozen=True)
class Group:
    """Runs that differ by their seed at most.

    Parameters
    ----------
    settings : mapping
        Settings of all runs by name, without the seed.
    status : str
        Status in which all runs ended.
    runs : tuple of TrackedRun
        The runs, at least one.
    """

    settings: Mapping[str, Any]
    status: str
    runs: tuple[TrackedRun, ...]

    @property
    def applying(self) -> dict[str, Any]:
        """The settings that are not null."""
        return {name: value for name, value in self.settings.items() if value is not None}

    def values(self, metric: str) -> list[float]:
        """Return a metric of each run that has it."""
        return [run.metrics[metric] for run in self.runs if metric in run.metrics]

    def mean(self, metric: str) -> float | None:
        """Return the mean of a metric over the runs that have it."""
        values = self.values(metric)
        return statistics.fmean(values) if values else None


@dataclass(frozen=True)
class Comparison:
    """Runs to compare, grouped into rows.

    Parameters
    ----------
    dataset : str
        The one data set that every run was trained on.
    metric : str
        Metric that orders the rows.
    names : tuple of str
        Names of the settings that differ.
    groups : tuple of Group
        The rows, best first, rows without the metric last.
    """

    dataset: str
    metric: str
    names: tuple[str, ...]
    groups: tuple[Group, ...]

    @property
    def runs(self) -> tuple[TrackedRun, ...]:
        """All runs, row by row."""
        return tuple(run for group in self.groups for run in group.runs)

    @property
    def shared(self) -> dict[str, Any]:
        """Settings that all runs have in common."""
        settings = next(group.settings for group in self.groups if group.settings)
        return {name: value for name, value in settings.items() if name not in self.names}

    def table(self, n_rows: int | None = None, *, names_runs: bool = True) -> Table:
        """Return the rows as a table.

        Parameters
        ----------
        n_rows : int or None
            Number of rows, from the best; None for all.
        names_runs : bool
            Whether the table has the ids of the runs.
        """
        measured = [m for m in dict.fromkeys((self.metric, *MEASURED)) if any(group.values(m) for group in self.groups)]
        has_seeds = any(len(group.runs) > 1 for group in self.groups)
        has_ends = len({group.status for group in self.groups}) > 1
        columns = [
            Column("row", "row", "count", leaves=0),
            *(Column(name, name, self._setting_kind(name)) for name in self.names),
        ]
        for metric in measured:
            kind = metric_named(metric).kind
            title, leaves = f"mean {metric}" if has_seeds else metric, 0 if metric == self.metric else 3
            columns.append(Column(metric, title, kind, leaves))
            columns += [Column("spread", "std. dev.", kind, leaves=2)] * (has_seeds and metric == self.metric)
        columns += [Column("n_runs", "runs", "count", leaves=2)] * has_seeds
        columns += [Column("status", "ended", leaves=0)] * has_ends
        columns += [Column("run_ids", "MLflow runs")] * names_runs
        rows = tuple(self._row(number, group, measured) for number, group in enumerate(self.groups[:n_rows], 1))
        n_runs, best = len(self.runs), f"the best {len(rows)} of " if len(rows) < len(self.groups) else ""
        title = f"{n_runs} runs on {self.dataset} in {best}{counted(len(self.groups), 'row')}, the best first"
        return Table(title, tuple(columns), rows, best=0)

    def _setting_kind(self, name: str) -> str:
        values = [group.applying[name] for group in self.groups if name in group.applying]
        if not all(is_number(value) for value in values):
            return "text"
        return "count" if all(isinstance(value, int) for value in values) else "number"

    def _row(self, number: int, group: Group, measured: Sequence[str]) -> dict[str, Any]:
        values = group.values(self.metric)
        told = {"row": number, "n_runs": len(group.runs), "status": group.status}
        told |= {"spread": spread_of(values) if len(values) > 1 else None}
        told |= {"run_ids": " ".join(run.run_id for run in group.runs)}
        return {**group.settings, **told, **{metric: group.mean(metric) for metric in measured}}


def compare(runs: Sequence[TrackedRun], metric: str) -> Comparison:
    """Return runs as rows over the settings that differ.

    Parameters
    ----------
    runs : sequence of TrackedRun
        At least two runs on one data set; a run named twice counts once.
    metric : str
        Metric that orders the rows; :data:`mlpsweep.metric.QUANTITIES` holds its direction.

    Raises
    ------
    SettingsError
        If there are fewer than two runs, one is no training, or none has the metric.
    DataError
        If the runs were trained on different data sets.
    """
    runs = list({run.run_id: run for run in runs}.values())
    _check(runs, metric)
    groups = _groups(runs)
    # A run of earlier times that failed has no settings: it is a row, and differs in nothing that is known.
    told = [group.settings for group in groups if group.settings]
    names = varying(told, dict.fromkeys(name for settings in told for name in settings))
    sign = -metric_named(metric).sign
    ranked = sorted(groups, key=lambda g: (g.mean(metric) is None, sign * (g.mean(metric) or 0.0)))
    return Comparison(next(run.params[DATA] for run in runs if DATA in run.params), metric, names, tuple(ranked))


def _check(runs: Sequence[TrackedRun], metric: str) -> None:
    """Raise for runs that cannot be compared."""
    if len(runs) < 2:
        raise SettingsError(f"compare: {len(runs)} runs; expected at least two. Name a sweep, or more of run_ids")
    foreign = [run for run in runs if DATA not in run.params and not run.is_training]
    if foreign:
        raise SettingsError(
            *(f"run_ids: {run.run_id} ({run.name}) is no training; expected the ids of jobs" for run in foreign)
        )
    datasets = sorted({run.params[DATA] for run in runs if DATA in run.params})
    if len(datasets) > 1:
        raise DataError(
            f"compare: the runs are of {' and '.join(datasets)}; expected one data set, because figures on different "
            "data cannot be compared. Name runs of one of them."
        )
    measured = sorted({name for run in runs for name in run.metrics})
    if metric not in measured:
        known = ", ".join(name for name in measured if not name.startswith("batch/")) or "none at all"
        raise SettingsError(f"metric: {metric!r} is in none of the runs{nearest(metric, measured)}; they have {known}")


def _groups(runs: Sequence[TrackedRun]) -> list[Group]:
    """Group the runs that differ by their seed only; a run with another status has a group of its own."""
    groups: dict[tuple[Any, ...], list[TrackedRun]] = {}
    for run in runs:
        settings = sorted((name, text) for name, text in run.params.items() if name not in NOT_COMPARED)
        groups.setdefault((run.status, *settings), []).append(run)
    return [
        Group({name: _value(text) for name, text in settings}, status, tuple(alike))
        for (status, *settings), alike in groups.items()
    ]


@lru_cache(maxsize=10_000)  # thousands of runs share a few texts
def _value(text: str) -> Any:
    """Return the value of a parameter that the store keeps as text: a number, a list, true, null, or a name."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def comparison_figure(compared: Comparison) -> Figure:
    """Draw the rows: side by side with their seeds if one setting differs, else as lines through the settings."""
    shown = [group for group in compared.groups if group.values(compared.metric)]
    names = _axes(shown, compared.names)
    if len(names) < 2 and len(shown) <= MAX_NAMES:
        (name,) = names or ["all settings alike"]
        found = [(group.settings.get(name), group.values(compared.metric)) for group in shown]
        if all(is_number(value) for value, _ in found):
            found.sort(key=lambda pair: float(pair[0] or 0))
        groups = {tuple(value) if isinstance(value, list) else value: values for value, values in found}
        return seeds_figure(name, groups, compared.metric)
    rows = tuple(
        TrialRow(number, COMPLETE, group.mean(compared.metric), {n: v for n, v in group.applying.items() if n in names})
        for number, group in enumerate(shown, 1)
    )
    return parallel_coordinates(Search("", compared.metric, rows), noun="row")


def _axes(groups: Sequence[Group], names: Sequence[str]) -> list[str]:
    """Return the settings that differ and fit an axis; ``hidden_sizes`` replaces ``n_parameters``."""
    found = []
    for name in varying([group.settings for group in groups], names):
        values = [group.applying[name] for group in groups if name in group.applying]
        if len(scale_of(values).names) <= MAX_NAMES:
            found.append(name)
    return [name for name in found if name != "n_parameters" or "hidden_sizes" not in found]


def render_comparison(compared: Comparison, png: bytes, command: str) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    compared : Comparison
        Runs to show; not modified.
    png : bytes
        The figure, PNG.
    command : str
        Command line that makes the page again.
    """
    best, table = compared.groups[0], _for_page(compared)
    value = metric_named(compared.metric).shown(best.mean(compared.metric))
    over = f" (mean of {len(best.runs)} seeds)" if len(best.runs) > 1 else ""
    settings = ", ".join(f"{name}={plain(best.settings.get(name))}" for name in compared.names)
    n_rows = counted(len(compared.groups), "row")
    alt = f"{compared.metric} of {n_rows} over {', '.join(compared.names)}; the best is {value}."
    shared = tuple({"name": name, "value": value} for name, value in compared.shared.items())
    columns = (Column("name", "setting"), Column("value", "value"))
    drawn = image(png, alt, f"{compared.metric} over the settings that differ", is_wide=css_size(png)[0] > MAX_WIDTH)
    sections = (
        Section("runs", "Runs", tables=(table,), pictures=(drawn,)),
        Section(
            "shared",
            "Shared settings",
            tables=(Table("Settings that are the same in all runs", columns, shared),),
            commands=(Command("this page again", command),),
        ),
    )
    return render_page(
        Page(
            title=f"Comparison of runs on {compared.dataset}",
            lead=f"The best of {n_rows} has {compared.metric} {value}{over}: {settings}.",
            facts=(("data set", compared.dataset), ("runs", str(len(compared.runs)))),
            warnings=(),
            sections=sections,
        )
    )


def _for_page(compared: Comparison) -> Table:
    """Return the table with its best row marked, and what was measured where a phone shows it, before the settings."""
    table, first = compared.table(), ("row", compared.metric, "spread")
    columns = sorted(table.columns, key=lambda column: column.key not in first)
    best = compared.groups[0].mean(compared.metric)
    rows = tuple(
        {
            **row,
            MARKED: row[compared.metric] == best,
            "run_ids": " ".join(one[:N_DIGITS] for one in row["run_ids"].split()),
        }
        for row in table.rows
    )
    return Table(table.title, tuple(columns), rows)


def figure_png(compared: Comparison) -> bytes:
    """Return the figure as PNG bytes, for the file and for the page."""
    return png_bytes(comparison_figure(compared))
