"""The report's sections on trained models: figures, learning curves, errors, calibration."""

from typing import Any, Final

import numpy as np

from mlpsweep.evaluation.folder import PER_CLASS
from mlpsweep.evaluation.statistics import calibration
from mlpsweep.figures import confusion, errors, training
from mlpsweep.metric import metric_named
from mlpsweep.report.answers import compare, trained_on
from mlpsweep.report.page import MARKED, Picture, Section, address_of, image, picture
from mlpsweep.report.results import ModelResult, ReportData
from mlpsweep.search.rungs import FIRST_LOOK
from mlpsweep.tables import FORMATS, Column, Table, is_number, varying

CURVES: Final = ("validation/accuracy", "validation/loss", "train/loss")
NOT_SHOWN: Final = ("data.", "averaging", "monitor", "log_every", "report_cost", "threads", "output_dir")
"""Beginnings of settings that make no other model, or that other columns tell."""

EXAMPLES: Final = (
    ("confused_pairs", "the most confused pairs of classes, with their most probable errors"),
    ("misclassified", "the most probable errors: true class → predicted class, probability"),
)


def models_section(data: ReportData) -> Section:
    """Return the table of all models, and the paired comparison of the shown model with each other model."""
    shown = data.shown
    tables = [_models_table(data)]
    if data.others:
        compared = tuple({"name": other.name, **compare(shown, other)} for other in data.others)
        columns = (
            Column("name", "other model"),
            Column("difference", "difference in accuracy, points", "points"),
            Column("interval", "95 % interval", "points range"),
            Column("only_shown", f"correct for {shown.name} only, {shown.samples}", "count"),
            Column("only_other", f"correct for the other only, {shown.samples}", "count"),
            Column("p", "p (McNemar, mid-p)", "probability"),
        )
        tables.append(Table(f"{shown.name} vs each other model, on the same test {shown.samples}", columns, compared))
    paragraphs = (
        f"{'The winner' if data.winner else shown.name} learned from {trained_on(shown)}.",
        f"An interval says how far off the figure may be because only so many {shown.samples} were counted: "
        "Wilson's for an accuracy, a paired bootstrap's for a difference. A small p means that chance alone would "
        "rarely make such a difference.",
    )
    return Section("models", "Models", paragraphs, tuple(tables))


def _models_table(data: ReportData) -> Table:
    """Return one row per model, the shown one first and marked, with the settings in which they differ."""
    settings = [model.settings for model in data.models]
    names = [name for name in settings[0] if not name.startswith(NOT_SHOWN)]
    differ = varying(settings, [name for name in names if "." not in name or name.endswith(".name")])
    numeric = {name: all(is_number(one.get(name)) for one in settings) for name in differ}
    columns = (
        Column("name", "model"),
        Column("test/accuracy", "test accuracy", "percent"),
        Column("interval", "95 % interval", "range"),
        *(Column(name, name, "number" if numeric[name] else "text") for name in differ),
        Column("n_parameters", "parameters", "count"),
        Column("seconds", "training time", "seconds"),
        Column("test/loss", "test loss", "number"),
        Column("test/roc_auc", "ROC-AUC", "number"),
        Column("validation/accuracy", "validation accuracy", "percent"),
        Column("train/accuracy", "train accuracy", "percent"),
        Column("run", "MLflow run"),
    )
    return Table(f"All models on {data.title}", columns, tuple(_model_row(data, model) for model in data.models))


def curves_section(data: ReportData) -> Section | None:
    """Return loss and accuracy over the epochs, one figure per metric with all models; None without histories."""
    pictures = tuple(p for p in (_curve_picture(data, metric) for metric in CURVES) if p is not None)
    return Section("curves", "Learning curves", pictures=pictures) if pictures else None


def errors_section(data: ReportData) -> Section:
    """Return the shown model's confusion matrix, its difference from the best other's, and its errors as images."""
    shown, others = data.shown, data.others
    pictures = [_confusion_picture(shown), *(_difference_picture(shown, other) for other in others[:1])]
    folded = [_confusion_picture(other) for other in others]
    folded += [_difference_picture(shown, other) for other in others[1:]]
    examples = tuple(
        image(shown.images[name], f"Test images of {shown.name}: {text}.", f"{shown.name}: {text}", is_wide=True)
        for name, text in EXAMPLES
        if name in shown.images
    )
    return Section(
        "errors",
        "Errors",
        tables=(_class_table(shown),),
        pictures=(*pictures, *examples),
        folded_title="Confusion matrices of the other models",
        folded=tuple(folded),
    )


