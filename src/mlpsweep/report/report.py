"""The report on a whole pipeline run: its sections, its lead, its main figures and its warnings.

:func:`mlpsweep.report.data.load_report_data` reads the files.
"""

from collections.abc import Callable
from typing import Final

from mlpsweep.report.models import (
    accuracy_interval,
    calibration_section,
    curves_section,
    errors_section,
    models_section,
)
from mlpsweep.report.page import Command, Page, Section, render_page
from mlpsweep.report.results import ModelResult, ReportData
from mlpsweep.report.search import finalists_section, search_section, trials_section
from mlpsweep.tables import FORMATS, Column, Table


def render_report(data: ReportData) -> str:
    """Return the page as HTML that needs no network, no other file and no JavaScript.

    Parameters
    ----------
    data : ReportData
        Results to show; not modified.
    """
    sections = (section(data) for section in SECTIONS)
    return render_page(
        Page(
            title=f"mlpsweep on {data.title}",
            lead=_lead(data),
            facts=tuple(_facts(data).items()),
            warnings=tuple(_warnings(data)),
            sections=tuple(section for section in sections if section is not None),
        )
    )


def lineage_section(data: ReportData) -> Section:
    """Return the origin of each model, the machine and versions of its run, and the commands that rebuild it."""
    models = tuple(_origin(model) for model in data.models)
    columns = (
        Column("name", "model"),
        Column("run_id", "MLflow run"),
        Column("run_key", "run_key"),
        Column("weights_hash", "SHA-256 of the weights"),
        Column("data_digest", "SHA-256 of the data"),
        Column("seconds", "training time", "seconds"),
    )
    tables = [Table("Origin of the models", columns, models)]
    if data.lineage:
        rows = tuple({"what": what, "value": value} for what, value in data.lineage)
        tables.append(Table("Code and machine", (Column("what", "what"), Column("value", "value")), rows))
    commands = tuple(Command(purpose, line) for purpose, line in data.commands)
    return Section("lineage", "Lineage and rebuilding", tables=tuple(tables), commands=commands)


SECTIONS: Final[tuple[Callable[[ReportData], Section | None], ...]] = (
    models_section,
    curves_section,
    errors_section,
    calibration_section,
    finalists_section,
    search_section,
    trials_section,
    lineage_section,
)
"""Sections in reading order; a section without content is None."""


def _lead(data: ReportData) -> str:
    shown = data.shown
    who = "The winner of the search" if data.winner else f"The best model, {shown.name},"
    n_samples, accuracy = len(shown.predictions.labels), shown.metrics["test"]["accuracy"]
    interval = FORMATS["range"](accuracy_interval(shown))
    return f"{who} classifies {100 * accuracy:.2f} % of {n_samples:,} test images correctly (95 % interval {interval})."


def _facts(data: ReportData) -> dict[str, str]:
    shown = data.shown
    facts = {"data set": data.title, "test accuracy": FORMATS["percent"](shown.metrics["test"]["accuracy"])}
    facts["95 % interval"] = FORMATS["range"](accuracy_interval(shown))
    baselines = [model for model in data.models if model is not shown]
    if baselines:
        best = max(baselines, key=lambda model: float(model.metrics["test"]["accuracy"]))
        facts[f"best other: {best.name}"] = FORMATS["percent"](best.metrics["test"]["accuracy"])
    if data.search is not None:
        facts["trials"] = str(len(data.search.trials))
    return facts


def _warnings(data: ReportData) -> list[str]:
    if data.stands_in_for is None:
        return []
    return [
        f"{data.stands_in_for} could not be downloaded, and {data.dataset} stands in for it. These results say nothing "
        f"about {data.stands_in_for}. Connect, or set {data.stands_in_for.upper()}_MIRROR, then run `dvc repro`."
    ]


def _origin(model: ModelResult) -> dict[str, object]:
    run = {} if model.run is None else {"run_id": model.run.run_id, "seconds": model.run.seconds}
    return {**model.metrics["model"], **run, "name": model.name}
