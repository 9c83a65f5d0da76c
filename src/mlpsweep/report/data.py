"""Loading the data of a report from the files that the stages wrote; ``report`` renders them."""

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from mlpsweep.config import flat, plain
from mlpsweep.errors import DataError
from mlpsweep.evaluation.folder import EvaluationFolder
from mlpsweep.report.results import N_DIGITS, WINNER, ModelResult, ReportData
from mlpsweep.search.folder import SearchFolder
from mlpsweep.training.folder import TrainingFolder

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
"""Keys of a run's record that describe its making, with their names for readers."""


def load_report_data(
    artifacts: Path,
    *,
    commands: tuple[tuple[str, str], ...] = (),
    made: str = "",
    ui: str = "",
) -> ReportData:
    """Load the report's data from ``train/<name>``, ``evaluate/<name>`` and ``search`` below ``artifacts``.

    A model without an evaluation is left out, and so is a missing search.

    Parameters
    ----------
    artifacts : Path
        Folder of the stages' outputs.
    commands : tuple of (str, str)
        Purpose and command line of each command that rebuilds the results.
    made, ui : str
        When the page is made, and the address of MLflow's pages; see :class:`ReportData`.

    Raises
    ------
    DataError
        If no model was evaluated, a file is missing, or the models were evaluated on different data sets.
    DataFormatError
        If a file is not what its name says.
    """
    evaluations = [EvaluationFolder(path) for path in sorted((artifacts / "evaluate").glob("*"))]
    evaluations = [folder for folder in evaluations if folder.exists]
    if not evaluations:
        raise DataError(f"report: no evaluation in {artifacts / 'evaluate'}; expected at least one. Run `dvc repro`.")
    models = [
        load_model_result(TrainingFolder(artifacts / "train" / folder.path.name), folder) for folder in evaluations
    ]
    models.sort(key=lambda model: (model.name != WINNER, -model.accuracy, model.name))
    titles = sorted({model.metrics["title"] for model in models})
    if len(titles) > 1:
        raise DataError(
            f"report: {artifacts / 'evaluate'} holds evaluations on {' and '.join(titles)}; expected one data set, "
            "because figures on different data cannot be compared. Run `dvc repro`."
        )
    identity, searched = models[0].metrics, SearchFolder(artifacts / "search")
    return ReportData(
        dataset=identity["dataset"],
        stands_in_for=identity["stands_in_for"],
        title=identity["title"],
        models=tuple(models),
        search=searched.read() if searched.exists() else None,
        lineage=lineage_of(models),
        commands=commands,
        made=made,
        ui=ui,
    )


def lineage_of(models: Sequence[ModelResult]) -> tuple[tuple[str, str], ...]:
    """Return commit, versions and machine of the models' runs; a value that differs between models names its models."""
    facts: list[tuple[str, str]] = []
    for key, what in MADE_WITH.items():
        found: dict[str, list[str]] = {}
        for model in models:
            if value := (model.run.made_with if model.run else {}).get(key):
                value = str(value)[:N_DIGITS] if key.endswith("git.commit") else str(value)
                found.setdefault(value, []).append(model.name)
        facts += [(what if len(found) == 1 else f"{what} of {', '.join(names)}", one) for one, names in found.items()]
    return tuple(facts)


def load_model_result(training: TrainingFolder, evaluation: EvaluationFolder) -> ModelResult:
    """Read the training and the evaluation of one model.

    Raises
    ------
    DataError
        If a file is missing.
    DataFormatError
        If a file is not what its name says.
    """
    class_names, confusion = evaluation.confusion()
    model, settings = training.load()
    return ModelResult(
        name=evaluation.path.name,
        metrics=evaluation.metrics(),
        history=training.history(),
        class_names=class_names,
        confusion=confusion,
        by_class=evaluation.by_class(),
        predictions=evaluation.predictions(),
        settings=flat(plain(settings)),
        n_parameters=model.n_parameters,
        images=evaluation.pictures(),
        run=training.record(),
    )
