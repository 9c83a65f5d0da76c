"""The report on a whole pipeline run: its sections, its lead, its main figures and its warnings.

:func:`mlpsweep.report.data.load_report_data` reads the files.
"""

from collections.abc import Callable
from typing import Final

from mlpsweep.report.answers import answers
from mlpsweep.report.models import (
    calibration_section,
    curves_section,
    errors_section,
    models_section,
)
from mlpsweep.report.page import MARKED, Command, Page, Section, address_of, render_page
from mlpsweep.report.results import N_DIGITS, ModelResult, ReportData
from mlpsweep.report.search import finalists_section, search_section, trials_section
from mlpsweep.tables import FORMATS, Column, Table, duration


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
            answers=answers(data),
            made=_made(data),
        )
    )


def lineage_section(data: ReportData) -> Section:
    """Return the origin of each model, the machine and versions of its run, and the commands that rebuild it."""
    models = tuple(_origin(data, model) for model in data.models)
    columns = (
        Column("name", "model"),
        Column("run_id", "MLflow run"),
        Column("run_key", "run_key"),
        Column("weights_hash", "SHA-256 of the weights"),
        Column("data_digest", "SHA-256 of the data"),
        Column("seconds", "training time", "seconds"),
    )
    tables = [Table(f"Origin of the models; hashes by their first {N_DIGITS} digits", columns, models)]
    if data.lineage:
        rows = tuple({"what": what, "value": value} for what, value in data.lineage)
        tables.append(Table("Code and machine", (Column("what", "what"), Column("value", "value")), rows))
    commands = tuple(Command(purpose, line) for purpose, line in data.commands)
    links = (f"Links to runs lead to {data.ui}: `make ui` opens it on this machine.",) if data.ui else ()
    return Section("lineage", "Lineage and rebuilding", links, tuple(tables), commands=commands)


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
    n_samples, interval = FORMATS["count"](len(shown.predictions.labels)), FORMATS["range"](shown.interval)
    accuracy = FORMATS["percent"](shown.accuracy)
    return f"{who} classifies {accuracy} of {n_samples} test {shown.samples} correctly (95 % interval {interval})."


def _made(data: ReportData) -> str:
    commit = f"{data.shown.name} trained at commit {data.shown.commit}" if data.shown.commit else ""
    return "; ".join(part for part in (f"Page made {data.made}" if data.made else "", commit) if part)


def _facts(data: ReportData) -> dict[str, str]:
    shown = data.shown
    facts = {"test accuracy": FORMATS["percent"](shown.accuracy), "95 % interval": FORMATS["range"](shown.interval)}
    if data.others:
        best = data.others[0]
        facts[f"gain over {best.name}"] = f"{FORMATS['points'](shown.accuracy - best.accuracy)} points"
    facts["parameters"] = FORMATS["count"](shown.n_parameters)
    if shown.run and shown.run.seconds is not None:
        facts["training time"] = duration(shown.run.seconds)
    if data.search is not None:
        facts["trials"] = FORMATS["count"](len(data.search.trials))
    return facts


def _warnings(data: ReportData) -> list[str]:
    if data.stands_in_for is None:
        return []
    return [
        f"{data.stands_in_for} could not be downloaded, and {data.dataset} stands in for it. These results say nothing "
        f"about {data.stands_in_for}. Connect, or set {data.stands_in_for.upper()}_MIRROR, then run `dvc repro`."
    ]


def _origin(data: ReportData, model: ModelResult) -> dict[str, object]:
    told = {key: str(value)[:N_DIGITS] for key, value in model.metrics["model"].items()}
    if run := model.run:
        link = {address_of("run_id"): data.address(run.run_id)}
        told |= {"run_id": run.run_id[:N_DIGITS], **link}
    return {**told, "seconds": model.run and model.run.seconds, "name": model.name, MARKED: model is data.winner}