def calibration_section(data: ReportData) -> Section:
    """Return the reliability diagram of each model."""
    pictures, what = [_reliability_picture(model) for model in (data.shown, *data.others)], data.shown.samples
    return Section(
        "calibration",
        "Calibration",
        (f"A calibrated model is right on 80 % of the {what} to whose class it gives a probability of 80 %.",),
        pictures=tuple(pictures[:2]),
        folded_title="Calibration of the other models",
        folded=tuple(pictures[2:]),
    )


def _curve_picture(data: ReportData, metric: str) -> Picture | None:
    series = {model.name: model.points(metric) for model in data.models} | _trial_curve(data, metric)
    if not any(series.values()):
        return None
    shown = metric_named(metric).shown
    ends = ", ".join(f"{name} {shown(points[-1][1])}" for name, points in series.items() if points)
    return picture(
        lambda: training.comparison(series, metric),
        f"Line chart of {metric} by epoch; at the end: {ends}.",
        f"{metric} at the end: {ends}",
    )


def _trial_curve(data: ReportData, metric: str) -> dict[str, list[tuple[float, float]]]:
    """Return the curve of the trial that won, which stands for the winner where that has none."""
    search = data.search
    if search is None or search.metric != metric or not data.winner:
        return {}
    won = next((one.number for one in search.finalists if one.is_winner), search.best and search.best.number)
    return {
        # Beside curves by epoch; a first look is none.
        f"trial {won}, which won": [(float(epoch), value) for epoch, value in trial.intermediate if epoch != FIRST_LOOK]
        for trial in search.trials
        if trial.number == won
    }


def _confusion_picture(model: ModelResult) -> Picture:
    pairs = model.metrics["confused_pairs"][:3]
    most = ", ".join(f"{p['first']} and {p['second']} ({p['first_as_second'] + p['second_as_first']})" for p in pairs)
    return picture(
        lambda: confusion.confusion_panel(model.confusion, model.class_names, model.label),
        f"Confusion matrix of {model.name} on the test split. Most confused: {most or 'none'}.",
        f"{model.name}: percent of each true class. Most confused: {most or 'none'}",
    )


def _difference_picture(shown: ModelResult, other: ModelResult) -> Picture:
    more = int(np.trace(shown.confusion) - np.trace(other.confusion))
    what = shown.samples.removesuffix("s") if abs(more) == 1 else shown.samples
    correct = f"{abs(more)} {'fewer' if more < 0 else 'more'} test {what} correct"
    points = FORMATS["points"](shown.accuracy - other.accuracy)
    title, names = f"{shown.name} minus {other.name}: {points} points", (shown.name, other.name)
    return picture(
        lambda: confusion.difference(shown.confusion, other.confusion, shown.class_names, title, names),
        f"Confusion matrix of {shown.name} minus that of {other.name}: {correct}. Blue: {shown.name} is better.",
        f"{shown.name} vs {other.name}: {correct}",
    )


def _reliability_picture(model: ModelResult) -> Picture:
    measured = calibration(model.predictions.confidence, model.predictions.correct)
    error = f"expected calibration error {100 * measured.expected_error:.2f} points"
    return picture(
        lambda: errors.reliability(measured, model.label),
        f"Reliability diagram of {model.name}: accuracy against probability; {error}.",
        f"{model.name}: {error}",
    )


def _class_table(model: ModelResult) -> Table:
    """Return the figures of each class, as the evaluation wrote them."""
    return Table(f"{model.name} by class", PER_CLASS, model.by_class)


def _model_row(data: ReportData, model: ModelResult) -> dict[str, Any]:
    measured = {
        f"{split}/{key}": value
        for split in ("train", "validation", "test")
        for key, value in model.metrics.get(split, {}).items()
    }
    told = {"name": model.name, "interval": model.interval, "n_parameters": model.n_parameters}
    if run := model.run:
        told |= {"run": run.name, "seconds": run.seconds, address_of("run"): data.address(run.run_id)}
    return {**model.settings, **measured, **told, MARKED: model is data.winner}
