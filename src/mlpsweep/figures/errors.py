"""Figures of a model's errors: confusion matrices, misclassified images, reliability."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, PercentFormatter

from mlpsweep.data.dataset import Dataset
from mlpsweep.errors import DataError
from mlpsweep.evaluation.metrics import Evaluation
from mlpsweep.evaluation.statistics import Calibration, wilson_interval
from mlpsweep.figures.axes import PANEL
from mlpsweep.figures.style import (
    AMOUNTS,
    DIFFERENCES,
    IMAGE,
    MUTED,
    SERIES,
    drawing,
    headline,
    legend_below,
    place,
    readable_on,
    sheet,
)
from mlpsweep.figures.training import sample_grid
from mlpsweep.tables import counted
from mlpsweep.types import FloatArray, ImageArray, IndexArray, LabelArray


def draw_evaluation(evaluation: Evaluation, dataset: Dataset) -> dict[str, Figure]:
    """Return every figure of an evaluation by the name of its file.

    Parameters
    ----------
    evaluation : Evaluation
        Evaluation of a model on ``dataset``.
    dataset : Dataset
        Data set loaded with its test split, whose pixels the figures show.

    Raises
    ------
    DataError
        If the data set was loaded without its test split.
    """
    if dataset.test is None:
        raise DataError("evaluate: the test split is not loaded; expected it. Load the data with with_test=True.")
    images, shape = dataset.test.images[dataset.test.rows], dataset.manifest.image_shape
    title = f"{evaluation.title}, test split"
    return {
        "confusion_matrix": confusion_matrix(evaluation.confusion, evaluation.class_names, title),
        "misclassified": misclassified(images, evaluation, shape),
        "confused_pairs": confused_examples(images, evaluation, shape),
        "reliability": reliability(evaluation.calibration, title),
    }


def confusion_matrix(counts: LabelArray, class_names: Sequence[str], title: str) -> Figure:
    """Draw a confusion matrix twice: as counts, and as percentages of each true class.

    Parameters
    ----------
    counts : ndarray of shape (n_classes, n_classes)
        Samples by true (row) and predicted (column) class.
    class_names : sequence of str
        One name per class.
    title : str
        Title of the figure.

    Notes
    -----
    Colour grows with the cube root of the share; otherwise the diagonal of a good model would hide the errors.
    """
    shares = normalise_rows(counts)
    with drawing():
        figure = Figure(figsize=(10.4, 6.0))
        headline(figure, title)
        left, right = figure.subplots(1, 2)
        matrix(left, np.cbrt(shares), _texts(counts, "{:d}"), class_names, AMOUNTS)
        matrix(right, np.cbrt(shares), _texts(100 * shares, "{:.1f}"), class_names, AMOUNTS)
        left.set_title("Samples")
        right.set_title("Percent of the true class")
    return figure


def confusion_panel(counts: LabelArray, class_names: Sequence[str], title: str) -> Figure:
    """Draw one small confusion matrix, percentages of each true class; see :func:`confusion_matrix`."""
    shares = normalise_rows(counts)
    with drawing():
        figure = Figure(figsize=(PANEL[0], PANEL[0]))
        axes = figure.subplots()
        matrix(axes, np.cbrt(shares), _texts(100 * shares, "{:.1f}"), class_names, AMOUNTS)
        axes.set_title(title)
    return figure


def difference(counts: LabelArray, baseline: LabelArray, class_names: Sequence[str], title: str) -> Figure:
    """Draw how a confusion matrix differs from a baseline's on the same samples.

    Parameters
    ----------
    counts, baseline : ndarray of shape (n_classes, n_classes)
        Samples by true (row) and predicted (column) class.
    class_names : sequence of str
        One name per class.
    title : str
        Title of the figure.
    """
    change = counts - baseline
    strength = np.sqrt(np.abs(change) / max(1, int(np.abs(change).max()))) * np.sign(change)
    with drawing():
        figure = Figure(figsize=(PANEL[0], PANEL[0]))
        axes = figure.subplots()
        matrix(axes, strength, _texts(change, "{:+d}"), class_names, DIFFERENCES, limits=(-1.0, 1.0))
        axes.set_title(title)
    return figure


def misclassified(
    images: ImageArray,
    evaluation: Evaluation,
    shape: tuple[int, int],
    *,
    n_images: int = 40,
) -> Figure:
    """Draw the most probable wrong predictions, each with true class, predicted class and probability.

    Parameters
    ----------
    images : ndarray of shape (n_samples, n_features)
        Pixels of the test split.
    evaluation : Evaluation
        Evaluation of a model on the same rows.
    shape : tuple of int
        Height and width of an image, pixels.
    n_images : int
        Largest number of images.
    """
    wrong = surest_errors(evaluation)
    names, chosen = evaluation.class_names, wrong[:n_images]
    columns = (evaluation.labels[chosen], evaluation.predicted_labels[chosen], evaluation.confidence[chosen])
    texts = [f"{names[k]} → {names[j]}\n{100 * p:.1f} %" for k, j, p in zip(*columns, strict=True)]
    number = f"the {len(chosen)} surest of {len(wrong)} errors" if len(chosen) < len(wrong) else f"{len(wrong)} errors"
    title = f"{evaluation.title}, test split: {number} (true → predicted)"
    return sample_grid(images[chosen], texts, shape, title)


def confused_examples(
    images: ImageArray,
    evaluation: Evaluation,
    shape: tuple[int, int],
    *,
    n_pairs: int = 5,
    n_images: int = 8,
) -> Figure:
    """Draw the most confused pairs of classes, one row of images for each direction, the most probable first.

    Parameters
    ----------
    images : ndarray of shape (n_samples, n_features)
        Pixels of the test split.
    evaluation : Evaluation
        Evaluation of a model on the same rows.
    shape : tuple of int
        Height and width of an image, pixels.
    n_pairs, n_images : int
        Largest number of pairs, and of images in each direction.
    """
    rows = _confusions(evaluation, n_pairs)
    label_width, step = 0.085 * max((len(text) for text, _ in rows), default=1) + 0.1, IMAGE + 0.08
    with drawing():
        title = f"{evaluation.title}, test split: most confused pairs"
        figure, axes = sheet(label_width + step * n_images, step * len(rows), title)
        top = int(images.max(initial=1))
        for line, (text, chosen) in enumerate(rows):
            axes.text(label_width - 0.1, step * line + IMAGE / 2, text, ha="right", va="center", fontsize=8.5)
            for column, image in enumerate(images[chosen[:n_images]]):
                place(axes, np.reshape(image, shape), label_width + step * column, step * line, top)
    return figure


def _confusions(evaluation: Evaluation, n_pairs: int) -> list[tuple[str, IndexArray]]:
    """Return a label and the positions of the errors, the most probable first, of each direction of each pair."""
    index = {name: k for k, name in enumerate(evaluation.class_names)}
    wrong = surest_errors(evaluation)
    labels, predicted_labels = evaluation.labels[wrong], evaluation.predicted_labels[wrong]
    rows = []
    for pair in evaluation.confused_pairs[:n_pairs]:
        for true, predicted in ((pair.first, pair.second), (pair.second, pair.first)):
            found = wrong[(labels == index[true]) & (predicted_labels == index[predicted])]
            if len(found):
                rows.append((f"{true} → {predicted} ({counted(len(found), 'image')})", found))
    return rows


def surest_errors(evaluation: Evaluation) -> IndexArray:
    """Return the positions of the wrong predictions, the most probable first."""
    wrong = np.flatnonzero(evaluation.labels != evaluation.predicted_labels)
    return wrong[np.argsort(-evaluation.confidence[wrong], kind="stable")]


def reliability(calibration: Calibration, title: str) -> Figure:
    """Draw accuracy against the probability of the predicted class, and the number of images in each bin below.

    Parameters
    ----------
    calibration : Calibration
        Calibration on the test split; empty bins are left out.
    title : str
        Title of the figure.
    """
    filled = calibration.counts > 0
    counts, confidence, accuracy = (
        values[filled] for values in (calibration.counts, calibration.confidence, calibration.accuracy)
    )
    ends = np.array([wilson_interval(round(a * n), int(n)) for a, n in zip(accuracy, counts, strict=True)])
    errors = np.abs(ends.T - accuracy)
    with drawing():
        figure = Figure(figsize=(PANEL[0], 1.2 * PANEL[1]))
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=1, label="perfect calibration")
        upper.errorbar(confidence, accuracy, errors, fmt="o", color=SERIES[0], capsize=2, label="model, 95 %")
        upper.set(ylabel="accuracy", ylim=(-0.02, 1.02), xlim=(-0.02, 1.02))
        upper.yaxis.set_major_formatter(PercentFormatter(xmax=1.0))
        upper.set_title(title)
        widths = np.diff(calibration.edges)
        lower.bar(calibration.edges[:-1], calibration.counts, widths, align="edge", color=SERIES[0], linewidth=0)
        lower.set(xlabel="probability of the predicted class", ylabel="images", yscale="symlog")
        lower.yaxis.set_major_locator(FixedLocator([0, *(10**k for k in range(1, 8) if 10**k <= counts.max())]))
        lower.yaxis.set_major_formatter("{x:.0f}")
        lower.xaxis.set_major_formatter(PercentFormatter(xmax=1.0))
        legend_below(figure)
    return figure


def normalise_rows(counts: npt.NDArray[np.integer]) -> FloatArray:
    """Return each row divided by its sum, 0 .. 1; a row without samples stays zero.

    Parameters
    ----------
    counts : ndarray of shape (n_classes, n_classes)
        Samples by true (row) and predicted (column) class.
    """
    shares: FloatArray = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def matrix(
    axes: Axes,
    values: FloatArray,
    texts: Sequence[Sequence[str]],
    class_names: Sequence[str],
    colormap: Colormap,
    *,
    limits: tuple[float, float] = (0.0, 1.0),
) -> None:
    """Draw a square matrix of true by predicted classes with a text in each cell.

    Parameters
    ----------
    axes : Axes
        Modified in place.
    values : ndarray of shape (n_classes, n_classes)
        Colour of each cell, on the scale ``limits``.
    texts : sequence of sequence of str
        Text of each cell, row by row.
    class_names : sequence of str
        One name per class.
    colormap : Colormap
    limits : tuple of float
        Values of the first and the last colour.
    """
    image = axes.imshow(values, cmap=colormap, vmin=limits[0], vmax=limits[1])
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


def _texts(values: npt.NDArray[np.generic], form: str) -> list[list[str]]:
    """Return cell texts; a zero stays empty, so that the errors stand out."""
    return [[form.format(value) if value else "" for value in row] for row in values]
