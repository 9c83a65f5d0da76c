"""Figures of which class is taken for which: confusion matrices and their differences, bars where classes are many."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, FuncNorm, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch

from mlpsweep.figures.axes import PANEL, percent_ticks
from mlpsweep.figures.style import AMOUNTS, DIFFERENCES, INK, SERIES, drawing, headline, legend_below, readable_on
from mlpsweep.tables import FORMATS
from mlpsweep.types import FloatArray, LabelArray

MAX_CLASSES: Final = 30
"""Largest number of classes that a matrix has room for; of more, the most confused pairs are drawn."""

N_PAIRS: Final = 20
CELL: Final = 0.3
"""Inches of a cell of a small matrix."""

BETTER, WORSE = SERIES[0], SERIES[1]


def confusion_matrix(counts: LabelArray, class_names: Sequence[str], title: str) -> Figure:
    """Draw a confusion matrix twice: as counts, and as percentages of each true class.

    Parameters
    ----------
    counts : ndarray of shape (n_classes, n_classes)
        Samples by true (row) and predicted (column) class; of more than 30 classes the most confused pairs are drawn.
    class_names : sequence of str
        One name per class.
    title : str
        Title of the figure.

    Notes
    -----
    Colour grows with the cube root of the share; otherwise the diagonal of a good model would hide the errors.
    """
    if len(counts) > MAX_CLASSES:
        return _pairs_figure(_pair_counts(counts), class_names, title)
    shares, side = normalise_rows(counts), max(5.2, 1.5 * CELL * len(counts))
    with drawing():
        figure = Figure(figsize=(2 * side + 0.9, side + 0.8))
        headline(figure, title)
        left, right = figure.subplots(1, 2)
        matrix(left, shares, _texts(counts, FORMATS["count"]), class_names, AMOUNTS, _share_norm())
        image = matrix(right, shares, _percents(shares), class_names, AMOUNTS, _share_norm())
        left.set_title("Samples")
        right.set_title("Percent of the true class")
        _share_bar(figure, image, [left, right])
    return figure


def confusion_panel(counts: LabelArray, class_names: Sequence[str], title: str) -> Figure:
    """Draw one small confusion matrix, percentages of each true class; see :func:`confusion_matrix`."""
    if len(counts) > MAX_CLASSES:
        return _pairs_figure(_pair_counts(counts), class_names, title)
    shares = normalise_rows(counts)
    with drawing():
        figure, axes = _panel(len(counts), title)
        image = matrix(axes, shares, _percents(shares), class_names, AMOUNTS, _share_norm())
        _share_bar(figure, image, [axes])
    return figure


def difference(
    counts: LabelArray,
    baseline: LabelArray,
    class_names: Sequence[str],
    title: str,
    models: tuple[str, str] = ("first", "second"),
) -> Figure:
    """Draw how a confusion matrix differs from a baseline's on the same samples; colour says which is better.

    Parameters
    ----------
    counts, baseline : ndarray of shape (n_classes, n_classes)
        Samples by true (row) and predicted (column) class.
    class_names : sequence of str
        One name per class.
    title : str
        Title of the figure.
    models : tuple of str
        Names of both models, for the legend.
    """
    change = counts - baseline
    # More is better on the diagonal, and worse beside it.
    gain = np.where(np.eye(len(change), dtype=bool), change, -change)
    if len(counts) > MAX_CLASSES:
        return _pairs_figure(_pair_counts(change), class_names, title, models)
    limit = max(1, int(np.abs(change).max()))
    norm = FuncNorm((lambda x: np.sign(x) * np.sqrt(np.abs(x)), lambda y: np.sign(y) * y**2), vmin=-limit, vmax=limit)
    with drawing():
        figure, axes = _panel(len(counts), title)
        matrix(axes, gain, _texts(change, FORMATS["signed"]), class_names, DIFFERENCES, norm)
        _better_legend(figure, models)
    return figure


def matrix(
    axes: Axes,
    values: npt.NDArray[Any],
    texts: Sequence[Sequence[str]],
    class_names: Sequence[str],
    colormap: Colormap,
    norm: Normalize,
) -> AxesImage:
    """Draw a square matrix of true by predicted classes with a text in each cell.

    Parameters
    ----------
    axes : Axes
        Modified in place.
    values : ndarray of shape (n_classes, n_classes)
        What the colour of each cell stands for.
    texts : sequence of sequence of str
        Text of each cell, row by row.
    class_names : sequence of str
        One name per class.
    colormap : Colormap
    norm : Normalize
        From values to the colormap's 0 .. 1.
    """
    image = axes.imshow(values, cmap=colormap, norm=norm)
    ticks = range(len(class_names))
    rotation = 45 if max(map(len, class_names)) > 3 else 0
    axes.set_xticks(ticks, class_names, rotation=rotation, ha="right" if rotation else "center")
    axes.set_yticks(ticks, class_names)
    edges = np.arange(len(class_names) + 1) - 0.5
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.tick_params(which="both", length=0)
    axes.grid(visible=False)
    axes.grid(visible=True, which="minor", linewidth=0.5)
    axes.set(xlabel="predicted class", ylabel="true class")
    colours = image.to_rgba(values)
    for row, column in np.ndindex(values.shape):
        colour = readable_on(colours[row, column])
        axes.text(column, row, texts[row][column], ha="center", va="center", color=colour, fontsize=8.25)
    return image


def normalise_rows(counts: npt.NDArray[np.integer]) -> FloatArray:
    """Return each row divided by its sum, 0 .. 1; a row without samples stays zero.

    Parameters
    ----------
    counts : ndarray of shape (n_classes, n_classes)
        Samples by true (row) and predicted (column) class.
    """
    shares: FloatArray = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def _panel(n_classes: int, title: str) -> tuple[Figure, Axes]:
    side = max(PANEL[0], CELL * n_classes + 0.75)
    figure = Figure(figsize=(side, side + 0.25))
    headline(figure, title)
    return figure, figure.subplots()


def _share_norm() -> PowerNorm:
    return PowerNorm(1 / 3, vmin=0.0, vmax=1.0)


def _share_bar(figure: Figure, image: AxesImage, panels: list[Axes]) -> None:
    """Draw the colours of shares, with their cube root as its length."""
    narrow = len(panels) == 1
    bar = figure.colorbar(
        image,
        ax=panels,
        location="bottom" if narrow else "right",
        ticks=[0, 0.001, 0.01, 0.1, 0.3, 1],
        label="share of the true class",
        aspect=40,
        pad=0.02,
    )
    percent_ticks(bar.ax.xaxis if narrow else bar.ax.yaxis)


def _better_legend(figure: Figure, models: tuple[str, str]) -> None:
    names = [f"{name} is better" for name in models]
    patches = [Patch(color=colour, label=name) for colour, name in zip((BETTER, WORSE), names, strict=True)]
    figure.legend(handles=patches, loc="outside lower center", ncols=2)


def _pair_counts(counts: LabelArray) -> LabelArray:
    """Return the samples of both directions of each pair of classes in the upper triangle."""
    return np.triu(counts + counts.T, k=1)


def _pairs_figure(
    pairs: LabelArray, class_names: Sequence[str], title: str, models: tuple[str, str] | None = None
) -> Figure:
    """Draw the pairs of classes with the largest numbers as bars; of a difference, colour says which is better."""
    order = np.argsort(-np.abs(pairs), axis=None, kind="stable")[:N_PAIRS]
    chosen = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, pairs.shape), strict=True) if pairs[i, j]][::-1]
    values = [int(pairs[pair]) for pair in chosen]
    with drawing():
        figure = Figure(figsize=(PANEL[0], 1.2 + 0.22 * max(1, len(chosen))))
        headline(figure, title)
        axes = figure.subplots()
        colours = [WORSE if models and value > 0 else BETTER for value in values]
        bars = axes.barh([f"{class_names[i]} and {class_names[j]}" for i, j in chosen], values, color=colours)
        form = FORMATS["signed" if models else "count"]
        axes.bar_label(bars, [form(value) for value in values], padding=3, color=INK, fontsize=8.5)
        axes.set(xlabel="more or fewer confusions" if models else "confusions, both directions")
        axes.margins(x=0.15)
        axes.grid(visible=False, axis="y")
        if models:
            _better_legend(figure, models)
        else:
            legend_below(figure)
    return figure


def _percents(shares: FloatArray) -> list[list[str]]:
    return _texts(shares, lambda share: "100" if share > 0.9995 else f"{100 * share:.1f}")


def _texts(values: npt.NDArray[Any], form: Callable[[Any], str]) -> list[list[str]]:
    """Return cell texts; a zero stays empty, so that the errors stand out."""
    return [[form(value) if value else "" for value in row] for row in values]
