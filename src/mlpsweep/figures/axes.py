"""Scales and ticks of axes: accuracies near 100 %, parameters on log scales, names."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from mlpsweep.metric import metric_named
from mlpsweep.tables import FORMATS, is_number, plain

PANEL: Final = (3.75, 2.8)
"""Inches of one panel: 360 pixels at 96 an inch, the width of a phone and a third of a page."""

WIDE: Final = 11.7
"""Inches of a figure that takes a page's whole width, and scrolls on a phone."""

ERROR_TICKS: Final = (0.9, 0.5, 0.2, 0.1, 0.05, 0.03, 0.02, 0.015, 0.01, 0.005, 0.002, 0.001, 0.0005)
"""Error rates: a tick may stand at the accuracy 1 - rate."""


def metric_axis(axes: Axes, metric: str, values: Sequence[float]) -> None:
    """Scale and label the y axis for a metric.

    Parameters
    ----------
    axes : Axes
        Modified in place.
    metric : str
        Name of the metric; :data:`mlpsweep.metric.QUANTITIES` holds its unit and its format.
    values : sequence of float
        All values that the figure shows.

    Notes
    -----
    The best trials of a search lie between 97.9 % and 98.3 %, the worst ones at 10 %. Where values spread that far,
    the axis spaces accuracy by the logarithm of the error rate, and loss by its own logarithm.
    """
    known = metric_named(metric)
    label = f"{metric}, {known.unit}" if known.unit else metric
    if known.is_share:
        axes.yaxis.set_major_locator(MaxNLocator(6))
        spaced = _space_by_error(axes, values, is_accuracy=True)
        label += "\n(log of the error)" if spaced else ""
        percent_ticks(axes.yaxis)
    elif known.unit and values and min(values) > 0 and max(values) > 5 * min(values):
        label += "\n(log scale)"
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(FixedLocator(_steps(min(values), max(values))))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.set_ylabel(label)


def percent_ticks(axis: Axis) -> None:
    """Write the ticks of a share in percent, with the space that all percentages have; ``axis`` is modified."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))


def error_axis(axes: Axes, errors: Sequence[float]) -> None:
    """Scale and label the y axis for error rates, 1 - accuracy; ``axes`` is modified in place."""
    spaced = _space_by_error(axes, errors, is_accuracy=False)
    percent_ticks(axes.yaxis)
    axes.set_ylabel("error, log scale" if spaced else "error")


def _space_by_error(axes: Axes, values: Sequence[float], *, is_accuracy: bool) -> bool:
    """Space the y axis by the logarithm of the error rate, if values spread enough; return whether they do.

    A value without any error has a place, too: below half of the smallest error the scale becomes linear.
    """
    errors = [1.0 - value if is_accuracy else value for value in values]
    some = [error for error in errors if error > 0]
    if not some or max(some) < 3 * min(some):
        return False
    has_none = len(some) < len(errors)
    shift = min(some) / 2 if has_none else 0.0

    def turn(values: Any) -> Any:
        return 1.0 - np.asarray(values, dtype=float) if is_accuracy else np.asarray(values, dtype=float)

    sign = -1.0 if is_accuracy else 1.0
    ends = (-0.2 * shift if has_none else min(some) / 1.25, min(1.0, max(some) * 1.12))
    ticks = [*[0.0] * has_none, *(tick for tick in sorted(ERROR_TICKS) if max(ends[0], shift) <= tick <= ends[1])]
    axes.set_yscale(
        "function",
        functions=(
            lambda y: sign * np.log(np.maximum(turn(y) + shift, 1e-9)),
            lambda place: turn(np.exp(sign * np.asarray(place, dtype=float)) - shift),
        ),
    )
    low, high = sorted(float(turn(end)) for end in ends)
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(FixedLocator([float(turn(tick)) for tick in ticks]))
    axes.yaxis.set_minor_locator(NullLocator())
    return True


def _steps(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten within ``low .. high``, give or take 30 %."""
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    steps = [factor * 10.0**decade for decade in decades for factor in (1, 2, 5)]
    return [step for step in steps if low / 1.3 <= step <= high * 1.3]


@dataclass(frozen=True)
class Scale:
    """Positions of the values of one parameter on an axis, and its ticks.

    Parameters
    ----------
    ticks : tuple of (float, str)
        Position and text.
    names : tuple of str
        Categories in order; empty for numbers.
    is_log : bool
        Whether positions are logarithms to base 10.
    """

    ticks: tuple[tuple[float, str], ...]
    names: tuple[str, ...] = ()
    is_log: bool = False

    def position(self, value: Any) -> float:
        """Return the position of a value on the axis."""
        if self.names:
            return float(self.names.index(plain(value)))
        return math.log10(value) if self.is_log else float(value)

    def draw(self, axis: Axis) -> None:
        """Set the ticks of an axis that shows positions; modified in place."""
        positions, texts = zip(*self.ticks, strict=True)
        axis.set_ticks(positions, texts)
        if self.is_log:
            axis.set_label_text("log scale")
        if self.names:
            axis.axes.set_xlim(-0.5, len(self.names) - 0.5)


def scale_of(values: Sequence[Any], *, is_log: bool | None = None) -> Scale:
    """Return the scale that suits a parameter: categories, or the linear or logarithmic one it was drawn on.

    Parameters
    ----------
    values : sequence
        Values of the parameter in all trials, at least one.
    is_log : bool or None
        Whether they were drawn on a logarithmic scale; None: judge by the values.
    """
    if not all(is_number(value) for value in values):
        names = tuple(dict.fromkeys(sorted(map(plain, values))))
        return Scale(tuple((float(i), name) for i, name in enumerate(names)), names)
    low, high = float(min(values)), float(max(values))
    if is_log is None:
        is_log = low > 0 and high >= 10 * low and _is_logarithmic(values, low, high)
    if is_log and low > 0:
        steps = _steps(low, high)
        kept = [s for s in steps if math.log10(s) == round(math.log10(s))] if len(steps) > 6 else steps
        return Scale(tuple((math.log10(step), _tick(step)) for step in kept or steps or (low,)), is_log=True)
    is_whole = all(float(value).is_integer() for value in values)
    ticks = MaxNLocator(5, integer=is_whole).tick_values(low, high)
    return Scale(tuple((float(tick), _tick(tick)) for tick in ticks if low <= tick <= high) or ((low, _tick(low)),))


def _tick(value: float) -> str:
    return FORMATS["count"](int(value)) if abs(value) >= 1000 and float(value).is_integer() else f"{value:g}"


def _is_logarithmic(values: Sequence[float], low: float, high: float) -> bool:
    """Return whether the median lies nearer to the middle of a logarithmic axis than of a linear one."""
    median = float(np.median(values))
    linear = (median - low) / (high - low)
    logarithmic = math.log(median / low) / math.log(high / low)
    return abs(logarithmic - 0.5) < abs(linear - 0.5)


def time_unit(seconds: float) -> tuple[str, float]:
    """Return the unit that suits a duration, and the length of the unit in seconds."""
    return ("s", 1.0) if seconds < 180 else ("min", 60.0) if seconds < 3 * 3600 else ("h", 3600.0)
