"""What MLflow's pages say of searches, sweeps and models: descriptions in Markdown, and a page to keep with the run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mlpsweep.figures.search import FIGURES
from mlpsweep.metric import metric_named
from mlpsweep.report.page import Command, Page, Section, image, render_page
from mlpsweep.report.search import finalists_table
from mlpsweep.report.sweep import METRIC, WELL, FinishedJob, by_value, jobs_table, seeds_table, varied
from mlpsweep.search.rows import Search
from mlpsweep.tables import FORMATS, Table, counted, plain

MAX_ROWS: Final = 30
"""Rows of a table in a description; the page has all."""


@dataclass(frozen=True)
class Parent:
    """What a parent run tells of the runs below it.

    Parameters
    ----------
    lead : str
        The result in one sentence.
    noun : str
        What they are: ``trial`` or ``job``.
    counts : mapping of str to int
        How many ended so.
    best : mapping of int to float
        The best value of the metric by the number of trials or jobs that had ended.
    figures : mapping of str to float
        What belongs to the winner, by name.
    tables : mapping of str to Table
        By their headings, the most important one first.
    commands : tuple of Command
        What makes it again, what goes on from it.
    """

    lead: str
    noun: str
    counts: Mapping[str, int]
    best: Mapping[int, float]
    figures: Mapping[str, float]
    tables: Mapping[str, Table]
    commands: tuple[Command, ...]

    @property
    def metrics(self) -> dict[str, float]:
        """All single figures by name."""
        return {**self.figures, **{f"ended/{state}": count for state, count in self.counts.items()}}

    def note(self) -> str:
        """Return the description, in Markdown."""
        ends = ", ".join(f"{count} {state}" for state, count in self.counts.items())
        first, *others = (f"{one.purpose.capitalize()}: `{one.line}`" for one in self.commands)
        tables = (
            f"{table.title}:\n\n{Table(table.title, table.columns, table.rows[:MAX_ROWS]).to_markdown()}"
            for table in list(self.tables.values())[:1]
        )
        # MLflow folds a description after its first lines.
        return "\n\n".join((f"**{self.lead}** {self.noun.capitalize()}s: {ends}.", first, *tables, *others))

    def page(self, title: str, pictures: Mapping[str, bytes]) -> str:
        """Return the page as HTML, with pictures by name."""
        captions = {kind.name: kind for kind in FIGURES}
        drawn = tuple(
            image(png, caption, caption, is_wide=kind is not None and kind.is_wide)
            for name, png in pictures.items()
            for kind in (captions.get(name),)
            for caption in (kind.says if kind else name,)
        )
        sections = (
            *(Section(name.lower(), name, tables=(table,)) for name, table in self.tables.items()),
            *([Section("figures", "Figures", pictures=drawn)] if drawn else []),
            Section("again", "Commands", commands=self.commands),
        )
        facts = tuple((state, str(count)) for state, count in self.counts.items())
        return render_page(Page(title=title, lead=self.lead, facts=facts, warnings=(), sections=sections))


def parent_of_search(found: Search, commands: tuple[Command, ...]) -> Parent:
    """Return what the run of a search tells."""
    shown = metric_named(found.metric).shown
    winner = next((one for one in found.finalists if one.is_winner), None)
    best = found.best
    figures: dict[str, float] = {}
    if winner:
        lead = f"Trial {winner.number} won: {found.metric} {shown(winner.mean)}"
        figures = {
            "winner/mean": winner.mean,
            "winner/n_parameters": winner.n_parameters,
            "winner/trial": winner.number,
        }
        if winner.spread is not None:
            lead += f" ± {_spread(winner.spread, found.metric)} over {counted(len(winner.values), 'seed')}"
            figures["winner/standard_deviation"] = winner.spread
    else:
        lead = f"The best of the trials is {best.number}: {found.metric} {shown(best.value)}" if best else "No winner"
    tables = {"Finalists": finalists_table(found)} if found.finalists else {}
    tables["Trials"] = found.table()
    return Parent(f"{lead}.", "trial", found.counts(), found.best_so_far(), figures, tables, commands)


def parent_of_sweep(jobs: Sequence[FinishedJob], title: str, commands: tuple[Command, ...]) -> Parent:
    """Return what the run of a multirun tells."""
    measured = {number: job.metrics[METRIC] for number, job in enumerate(jobs) if METRIC in job.metrics}
    n_failed = sum(job.ended not in WELL for job in jobs)
    counts = {"done": len(jobs) - n_failed, **({"failed": n_failed} if n_failed else {})}
    tables = {"Jobs": jobs_table(jobs, title)}
    best = max(measured, key=lambda number: measured[number], default=None)
    lead, figures = "No job has a result", {}
    if best is not None:
        settings = ", ".join(f"{name}={plain(jobs[best].settings.get(name))}" for name in varied(jobs))
        lead = f"Job {best}{f' ({settings})' if settings else ''} is the best: {METRIC} "
        lead += FORMATS["percent"](measured[best])
    if groups := by_value(jobs):
        table = seeds_table(*groups)
        top = max(table.rows, key=lambda row: float(row["mean"]))
        lead = f"{groups[0]}={plain(top[groups[0]])} is the best: mean {METRIC} {FORMATS['percent'](top['mean'])}"
        figures = {"winner/mean": top["mean"]}
        if top["spread"] is not None:
            lead += f" ± {_spread(top['spread'], METRIC)} over {counted(top['n'], 'seed')}"
            figures["winner/standard_deviation"] = top["spread"]
        tables = {"Seeds": table, **tables}
    so_far = {place: max(list(measured.values())[:place]) for place in range(1, len(measured) + 1)}
    return Parent(f"{lead}.", "job", counts, so_far, figures, tables, commands)


def _spread(value: float, metric: str) -> str:
    """Return a standard deviation in the unit of its metric: percentage points, or the metric's own."""
    return f"{100 * value:.2f}" if metric_named(metric).kind == "percent" else f"{value:.4f}"
