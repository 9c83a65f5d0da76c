"""Figures of a search: values of trials over time and over parameters, importances, timeline of workers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mlpsweep.figures.axes import PANEL, WIDE, metric_axis, scale_of, time_unit
from mlpsweep.figures.parallel import parallel_coordinates
from mlpsweep.figures.style import INK, MUTED, SERIES, SURFACE, crowded, drawing, headline, legend_below
from mlpsweep.metric import metric_named
from mlpsweep.search.rows import COMPLETE, FAILED, PAUSED, PRUNED, Search, TrialRow
from mlpsweep.search.rungs import FIRST_LOOK
from mlpsweep.tables import FORMATS, counted

MARKS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {COMPLETE: ("o", "complete"), PRUNED: ("v", "pruned"), PAUSED: ("^", "paused")}
)
"""Marker and name of the trials that have a value to draw."""

IMPORTANCE: Final = "PED-ANOVA"
"""The method by which a search computes importances."""

FEW: Final = 8
"""Largest number of different values of a parameter that a figure draws as columns."""


def history(search: Search) -> Figure:
    """Draw each trial's value in the order of trials, and the best value so far as a line."""
    with drawing():
        figure = Figure(figsize=PANEL)
        axes = figure.subplots()
        _scatter(axes, search, lambda trial: trial.number)
        best = np.maximum if metric_named(search.metric).maximize else np.minimum
        numbers = [trial.number for trial in search.complete]
        if numbers:
            so_far = best.accumulate([trial.value or 0.0 for trial in search.complete])
            axes.step(numbers, so_far, where="post", color=SERIES[1], label="best so far")
        axes.xaxis.set_major_locator(MaxNLocator(10 if len(search.trials) < 1000 else 5, integer=True))
        axes.set(xlabel="trial")
        axes.set_title("Search history")
        legend_below(figure, 2)
    return figure


def slice_panel(search: Search, name: str) -> Figure:
    """Draw the objective over one parameter; trials to which it does not apply are left out."""
    with drawing():
        figure = Figure(figsize=PANEL)
        _slice(figure.subplots(), search, name)
        legend_below(figure, 3)
    return figure


