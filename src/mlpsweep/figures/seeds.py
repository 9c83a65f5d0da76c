"""The figure of means and standard deviations over seeds, one error bar per value of a setting."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from mlpsweep.evaluation.statistics import spread_of
from mlpsweep.figures.axes import PANEL, metric_axis
from mlpsweep.figures.style import SERIES, drawing
from mlpsweep.tables import plain


def seeds_figure(name: str, groups: Mapping[Any, Sequence[float]], metric: str = "validation/accuracy") -> Figure:
    """Draw each value's seeds as points, and mean and standard deviation as a bar beside them.

    Parameters
    ----------
    name : str
        Name of the setting.
    groups : mapping of value to sequence of float
        Metric of each seed, by value of the setting, in the order of the x axis; accuracies as 0 .. 1.
    metric : str
        Name of the measured quantity, shown on the y axis.
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
