"""The report's sections on the search: finalists, figures, table of trials."""

import functools
import statistics
from collections.abc import Iterator
from typing import Any

from mlpsweep.figures import search as figures
from mlpsweep.metric import metric_named
from mlpsweep.report.page import Picture, Section, picture
from mlpsweep.report.results import ReportData
from mlpsweep.search.choice import BAND
from mlpsweep.search.rows import Finalist, Search
from mlpsweep.tables import FORMATS, Column, Table, counted, duration


def finalists_section(data: ReportData) -> Section | None:
    """Return the table of the finalists, and which of them are tied; None without finalists."""
    search = data.search
    if search is None or not search.finalists:
        return None
    tied = [str(finalist.number) for finalist in search.finalists if finalist.is_tied]
    text = (
        f"Trials {', '.join(tied)} are tied: their means are within {BAND:g} standard errors of the best, over the "
        "same seeds and validation rows. The tied trial with the smallest network wins."
        if len(tied) > 1
        else f"No other mean is within {BAND:g} standard errors of the winner's, over the same seeds and rows."
    )
    return Section("finalists", "Seeds and ties", (text,), (finalists_table(search),))


def finalists_table(search: Search, *, shows_seeds: bool = True) -> Table:
    """Return one row per finalist, best first.

    Parameters
    ----------
    search : Search
        Search with at least one finalist.
    shows_seeds : bool
        Whether the table has a column per seed.
    """
    kind = metric_named(search.metric).kind
    n_seeds = max(len(finalist.values) for finalist in search.finalists)
    seeds = counted(n_seeds, "seed") if n_seeds == 1 else f"up to {n_seeds} seeds"
    columns = (
        Column("number", "trial", "count", leaves=0),
        Column("verdict", "verdict", leaves=0),
        Column("mean", "mean", kind, leaves=0),
        Column("spread", "std. dev.", kind, leaves=2),
        *(Column(f"seed {k}", f"seed {k + 1}", kind) for k in range(n_seeds) if shows_seeds),
        Column("n_parameters", "parameters", "count", leaves=3),
        *(Column(name, name) for name in dict.fromkeys(n for f in search.finalists for n in f.params)),
    )
    rows = tuple(_finalist_row(finalist) for finalist in search.finalists)
    won = next((place for place, finalist in enumerate(search.finalists) if finalist.is_winner), None)
    return Table(f"Finalists, {search.metric} on {seeds}", columns, rows, won)


def search_section(data: ReportData) -> Section | None:
    """Return counts, time and figures of the search; None without a search."""
    search = data.search
    if search is None:
        return None
    counts = ", ".join(f"{count} {state}" for state, count in search.counts().items())
    worked = figures.work_time(search)
    time_text = (
        f" Total {duration(worked.seconds)} on {counted(worked.n_workers, 'worker')} "
        f"({100 * worked.busy_share:.1f} % busy)."
        if worked
        else ""
    )
    return Section(
        "search",
        "Search",
        (f"Study {search.study}: {counted(len(search.trials), 'trial')} ({counts}).{time_text}",),
        pictures=tuple(_pictures(search)),
    )


def trials_section(data: ReportData) -> Section | None:
    """Return the table of all trials; None without a search."""
    return None if data.search is None else Section("trials", "Trials", tables=(data.search.table(),))


def _pictures(search: Search) -> Iterator[Picture]:
    """Yield each figure; each slice is a picture of its own, so that it fits a narrow page."""
    best = search.best
    shown = FORMATS[metric_named(search.metric).kind]
    top = f"best: trial {best.number} with {shown(best.value)}" if best else "no trial is complete"
    for kind in figures.FIGURES:
        if not kind.is_drawable(search):
            continue
        if kind.name == "slices":
            yield from (_slice_picture(search, name, top) for name in search.varying_params)
        else:
            alt = f"{search.metric}: {kind.says}; {top}.{_shares(search) if kind.name == 'importances' else ''}"
            yield picture(functools.partial(kind.draw, search), alt, kind.says, is_wide=kind.is_wide)


def _slice_picture(search: Search, name: str, top: str) -> Picture:
    return picture(
        lambda: figures.slice_panel(search, name),
        f"{search.metric} of each trial over {name}; {top}.",
        f"{search.metric} over {name}",
    )


def _shares(search: Search) -> str:
    ranked = sorted(search.importances.items(), key=lambda item: -item[1])
    return " " + ", ".join(f"{name} {100 * share:.0f} %" for name, share in ranked) + "."


def _finalist_row(finalist: Finalist) -> dict[str, Any]:
    verdict = "winner" if finalist.is_winner else "tied" if finalist.is_tied else ""
    values = finalist.values
    return {
        "number": finalist.number,
        "verdict": verdict,
        "mean": statistics.fmean(values),
        "spread": statistics.stdev(values) if len(values) > 1 else None,
        "n_parameters": finalist.n_parameters,
        **{f"seed {k}": value for k, value in enumerate(values)},
        **finalist.params,
    }
