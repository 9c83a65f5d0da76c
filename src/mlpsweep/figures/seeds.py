"""A multirun over one setting and several seeds: mean and spread of each value, as a table and with error bars."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

from matplotlib.figure import Figure

from mlpsweep.evaluation.statistics import spread_of
from mlpsweep.figures.axes import PANEL, metric_axis
from mlpsweep.figures.style import SERIES, drawing
from mlpsweep.tables import Column, Table, plain

METRIC: Final = "validation/accuracy"


def by_value(rows: Sequence[Mapping[str, Any]], varied: Sequence[str]) -> tuple[str, dict[Any, list[float]]] | None:
    """Return the setting that varied beside the seed, and the final accuracies of each of its values.

    Parameters
    ----------
    rows : sequence of mapping
        One per job: settings and metrics by name; a job without the metric is left out.
    varied : sequence of str
        The settings that differ between jobs.

    Returns
    -------
    tuple of (str, dict), or None if not exactly the seed and one other setting varied.
    """
    others = [name for name in varied if name != "seed"]
    if len(others) != 1 or "seed" not in varied:
        return None
    (name,) = others
    groups: dict[Any, list[float]] = {}
    for row in rows:
        if row.get(METRIC) is not None:
            value = row[name]
            groups.setdefault(tuple(value) if isinstance(value, list) else value, []).append(row[METRIC])
    return (name, groups) if groups else None


def seeds_table(name: str, groups: Mapping[Any, Sequence[float]]) -> Table:
    """Return mean, standard deviation and number of seeds for each value of a setting."""
    columns = (
        Column(name, name),
        Column("mean", f"mean {METRIC}", "percent"),
        Column("spread", "s", "percent"),
        Column("n", "seeds", "count"),
    )
    rows = tuple(
        {name: value, "mean": statistics.fmean(found), "spread": spread_of(found), "n": len(found)}
        for value, found in groups.items()
    )
    return Table(f"{METRIC} by {name}", columns, rows)


def seeds_figure(name: str, groups: Mapping[Any, Sequence[float]], metric: str = METRIC) -> Figure:
    """Draw each value's seeds as points, and mean and standard deviation as a bar beside them.

    Parameters
    ----------
    name : str
        The setting.
    groups : mapping of value to sequence of float
        What its seeds reached, accuracies as 0 .. 1; values are shown side by side in this order.
    metric : str
        What they reached of.
    """
    with drawing():
        figure = Figure(figsize=PANEL)
        axes = figure.subplots()
        places = range(len(groups))
        for place, found in zip(places, groups.values(), strict=True):
            axes.plot([place - 0.15] * len(found), found, "o", color=SERIES[0], alpha=0.6)
            axes.errorbar(
                [place + 0.1], [statistics.fmean(found)], yerr=[spread_of(found)], fmt="s", color=SERIES[1], capsize=3
            )
        metric_axis(axes, metric, [value for found in groups.values() for value in found])
        axes.set_xticks(places, [plain(value) for value in groups])
        axes.set(xlabel=name, xlim=(-0.5, len(groups) - 0.5))
        axes.set_title("seeds, mean and standard deviation")
    return figure