def slices(search: Search) -> Figure:
    """Draw the objective over each parameter that varies, side by side."""
    names = search.varying_params
    n_columns = max(1, min(len(names), min((3, 4), key=lambda n: -len(names) % n)))  # as few holes as can be
    n_rows = max(1, -(-len(names) // n_columns))
    with drawing():
        figure = Figure(figsize=(PANEL[0] * n_columns, PANEL[1] * n_rows))
        panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
        for index, (axes, name) in enumerate(zip(panels, names, strict=False)):
            _slice(axes, search, name)
            if index % n_columns:
                axes.set_ylabel("")
        for axes in panels[len(names) :]:
            axes.set_axis_off()
        legend_below(figure, 3)
    return figure


def importances(search: Search) -> Figure:
    """Draw how much of the objective's spread each parameter explains, the strongest on top."""
    ranked = sorted(search.importances.items(), key=lambda item: item[1])
    with drawing():
        figure = Figure(figsize=(PANEL[0], max(1.4, 0.8 + 0.3 * len(ranked))))
        axes = figure.subplots()
        bars = axes.barh([name for name, _ in ranked], [share for _, share in ranked], color=SERIES[0])
        axes.bar_label(bars, [FORMATS["share"](share) for _, share in ranked], padding=3, color=INK, fontsize=8.5)
        headline(figure, "Importance of parameters")
        axes.set(xlim=(0, 1.18 * max((share for _, share in ranked), default=1)), xticks=[])
        axes.set_xlabel(f"{IMPORTANCE} over {counted(len(search.complete), 'complete trial')}")
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(False)
    return figure


def intermediate_values(search: Search) -> Figure:
    """Draw each trial's reported values over the epochs; one cut short ends in a marker, the best one stands out."""
    best = search.best
    with drawing():
        figure = Figure(figsize=PANEL)
        axes = figure.subplots()
        curves = [trial.intermediate for trial in search.trials if trial.intermediate]
        # One collection of thousands of lines takes a tenth of the time of as many lines.
        look: dict[str, Any] = {"colors": SERIES[0], "linewidths": 0.7, "alpha": 0.35 * crowded(len(curves))}
        axes.add_collection(LineCollection(curves, **look, capstyle="projecting", joinstyle="round"))
        axes.autoscale_view()  # a collection alone does not ask for it before matplotlib 3.11
        for state in (PRUNED, PAUSED):
            marker, label = MARKS[state]
            cut = [trial.intermediate[-1] for trial in search.trials if trial.state == state and trial.intermediate]
            if cut:
                axes.plot(*zip(*cut, strict=True), marker, color=MUTED, markersize=4, label=label)
        if best is not None and best.intermediate:
            label = f"best, trial {best.number}"
            axes.plot(*zip(*best.intermediate, strict=True), color=SERIES[1], linewidth=2, label=label)
        metric_axis(axes, search.metric, [value for curve in curves for _, value in curve])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        has_look = any(curve[0][0] == FIRST_LOOK for curve in curves)
        axes.set(xlabel="epoch; at 0: a first look within epoch 1" if has_look else "epoch")
        axes.set_title("Values during training")
        legend_below(figure, 2)
    return figure


def timeline(search: Search) -> Figure:
    """Draw when each worker ran which trial, coloured by how the trial ended."""
    stints = [(trial.state, stint) for trial in search.trials for stint in trial.stints]
    workers = sorted({stint.worker for _, stint in stints})
    first = min((stint.start for _, stint in stints), default=0.0)
    unit, seconds = time_unit(max((stint.end - first for _, stint in stints), default=0.0))
    colours = {COMPLETE: SERIES[0], PRUNED: SERIES[6], PAUSED: SERIES[6], FAILED: SERIES[1]}
    with drawing():
        figure = Figure(figsize=(WIDE, 1.3 + 0.35 * len(workers)))
        axes = figure.subplots()
        for state, colour in colours.items():
            # One collection of thousands of bars takes a tenth of the time of as many rectangles.
            bars = [
                _bar(workers.index(one.worker), (one.start - first) / seconds, (one.end - one.start) / seconds)
                for ended, one in stints
                if ended == state
            ]
            if bars:
                label = f"{state} ({sum(t.state == state and bool(t.stints) for t in search.trials)})"
                look: dict[str, Any] = {"facecolor": colour, "edgecolor": SURFACE, "linewidth": 0.2, "zorder": 1}
                axes.add_collection(PolyCollection(bars, **look, label=label))
        axes.autoscale_view()
        axes.set_yticks(range(len(workers)), [worker or "worker" for worker in workers])
        axes.invert_yaxis()
        axes.margins(x=0)
        axes.grid(visible=False, axis="y")
        axes.set(xlabel=f"time since the first start, {unit}")
        axes.set_title("Timeline of workers")
        legend_below(figure, 3)
    return figure


def _bar(lane: int, left: float, width: float) -> list[tuple[float, float]]:
    low, high, right = lane - 0.35, lane + 0.35, left + width
    return [(left, low), (right, low), (right, high), (left, high)]


@dataclass(frozen=True, slots=True)
class WorkTime:
    """The time that a search took.

    Parameters
    ----------
    seconds : float
        Time from the first start to the last end of work on a trial.
    n_workers : int
        Number of workers that ran a trial.
    busy_share : float
        Share of the workers' time in which they ran trials, 0 .. 1.
    """

    seconds: float
    n_workers: int
    busy_share: float


def work_time(search: Search) -> WorkTime | None:
    """Return the time that a search took, or None if its trials have no times."""
    stints = [stint for trial in search.trials for stint in trial.stints]
    span = max((stint.end for stint in stints), default=0.0) - min((stint.start for stint in stints), default=0.0)
    if span <= 0:
        return None
    busy, n_workers = sum(one.end - one.start for one in stints), len({one.worker for one in stints})
    return WorkTime(span, n_workers, min(1.0, busy / (span * n_workers)))


def _slice(axes: Axes, search: Search, name: str) -> None:
    drawn = [trial.params[name] for trial in search.trials if name in trial.params]
    scale = scale_of(drawn, is_log=search.is_log(name))

    # Few values make columns of points; the golden ratio spreads the points of a column, so that none hides another.
    places = np.unique([scale.position(value) for value in drawn])
    spread = 0.3 * float(np.diff(places).min()) if 1 < len(places) <= FEW else 0.0

    def position(trial: TrialRow) -> float | None:
        if name not in trial.params:
            return None
        return scale.position(trial.params[name]) + spread * (trial.number * 0.618 % 1 - 0.5)

    _scatter(axes, search, position)
    scale.draw(axes.xaxis)
    axes.set_title(name)


def _scatter(axes: Axes, search: Search, x_of: Callable[[TrialRow], float | None]) -> None:
    """Draw value over ``x_of(trial)``, complete and pruned trials apart, and the best one ringed."""
    drawn: list[float] = []
    for state, (marker, label) in MARKS.items():
        points = [
            (x, trial.last_value)
            for trial in search.trials
            if trial.state == state and trial.last_value is not None and (x := x_of(trial)) is not None
        ]
        if points:
            colour, face = (SERIES[0], SERIES[0]) if state == COMPLETE else (MUTED, "none")
            share = crowded(len(search.trials))
            style: dict[str, Any] = {"marker": marker, "facecolor": face, "edgecolor": colour}
            style |= {"s": 16 * share, "linewidth": 0.8 * share**0.5}
            axes.scatter(*np.array(points).T, label=label, **style)
            drawn += [value for _, value in points]
    metric_axis(axes, search.metric, drawn)
    best = search.best
    if best is not None and (x_best := x_of(best)) is not None:
        ring: dict[str, Any] = {"s": 70, "facecolor": "none", "edgecolor": SERIES[1], "linewidth": 1.8}
        axes.scatter([x_best], [best.value or 0.0], zorder=3, label=f"best, trial {best.number}", **ring)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of figure.

    Parameters
    ----------
    name : str
        Stem of the figure's file.
    draw : callable
        Function from a search to the figure.
    is_drawable : callable
        Function from a search to whether the figure has something to show.
    says : str
        Description of the figure, for its caption and its text alternative.
    is_wide : bool
        Whether the figure is wider than one panel.
    """

    name: str
    draw: Callable[[Search], Figure]
    is_drawable: Callable[[Search], bool]
    says: str
    is_wide: bool = False


def _has_best(search: Search) -> bool:
    return search.best is not None


def _has_slices(search: Search) -> bool:
    return search.best is not None and bool(search.varying_params)


FIGURES: Final = (
    Kind("history", history, _has_best, "each trial's value in order, and the best so far"),
    Kind(
        "intermediate_values",
        intermediate_values,
        lambda search: any(trial.intermediate for trial in search.trials),
        "values over the epochs, with the points of pruning",
    ),
    Kind(
        "importances",
        importances,
        lambda search: bool(search.importances),
        "how much of the spread of the values each parameter explains",
    ),
    Kind("slices", slices, _has_slices, "each trial's value over each parameter that varies", is_wide=True),
    Kind(
        "parallel_coordinates",
        parallel_coordinates,
        _has_slices,
        "complete trials over the parameters that vary, better trials in darker lines",
        is_wide=True,
    ),
    Kind(
        "timeline",
        timeline,
        lambda search: work_time(search) is not None,
        "when each worker ran which trial, and how it ended",
        is_wide=True,
    ),
)
"""Every figure of a search, in reading order."""


def draw_search(search: Search) -> dict[str, Figure]:
    """Return every figure for which the search has something to show, by the name of its file."""
    return {kind.name: kind.draw(search) for kind in FIGURES if kind.is_drawable(search)}
