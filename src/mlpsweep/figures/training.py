"""Figures of sample images, weights and learning curves; ``search`` and ``errors`` have those of their subjects."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mlpsweep.figures.axes import PANEL, error_axis, metric_axis
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
from mlpsweep.tables import FORMATS
from mlpsweep.training.history import History
from mlpsweep.types import FloatArray, ImageArray

SPLITS: Final = ("train", "validation", "test")
LAST: Final = ("validation/accuracy", "test/accuracy", "train/accuracy")
"""Accuracies for a title, the first that was measured."""

CURVES: Final[Mapping[str, Callable[[float], float]]] = MappingProxyType(
    {"loss": lambda loss: loss, "accuracy": lambda accuracy: 1.0 - accuracy}
)
"""What is drawn of each quantity: of the accuracy, the error."""

BAR, KEY = 0.45, 4.5
"""Inches of the height of a colour bar with its labels, and of the width of bar and explanation."""


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
    """Draw the weights of the strongest hidden units as images: blue where ink raises the unit, orange where it lowers.

    Parameters
    ----------
    weights : ndarray of shape (n_features, n_hidden)
        Weights of the first layer.
    shape : tuple of int
        Height and width of an image, pixels.
    title : str
        First lines of the title.
    n_units : int
        Largest number of units: those whose weights have the largest norm, the strongest first, all on one scale.
    """
    order = np.argsort(-np.linalg.norm(weights, axis=0), kind="stable")[:n_units]
    shown = weights[:, order].T
    n_columns = max(1, min(10, len(shown)))
    n_rows = -(-len(shown) // n_columns)
    # A few extreme weights would leave all others pale.
    limit = max(float(np.quantile(np.abs(shown), 0.995)) if shown.size else 0.0, 1e-12)
    pitch = IMAGE + MARGIN
    with drawing():
        number = f"the {len(shown)} strongest of {weights.shape[1]} hidden units"
        figure, axes = sheet(max(KEY, pitch * n_columns), pitch * n_rows + BAR, f"{title}: {number}")
        for index, unit in enumerate(shown):
            x, y = index % n_columns * pitch, index // n_columns * pitch
            extent = (x, x + IMAGE * shape[1] / shape[0], y + IMAGE, y)
            image = axes.imshow(
                np.reshape(unit, shape), extent=extent, vmin=-limit, vmax=limit, cmap=DIFFERENCES, aspect="auto"
            )
        if len(shown):
            width, height = figure.get_size_inches()
            bar = figure.add_axes((2 * MARGIN / width, 0.28 / height, KEY / 3 / width, 0.12 / height))
            figure.colorbar(image, cax=bar, orientation="horizontal", extend="both")
            text = "weight of a pixel: where there is ink, blue\nraises the unit and orange lowers it"
            figure.text((4 * MARGIN + KEY / 3) / width, 0.34 / height, text, va="center", fontsize=8.5)
    return figure


def curves(history: History, title: str) -> Figure:
    """Draw loss and error over the epochs, one line for each measured split, with single batches behind.

    Parameters
    ----------
    history : History
        Records of the training, possibly none; a split that was not monitored has no line.
    title : str
        Title of the figure; the last accuracy is added.
    """
    rows = [{"epoch": float(record.epoch), **record.metrics()} for record in history]
    accuracy = next(
        (f", {k.replace('/', ' ')} {FORMATS['percent'](rows[-1][k])}" for k in LAST if rows and k in rows[-1]), ""
    )
    with drawing():
        figure = Figure(figsize=(2 * PANEL[0], PANEL[1]))
        headline(figure, title + accuracy)
        for axes, (quantity, turn) in zip(figure.subplots(1, 2), CURVES.items(), strict=True):
            series = {
                split: [(row["epoch"], turn(row[key])) for row in rows if (key := f"{split}/{quantity}") in row]
                for split in SPLITS
            }
            values = [*_lines(axes, series), *_batches(axes, history, quantity)]
            error_axis(axes, values) if quantity == "accuracy" else metric_axis(axes, quantity, values)
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
        values = [*_lines(axes, series), *(value for points in published.values() for _, value in points)]
        metric_axis(axes, metric, values)
        for number, name in enumerate(name for name in series if name in published):
            label = None if number else "published"
            axes.plot(*zip(*published[name], strict=True), "x", color=INK, markersize=5, label=label, zorder=3)
        axes.set_title(metric)
        legend_below(figure)
    return figure


def _batches(axes: Axes, history: History, quantity: str) -> list[float]:
    """Draw the metrics of batches as thin lines, each batch at its place within the epoch; return what is drawn.

    A training batch is so small that most have no error at all, so that a line of a running mean is drawn.
    """
    drawn: list[float] = []
    for name, colour in (("batch", MUTED), ("batch/validation", SERIES[1]), ("batch/test", SERIES[2])):
        points = [
            (batch.update * record.epoch / record.update, CURVES[quantity](batch.metrics()[f"{name}/{quantity}"]))
            for record in history
            for batch in record.batches
            if f"{name}/{quantity}" in batch.metrics()
        ]
        if points:
            n = max(1, len(points) // 10, min(5, len(points) // 4)) if name == "batch" else 1
            x, y = (np.convolve(column, np.full(n, 1 / n), "valid") for column in zip(*points, strict=True))
            label = None if name != "batch" else f"batches, mean of {n}" if n > 1 else "batch"
            axes.plot(x, y, color=colour, linewidth=0.8, alpha=0.7, label=label, zorder=1)
            drawn += y.tolist()
    return drawn


def _lines(axes: Axes, series: Mapping[str, Sequence[tuple[float, float]]]) -> list[float]:
    """Draw named series over the epochs, each with its own colour and marker; return all values."""
    for index, (name, points) in enumerate(series.items()):
        if points:
            colour = SERIES[index % len(SERIES)]
            axes.plot(*zip(*points, strict=True), color=colour, marker=MARKERS[index % len(MARKERS)], label=name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch")
    return [value for points in series.values() for _, value in points]
