"""Figures of data and of one or several models, in the house style; searches and errors have theirs."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mlpsweep.evaluation.axes import PANEL, metric_axis
from mlpsweep.evaluation.style import IMAGE, LINE, MARKERS, SERIES, drawing, headline, legend_below, place, sheet
from mlpsweep.training.history import History
from mlpsweep.types import ImageArray

SPLITS: Final = ("train", "validation", "test")


def sample_grid(
    images: ImageArray,
    labels: Sequence[str],
    shape: tuple[int, int],
    title: str,
    *,
    n_columns: int = 10,
) -> Figure:
    """Draw images in a grid, each under its label.

    Parameters
    ----------
    images : ndarray of shape (n_samples, n_features)
        Pixels; all are drawn on the scale 0 .. largest pixel.
    labels : sequence of str
        Over each image; may have several lines.
    shape : tuple of int
        Height and width of an image, pixels.
    title : str
        Over the figure.
    n_columns : int
        Images side by side.
    """
    n_columns = min(n_columns, max(1, len(images)))
    n_rows = -(-len(images) // n_columns)
    lines = [line for label in labels for line in label.splitlines()] or [""]
    over = LINE * max((label.count("\n") + 1 for label in labels), default=1)
    width, height = max(IMAGE + 0.1, 0.085 * max(map(len, lines))), over + IMAGE + 0.1
    with drawing():
        figure, axes = sheet(width * n_columns, height * n_rows, title)
        top = int(images.max(initial=1))
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            x, y = (index % n_columns + 0.5) * width, (index // n_columns) * height + over
            place(axes, np.reshape(image, shape), x - IMAGE / 2, y, top)
            axes.text(x, y - 0.03, label, ha="center", va="bottom", fontsize=8.5, linespacing=1.1)
    return figure


def curves(history: History, title: str) -> Figure:
    """Draw loss and accuracy over the epochs, one line for each split that was measured.

    Parameters
    ----------
    history : History
        May be empty; a split that was not monitored has no line.
    title : str
        Over the figure.
    """
    rows = [{"epoch": float(record.epoch), **record.metrics()} for record in history]
    with drawing():
        figure = Figure(figsize=(2 * PANEL[0], PANEL[1]))
        headline(figure, title)
        for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
            series = {
                split: [(row["epoch"], row[f"{split}/{quantity}"]) for row in rows if f"{split}/{quantity}" in row]
                for split in SPLITS
            }
            _lines(axes, series, quantity)
        legend_below(figure)
    return figure


def comparison(series: Mapping[str, Sequence[tuple[float, float]]], metric: str) -> Figure:
    """Draw one metric of several models over the epochs.

    Parameters
    ----------
    series : mapping of str to sequence of (epoch, value)
        By model.
    metric : str
        Such as ``validation/accuracy`` (0 .. 1, shown as percent) or ``train/loss`` (nats).
    """
    with drawing():
        figure = Figure(figsize=PANEL)
        axes = figure.subplots()
        _lines(axes, series, metric)
        axes.set_title(metric)
        legend_below(figure)
    return figure


def _lines(axes: Axes, series: Mapping[str, Sequence[tuple[float, float]]], metric: str) -> None:
    """Draw named series over the epochs, each with its own colour and marker."""
    for index, (name, points) in enumerate(series.items()):
        if points:
            colour = SERIES[index % len(SERIES)]
            axes.plot(*zip(*points, strict=True), color=colour, marker=MARKERS[index % len(MARKERS)], label=name)
    metric_axis(axes, metric, [value for points in series.values() for _, value in points])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch")
