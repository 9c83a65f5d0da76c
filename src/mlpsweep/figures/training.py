"""Figures of sample images, weights and learning curves; ``search`` and ``errors`` have those of their subjects."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mlpsweep.figures.axes import PANEL, metric_axis
from mlpsweep.figures.style import (
    DIFFERENCES,
    IMAGE,
    INK,
    LINE,
    MARGIN,
    MARKERS,
    MUTED,
    SERIES,
    drawing,
    headline,
    legend_below,
    place,
    sheet,
)
from mlpsweep.training.history import History
from mlpsweep.types import FloatArray, ImageArray

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
        Label over each image, of one or more lines.
    shape : tuple of int
        Height and width of an image, pixels.
    title : str
        Title of the figure.
    n_columns : int
        Largest number of images side by side.
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


def first_layer(weights: FloatArray, shape: tuple[int, int], title: str, *, n_units: int = 40) -> Figure:
    """Draw the weights of the first hidden units as images: blue where ink raises the unit, orange where it lowers it.

    Parameters
    ----------
    weights : ndarray of shape (n_features, n_hidden)
        Weights of the first layer.
    shape : tuple of int
        Height and width of an image, pixels.
    title : str
        Title of the figure.
    n_units : int
        Largest number of units; all share one scale.
    """
    shown = weights[:, :n_units].T
    n_columns = max(1, min(10, len(shown)))
    n_rows = -(-len(shown) // n_columns)
    pitch, limit = IMAGE + MARGIN, float(np.abs(shown).max(initial=1e-12))
    with drawing():
        figure, axes = sheet(pitch * n_columns, pitch * n_rows, title)
        for index, unit in enumerate(shown):
            x, y = index % n_columns * pitch, index // n_columns * pitch
            extent = (x, x + IMAGE * shape[1] / shape[0], y + IMAGE, y)
            image = np.reshape(unit, shape)
            axes.imshow(image, extent=extent, vmin=-limit, vmax=limit, cmap=DIFFERENCES, aspect="auto")
    return figure


def curves(history: History, title: str) -> Figure:
    """Draw loss and accuracy over the epochs, one line for each measured split, with single batches behind.

    Parameters
    ----------
    history : History
        Records of the training, possibly none; a split that was not monitored has no line.
    title : str
        Title of the figure.
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
            _batches(axes, history, quantity)
        legend_below(figure)
    return figure


def comparison(
    series: Mapping[str, Sequence[tuple[float, float]]],
    metric: str,
    published: Mapping[str, Sequence[tuple[float, float]]] = MappingProxyType({}),
) -> Figure:
    """Draw one metric of several models over the epochs.

    Parameters
    ----------
    series : mapping of str to sequence of (epoch, value)
        Points of the metric, by model.
    metric : str
        Name of the metric, such as ``validation/accuracy`` (0 .. 1, shown as percent) or ``train/loss`` (nats).
    published : mapping of str to sequence of (epoch, value)
        Published points of some of the models, drawn as crosses.
    """
    with drawing():
        figure = Figure(figsize=PANEL)
        axes = figure.subplots()
        _lines(axes, series, metric, [value for points in published.values() for _, value in points])
        for number, name in enumerate(name for name in series if name in published):
            label = None if number else "published"
            axes.plot(*zip(*published[name], strict=True), "x", color=INK, markersize=5, label=label, zorder=3)
        axes.set_title(metric)
        legend_below(figure)
    return figure


def _batches(axes: Axes, history: History, quantity: str) -> None:
    """Draw the metrics of single batches as thin lines, each batch at its place within the epoch."""
    for name, colour in (("batch", MUTED), ("validation", SERIES[1]), ("test", SERIES[2])):
        points = [
            (batch.update * record.epoch / record.update, batch.metrics()[f"{name}/{quantity}"])
            for record in history
            for batch in record.batches
            if f"{name}/{quantity}" in batch.metrics()
        ]
        if points:
            label = "batch" if name == "batch" else None
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=0.6, alpha=0.6, label=label, zorder=1)


def _lines(
    axes: Axes, series: Mapping[str, Sequence[tuple[float, float]]], metric: str, further: Sequence[float] = ()
) -> None:
    """Draw named series over the epochs, each with its own colour and marker; the y axis fits ``further``, too."""
    for index, (name, points) in enumerate(series.items()):
        if points:
            colour = SERIES[index % len(SERIES)]
            axes.plot(*zip(*points, strict=True), color=colour, marker=MARKERS[index % len(MARKERS)], label=name)
    metric_axis(axes, metric, [*further, *(value for points in series.values() for _, value in points)])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch")
