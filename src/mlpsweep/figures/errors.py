"""Figures of a model's errors: misclassified images, confused pairs, reliability; ``confusion`` has the matrices."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from mlpsweep.data.dataset import Dataset
from mlpsweep.errors import DataError
from mlpsweep.evaluation.metrics import Evaluation
from mlpsweep.evaluation.statistics import Calibration, wilson_interval
from mlpsweep.figures.axes import PANEL, percent_ticks
from mlpsweep.figures.confusion import confusion_matrix
from mlpsweep.figures.style import (
    IMAGE,
    MUTED,
    SERIES,
    drawing,
    headline,
    legend_below,
    place,
    sheet,
)
from mlpsweep.figures.training import sample_grid
from mlpsweep.tables import FORMATS, counted
from mlpsweep.types import ImageArray, IndexArray


def draw_evaluation(evaluation: Evaluation, dataset: Dataset, name: str = "") -> dict[str, Figure]:
    """Return every figure of an evaluation by the name of its file.

    Parameters
    ----------
    evaluation : Evaluation
        Evaluation of a model on ``dataset``.
    dataset : Dataset
        Data set loaded with its test split, whose images the figures show; a table has no such figures.
    name : str
        The model's name, for the titles; they do without.

    Raises
    ------
    DataError
        If the data set was loaded without its test split.
    """
    if dataset.test is None:
        raise DataError("evaluate: the test split is not loaded; expected it. Load the data with with_test=True.")
    images, shape = dataset.test.images[dataset.test.rows], dataset.manifest.image_shape
    title = evaluated(evaluation, name)
    of_images = {} if not dataset.manifest.holds_images else {
        "misclassified": misclassified(images, evaluation, shape, title),
        "confused_pairs": confused_examples(images, evaluation, shape, title),
    }  # fmt: skip
    return {
        "confusion_matrix": confusion_matrix(evaluation.confusion, evaluation.class_names, title),
        **of_images,
        "reliability": reliability(evaluation.calibration, title),
    }


def evaluated(evaluation: Evaluation, name: str) -> str:
    """Return the title of a figure: the model's name, then data set and accuracy on a line of their own."""
    title = f"{evaluation.title}, test accuracy {FORMATS['percent'](evaluation.splits['test'].accuracy)}"
    return f"{name}\n{title}" if name else title


def misclassified(
    images: ImageArray,
    evaluation: Evaluation,
    shape: tuple[int, int],
    title: str,
    *,
    n_images: int = 36,
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
    title : str
        First lines of the title.
    n_images : int
        Largest number of images.
    """
    wrong = surest_errors(evaluation)
    names, chosen = evaluation.class_names, wrong[:n_images]
    columns = (evaluation.labels[chosen], evaluation.predicted_labels[chosen], evaluation.confidence[chosen])
    texts = [f"{names[k]} → {names[j]}\n{FORMATS['percent'](p)}" for k, j, p in zip(*columns, strict=True)]
    number = f"the {len(chosen)} surest of {len(wrong)} errors" if len(chosen) < len(wrong) else f"{len(wrong)} errors"
    return sample_grid(images[chosen], texts, shape, f"{title}\n{number}, true → predicted", n_columns=9)


def confused_examples(
    images: ImageArray,
    evaluation: Evaluation,
    shape: tuple[int, int],
    title: str,
    *,
    n_pairs: int = 5,
    n_images: int = 7,
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
    title : str
        First lines of the title.
    n_pairs, n_images : int
        Largest number of pairs, and of images in each direction.
    """
    rows = _confusions(evaluation, n_pairs)
    label_width, step = 0.085 * max((len(text) for text, _ in rows), default=1) + 0.1, IMAGE + 0.08
    with drawing():
        n_images = min(n_images, max((len(chosen) for _, chosen in rows), default=0))
        size = label_width + step * n_images, step * len(rows)
        figure, axes = sheet(*size, f"{title}\nmost confused pairs, true → predicted")
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
        upper.errorbar(confidence, accuracy, errors, fmt="o", color=SERIES[0], capsize=2, label="model, 95 % interval")
        upper.set(ylabel="accuracy", ylim=(-0.02, 1.02), xlim=(-0.02, 1.02))
        percent_ticks(upper.yaxis)
        headline(figure, title)
        widths = np.diff(calibration.edges)
        lower.bar(calibration.edges[:-1], calibration.counts, widths, align="edge", color=SERIES[0], linewidth=0)
        lower.set(xlabel="probability of the predicted class", ylabel="samples", yscale="symlog")
        lower.yaxis.set_major_locator(FixedLocator([0, *(10**k for k in range(1, 8) if 10**k <= counts.max())]))
        lower.yaxis.set_major_formatter("{x:.0f}")
        percent_ticks(lower.xaxis)
        legend_below(figure)
    return figure
