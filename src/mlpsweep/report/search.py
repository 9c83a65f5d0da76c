"""The report's sections on the search: finalists, figures, table of trials."""

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from mlpsweep.figures import search as figures
from mlpsweep.metric import metric_named
from mlpsweep.report.page import MARKED, Command, Picture, Section, picture
from mlpsweep.report.results import ReportData
from mlpsweep.search.choice import BAND
from mlpsweep.search.rows import PAUSED, PRUNED, Finalist, Search
from mlpsweep.tables import FORMATS, Column, Table, counted, duration, is_number

FEW: Final = 50
"""With fewer complete trials, importances are a guess."""
EARLY: Final = {
    PRUNED: "A pruned trial was stopped early, because others did better after as many epochs.",
    PAUSED: "A paused trial waits where others were better; it may go on when more trials are asked for.",
}


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
        *(
            Column(name, name, _kind(search, name))
            for name in dict.fromkeys(n for f in search.finalists for n in f.params)
        ),
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
        f"({FORMATS['share'](worked.busy_share)} busy)."
        if worked
        else ""
    )
    text = f"Study {search.study}: {counted(len(search.trials), 'trial')} ({counts}).{time_text}"
    early = " ".join(text for state, text in EARLY.items() if state in search.counts())
    log = "Where an axis says so, it is logarithmic: of a parameter if it was drawn so, of an accuracy by its error."
    wider = tuple(
        Command(f"The winner's {edge.sentence}; a wider range may hold a better one. Add to the search:", edge.override)
        for edge in search.edges
    )
    return Section(
        "search", "Search", (text, f"{early} {log}".strip()), pictures=tuple(_pictures(search)), commands=wider
    )


def trials_section(data: ReportData) -> Section | None:
    """Return the table of all trials; None without a search."""
    if data.search is None:
        return None
    table = data.search.table()
    won = next((one.number for one in data.search.finalists if one.is_winner), None)
    rows = tuple({**row, MARKED: row["number"] == won} for row in table.rows)
    return Section("trials", "Trials", tables=(replace(table, rows=rows),))


def _pictures(search: Search) -> Iterator[Picture]:
    """Yield each figure; each slice is a picture of its own, so that it fits a narrow page."""
    best = search.best
    shown = metric_named(search.metric).shown
    top = f"best: trial {best.number} with {shown(best.value)}" if best else "no trial is complete"
    for kind in figures.FIGURES:
        if not kind.is_drawable(search):
            continue
        if kind.name == "slices":
            yield from (_slice_picture(search, name, top) for name in search.varying_params)
        else:
            is_ranking = kind.name == "importances"
            alt = f"{search.metric}: {kind.says}; {top}.{_shares(search) if is_ranking else ''}"
            caption = f"{kind.says}. {_caveat(search)}" if is_ranking else kind.says
            yield picture(functools.partial(kind.draw, search), alt, caption, is_wide=kind.is_wide)


def _slice_picture(search: Search, name: str, top: str) -> Picture:
    return picture(
        lambda: figures.slice_panel(search, name),
        f"{search.metric} of each trial over {name}; {top}.",
        f"{search.metric} over {name}",
    )


def _shares(search: Search) -> str:
    ranked = sorted(search.importances.items(), key=lambda item: -item[1])
    return " " + ", ".join(f"{name} {FORMATS['share'](share)}" for name, share in ranked) + "."


def _caveat(search: Search) -> str:
    """Return how the importances came about, and how far to trust them."""
    n = len(search.complete)
    few = f"; of {counted(n, 'trial')} it is a rough guess" if n < FEW else ""
    return (
        f"{figures.IMPORTANCE}, over {counted(n, 'complete trial')}: what sets the best of them apart. Others "
        "do not count, so that what always loses early can seem to matter little: see the panels"
        f"{few}{_left_out(search)}"
    )


def _left_out(search: Search) -> str:
    """Return which parameters have no importance, because not every trial has them."""
    names = [name for name in search.varying_params if not all(name in trial.params for trial in search.complete)]
    return f". Not every trial has {', '.join(names)}: no share is known" if names else ""


def _kind(search: Search, name: str) -> str:
    values = [one.params[name] for one in search.finalists if name in one.params]
    return "number" if all(is_number(value) for value in values) else "text"


def _finalist_row(finalist: Finalist) -> dict[str, Any]:
    verdict = "winner" if finalist.is_winner else "tied" if finalist.is_tied else ""
    values = finalist.values
    return {
        "number": finalist.number,
        "verdict": verdict,
        MARKED: finalist.is_winner,
        "mean": finalist.mean,
        "spread": finalist.spread,
        "n_parameters": finalist.n_parameters,
        **{f"seed {k}": value for k, value in enumerate(values)},
        **finalist.params,
    }
