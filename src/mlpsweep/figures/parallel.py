"""The figure of parallel coordinates: one line per complete trial through the values of all varying parameters."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from mlpsweep.figures.axes import PANEL, WIDE, Scale, scale_of
from mlpsweep.figures.style import AMOUNTS, INK, MUTED, SERIES, SURFACE, bare, crowded, drawing, legend_below
from mlpsweep.metric import metric_named
from mlpsweep.search.rows import Search, TrialRow
from mlpsweep.tables import FORMATS
from mlpsweep.types import FloatArray

FEW: Final = 3
"""Largest number of axes of a figure that is no wider than they need."""

ABSENT = -0.12
"""Height, in axis lengths, at which a line passes a parameter that does not apply to its trial."""

BOX: Final = MappingProxyType({"facecolor": SURFACE, "edgecolor": "none", "pad": 0.8, "alpha": 0.85})
"""Background of a text that lines cross."""


def parallel_coordinates(search: Search, noun: str = "trial") -> Figure:
    """Draw complete trials over the parameters that vary, the objective last; better trials are stronger and on top.

    Parameters
    ----------
    search : Search
        Trials, at least one of them complete.
    noun : str
        Singular label of a line, such as ``trial`` or ``row``.
    """
    sign = metric_named(search.metric).sign
    trials = sorted(search.complete, key=lambda trial: sign * (trial.value or 0.0))  # worst first
    names = [name for name in search.varying_params if any(name in trial.params for trial in trials)]
    scales = [
        scale_of([trial.params[name] for trial in trials if name in trial.params], is_log=search.is_log(name))
        for name in names
    ]
    with drawing():
        figure = Figure(figsize=(max(WIDE if len(names) > FEW else PANEL[0], 1.25 * (len(names) + 1)), 3.6))
        axes = figure.subplots()
        bare(axes)
        columns = [_heights(trials, name, scale) for name, scale in zip(names, scales, strict=True)]
        ranks = np.linspace(0, 1, len(trials)) if len(trials) > 1 else np.ones(1)
        columns.append(ranks)
        lines = [np.column_stack([np.arange(len(columns)), heights]) for heights in zip(*columns, strict=True)]
        strengths = 0.15 + 0.85 * ranks
        width = 0.8 if len(lines) < 100 else 0.4 * crowded(len(lines))
        axes.add_collection(LineCollection(lines[:-1], colors=AMOUNTS(strengths[:-1]), linewidths=width))
        axes.plot(*lines[-1].T, color=SERIES[1], linewidth=2.2, label=f"best, {noun} {trials[-1].number}")
        has_absent = any((heights == ABSENT).any() for heights in columns)
        for position, (name, scale) in enumerate(zip(names, scales, strict=True)):
            low, high = _range(scale, trials, name)
            title = f"{name}\n(log scale)" if scale.is_log else name
            _axis(axes, position, title, [((p - low) / (high - low or 1), text) for p, text in scale.ticks])
            if (columns[position] == ABSENT).any():
                axes.text(position + 0.05, ABSENT, "none", va="center", fontsize=8.5, bbox=BOX)
        _axis(axes, len(names), f"{search.metric}\n(by rank)", _rank_ticks(search, trials))
        axes.set(xlim=(-0.1, len(names) + 0.62), ylim=(ABSENT - 0.06 if has_absent else -0.04, 1.05))
        axes.set_title("Parallel coordinates", pad=26)
        legend_below(figure)
    return figure


def _range(scale: Scale, trials: Sequence[TrialRow], name: str) -> tuple[float, float]:
    positions = [scale.position(trial.params[name]) for trial in trials if name in trial.params]
    return min(positions), max(positions)


def _heights(trials: Sequence[TrialRow], name: str, scale: Scale) -> FloatArray:
    """Return each trial's height on one axis: 0 .. 1, or ``ABSENT``."""
    low, high = _range(scale, trials, name)
    return np.array(
        [
            (scale.position(trial.params[name]) - low) / (high - low or 1) if name in trial.params else ABSENT
            for trial in trials
        ]
    )


def _rank_ticks(search: Search, trials: Sequence[TrialRow]) -> list[tuple[float, str]]:
    """Return the objective at five evenly spaced ranks; a scale of values would give most room to a few bad trials."""
    kind = metric_named(search.metric).kind
    picks = sorted({round(share * (len(trials) - 1)) for share in (0, 0.25, 0.5, 0.75, 1)})
    return [(i / max(1, len(trials) - 1), FORMATS[kind](trials[i].value)) for i in picks]


def _axis(axes: Axes, x: int, name: str, ticks: Sequence[tuple[float, str]]) -> None:
    """Draw one vertical axis with its name on top and its ticks at the right."""
    axes.plot([x, x], [0, 1], color=MUTED, linewidth=1.0)
    axes.text(x, 1.07, name, ha="left" if x == 0 else "center", va="bottom", fontsize=8.5, color=INK)
    for height, text in ticks:
        if -0.001 <= height <= 1.001:
            axes.plot([x, x + 0.03], [height, height], color=MUTED, linewidth=1.0)
            axes.text(x + 0.05, height, text, va="center", fontsize=8.5, color=INK, bbox=BOX)
