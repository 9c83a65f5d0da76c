"""The report's sections on trained models: figures, learning curves, errors, calibration."""

from typing import Any, Final

import numpy as np

from mlpsweep.evaluation.folder import PER_CLASS
from mlpsweep.evaluation.statistics import calibration, mcnemar, paired_bootstrap, wilson_interval
from mlpsweep.figures import confusion, errors, training
from mlpsweep.report.page import Picture, Section, image, picture
from mlpsweep.report.results import ModelResult, ReportData
from mlpsweep.tables import Column, Table

CURVES: Final = ("validation/accuracy", "validation/loss", "train/loss")
MODELS: Final = (
    Column("name", "model"),
    Column("run", "run"),
    Column("test/accuracy", "test accuracy", "percent"),
    Column("interval", "95 % interval", "range"),
    Column("test/loss", "test loss", "number"),
    Column("test/roc_auc", "ROC-AUC", "number"),
    Column("validation/accuracy", "validation accuracy", "percent"),
    Column("train/accuracy", "train accuracy", "percent"),
    Column("seconds", "training time", "seconds"),
)
EXAMPLES: Final = (
    ("confused_pairs", "the most confused pairs of classes, with their most probable errors"),
    ("misclassified", "the most probable errors: true class → predicted class, probability"),
)


def accuracy_interval(model: ModelResult) -> tuple[float, float]:
    """Return the 95 % interval of the test accuracy."""
    correct = model.predictions.correct
    return wilson_interval(int(correct.sum()), len(correct))


def models_section(data: ReportData) -> Section:
    """Return the table of all models, and the paired comparison of the shown model with each other model."""
    rows = tuple(_model_row(model) for model in data.models)
    tables = [Table(f"All models on {data.title}", MODELS, rows)]
    others = [model for model in data.models if model is not data.shown]
    if others:
        compared = tuple(_difference_row(data.shown, other) for other in others)
        columns = (
            Column("name", "other model"),
            Column("difference", "difference in accuracy, points", "points"),
            Column("interval", "95 % interval", "points range"),
            Column("only_shown", f"correct for {data.shown.name} only, images", "count"),
            Column("only_other", "correct for the other only, images", "count"),
            Column("p", "p (McNemar, mid-p)", "probability"),
        )
        tables.append(Table(f"{data.shown.name} vs each other model, on the same test images", columns, compared))
    paragraphs = (
        "Intervals of accuracies are Wilson's; intervals of differences come from a paired bootstrap over the test "
        "images; a small p means the difference is unlikely to be chance.",
    )
    return Section("models", "Models", paragraphs, tuple(tables))


def curves_section(data: ReportData) -> Section | None:
    """Return loss and accuracy over the epochs, one figure per metric with all models; None without histories."""
    pictures = tuple(p for p in (_curve_picture(data, metric) for metric in CURVES) if p is not None)
    return Section("curves", "Learning curves", pictures=pictures) if pictures else None


def errors_section(data: ReportData) -> Section:
    """Return the confusion matrices, their differences from the shown model's, and its errors as images."""
    shown = data.shown
    pictures = [_confusion_picture(shown)]
    for other in data.models:
        if other is not shown:
            pictures += [_confusion_picture(other), _difference_picture(shown, other)]
    examples = tuple(
        image(shown.images[name], f"Test images of {shown.name}: {text}.", f"{shown.name}: {text}", is_wide=True)
        for name, text in EXAMPLES
        if name in shown.images
    )
    return Section("errors", "Errors", tables=(_class_table(shown),), pictures=(*pictures, *examples))


def calibration_section(data: ReportData) -> Section:
    """Return the reliability diagram of each model."""
    return Section(
        "calibration",
        "Calibration",
        ("A calibrated model is right on 80 % of the images to whose class it gives a probability of 80 %.",),
        pictures=tuple(_reliability_picture(model) for model in (data.shown, *_others(data))),
    )


def _others(data: ReportData) -> list[ModelResult]:
    return [model for model in data.models if model is not data.shown]


def _curve_picture(data: ReportData, metric: str) -> Picture | None:
    series = {model.name: model.points(metric) for model in data.models if model.points(metric)}
    if not series:
        return None
    ends = ", ".join(f"{name} {points[-1][1]:.4g}" for name, points in series.items())
    return picture(
        lambda: training.comparison(series, metric),
        f"Line chart of {metric} by epoch; at the end: {ends}.",
        f"{metric} at the end: {ends}",
    )


def _confusion_picture(model: ModelResult) -> Picture:
    pairs = model.metrics["confused_pairs"][:3]
    most = ", ".join(f"{p['first']} and {p['second']} ({p['first_as_second'] + p['second_as_first']})" for p in pairs)
    return picture(
        lambda: confusion.confusion_panel(model.confusion, model.class_names, model.name),
        f"Confusion matrix of {model.name} on the test split. Most confused: {most or 'none'}.",
        f"{model.name}: percent of each true class. Most confused: {most or 'none'}",
    )


def _difference_picture(shown: ModelResult, other: ModelResult) -> Picture:
    more = int(np.trace(shown.confusion) - np.trace(other.confusion))
    correct = f"{abs(more)} {'fewer' if more < 0 else 'more'} test {'image' if abs(more) == 1 else 'images'} correct"
    title = f"{shown.name} minus {other.name}"
    return picture(
        lambda: confusion.difference(shown.confusion, other.confusion, shown.class_names, title),
        f"Confusion matrix of {shown.name} minus that of {other.name}: {correct}.",
        f"{shown.name} vs {other.name}: {correct}",
    )


def _reliability_picture(model: ModelResult) -> Picture:
    measured = calibration(model.predictions.confidence, model.predictions.correct)
    error = f"expected calibration error {100 * measured.expected_error:.2f} points"
    return picture(
        lambda: errors.reliability(measured, model.name),
        f"Reliability diagram of {model.name}: accuracy against probability; {error}.",
        f"{model.name}: {error}",
    )


def _class_table(model: ModelResult) -> Table:
    """Return the figures of each class, as the evaluation wrote them."""
    return Table(f"{model.name} by class", PER_CLASS, model.by_class)


def _model_row(model: ModelResult) -> dict[str, Any]:
    measured = {
        f"{split}/{key}": value
        for split in ("train", "validation", "test")
        for key, value in model.metrics.get(split, {}).items()
    }
    run = {} if model.run is None else {"run": model.run.name, "seconds": model.run.seconds}
    return measured | run | {"name": model.name, "interval": accuracy_interval(model)}


def _difference_row(shown: ModelResult, other: ModelResult) -> dict[str, Any]:
    """Compare two models row by row; the seed is fixed, so that equal results give equal pages."""
    first, second = shown.predictions.correct, other.predictions.correct
    test = mcnemar(first, second)
    difference = paired_bootstrap(first, second, np.random.default_rng(0))
    return {
        "name": other.name,
        "difference": difference.mean,
        "interval": (difference.low, difference.high),
        "only_shown": test.only_first,
        "only_other": test.only_second,
        "p": test.p_mid,
    }
