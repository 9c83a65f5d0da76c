"""The assembly of a report's value from the files that the stages wrote; renders nothing."""

import contextlib
import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from mlpsweep.config import read_yaml
from mlpsweep.errors import DataError, DataFormatError, SettingsError
from mlpsweep.evaluation.folder import PREDICTED
from mlpsweep.files import read_json
from mlpsweep.report.results import WINNER, ModelResult, Predictions, ReportData
from mlpsweep.search.rows import Finalist, Search, read_trials
from mlpsweep.types import LabelArray

METRICS: Final = ("dataset", "stands_in_for", "title", "model", "confused_pairs", "train", "test")
"""What every ``metrics.json`` says."""

MADE_WITH: Final = MappingProxyType(
    {
        "mlflow.source.git.commit": "git commit",
        "git_dirty": "with uncommitted changes",
        "python": "Python",
        "numpy": "NumPy",
        "scipy": "SciPy",
        "blas": "BLAS",
        "cpu": "processor",
        "n_cpus": "number of processors",
        "platform": "system",
    }
)
"""What a run's record says of its making, and how a reader calls it."""


def load_report_data(
    artifacts: Path,
    *,
    commands: tuple[tuple[str, str], ...] = (),
) -> ReportData:
    """Assemble the report from ``train/<name>``, ``evaluate/<name>`` and ``search`` below ``artifacts``.

    A model that was trained and not evaluated is left out, and so is a search that is not there.

    Raises
    ------
    DataError
        If no model was evaluated, a file is missing, or the models are of different data sets.
    DataFormatError
        If a file is not what its name says.
    """
    folders = sorted(path.parent for path in (artifacts / "evaluate").glob("*/metrics.json"))
    if not folders:
        raise DataError(f"report: no evaluation in {artifacts / 'evaluate'}; expected at least one. Run `dvc repro`.")
    models = [load_model_result(artifacts / "train" / folder.name, folder) for folder in folders]
    models.sort(key=lambda model: (model.name == WINNER, model.name))
    titles = sorted({model.metrics["title"] for model in models})
    if len(titles) > 1:
        raise DataError(
            f"report: {artifacts / 'evaluate'} holds evaluations on {' and '.join(titles)}; expected one data set, "
            "because figures on different data cannot be compared. Run `dvc repro`."
        )
    identity = models[0].metrics
    return ReportData(
        dataset=identity["dataset"],
        stands_in_for=identity["stands_in_for"],
        title=identity["title"],
        models=tuple(models),
        search=load_search(artifacts / "search"),
        lineage=lineage_of(models),
        commands=commands,
    )


def lineage_of(models: Sequence[ModelResult]) -> tuple[tuple[str, str], ...]:
    """Return with what the models were made, by the record of each run; a fact they do not share names its models."""
    facts: list[tuple[str, str]] = []
    for key, what in MADE_WITH.items():
        found: dict[str, list[str]] = {}
        for model in models:
            if value := model.run.get("made_with", {}).get(key):
                found.setdefault(str(value), []).append(model.name)
        facts += [(what if len(found) == 1 else f"{what} of {', '.join(names)}", one) for one, names in found.items()]
    return tuple(facts)


def load_search(folder: Path) -> Search | None:
    """Return a search from ``summary.json`` and ``trials.csv``, or None if they are not there.

    The times come from ``<folder>.times.csv`` beside the folder, where they do not change its bytes.
    """
    trials = folder / "trials.csv"
    if not trials.exists():
        return None
    summary = read_json(folder / "summary.json")
    try:
        return Search(
            study=summary["study"],
            metric=summary["metric"],
            trials=read_trials(trials, folder.with_name(f"{folder.name}.times.csv")),
            importances=summary.get("importances", {}),
            finalists=tuple(map(_finalist, summary.get("finalists", ()))),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise DataFormatError(f"{folder / 'summary.json'}: {error!r} is missing. Run `dvc repro -f search`.") from error


def load_model_result(train: Path, evaluate: Path) -> ModelResult:
    """Read one model's files.

    Parameters
    ----------
    train, evaluate : Path
        Output folders of its training and of its evaluation.

    Raises
    ------
    DataError
        If a file is missing.
    DataFormatError
        If a file is not what its name says.
    """
    class_names, confusion = read_confusion(evaluate / "confusion_matrix.csv")
    run = train.with_name(f"{train.name}.run.json")
    return ModelResult(
        name=evaluate.name,
        settings=read_settings(train / "config.yaml"),
        metrics=read_metrics(evaluate / "metrics.json"),
        history=read_history(train / "history.csv"),
        class_names=class_names,
        confusion=confusion,
        predictions=read_predictions(evaluate / "predictions.csv"),
        images={path.stem: path.read_bytes() for path in sorted(evaluate.glob("*.png"))},
        run=read_json(run) if run.exists() else {},
    )


def read_settings(path: Path) -> dict[str, Any]:
    """Return a training's ``config.yaml``."""
    try:
        return read_yaml(_text(path), str(path))
    except SettingsError as error:
        raise DataFormatError(*error.messages) from error


def read_metrics(path: Path) -> dict[str, Any]:
    """Return an evaluation's ``metrics.json``."""
    metrics: dict[str, Any] = read_json(path)
    missing = [key for key in METRICS if key not in metrics]
    if missing:
        raise DataFormatError(
            f"{path}: {', '.join(missing)} missing; expected {', '.join(METRICS)}. Evaluate again: `dvc repro -f`."
        )
    return metrics


def read_history(path: Path) -> tuple[dict[str, float | None], ...]:
    """Return one mapping per line of ``history.csv``; empty cells are None."""
    with _parsing(path):
        return tuple({key: float(cell) if cell else None for key, cell in line.items()} for line in _lines(path))


def read_predictions(path: Path) -> Predictions:
    """Return the columns of ``predictions.csv``."""
    with _parsing(path):
        lines = _lines(path)
        rows, labels, predicted = (
            np.array([int(line[key]) for line in lines], dtype=np.int64) for key in ("row", "label", "predicted")
        )
        return Predictions(rows, labels, predicted, np.array([float(line["probability"]) for line in lines]))


def read_confusion(path: Path) -> tuple[tuple[str, ...], LabelArray]:
    """Return class names and counts of ``confusion_matrix.csv``."""
    with _parsing(path):
        header, *lines = csv.reader(_text(path).splitlines())
        names = tuple(name.removeprefix(PREDICTED) for name in header[1:])
        return names, np.array([[int(cell) for cell in line[1:]] for line in lines], dtype=np.int64)


def _finalist(values: Mapping[str, Any]) -> Finalist:
    return Finalist(
        number=values["trial"],
        values=tuple(values["values"]),
        n_parameters=values["n_parameters"],
        is_tied=values["is_tied"],
        is_winner=values["is_winner"],
        params=values["settings"],
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file. `dvc repro` makes it.") from error


@contextlib.contextmanager
def _parsing(path: Path) -> Iterator[None]:
    """Name the file in what goes wrong inside the block."""
    try:
        yield
    except DataError:
        raise
    except (KeyError, ValueError, TypeError) as error:
        raise DataFormatError(f"{path}: not what its name says ({error!r}). Delete it and run `dvc repro`.") from error


def _lines(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(_text(path).splitlines()))
