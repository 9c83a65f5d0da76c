"""What the user sees while a search runs: a table that renews itself, or a line per finished trial when piped.

All of it is read from the study, so that it shows the workers of other searches too.
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlpsweep.errors import StorageError
from mlpsweep.metric import metric_named
from mlpsweep.search.rungs import FIRST_LOOK, where
from mlpsweep.search.study import Study
from mlpsweep.search.winner import PAUSED, state_of
from mlpsweep.tables import Column, Table, counted, duration

if TYPE_CHECKING:
    from rich.console import Console

PERIOD_S = 1.0
"""Seconds between two looks; with thousands of trials they take long, and are a tenth of the time at most."""
OPEN = ("running", "interrupted")
FIXED = ("trial", "state", "epoch", "value")
N_FINISHED = 10
"""Finished trials that the table keeps in sight, beside all that run."""


@dataclass(frozen=True)
class Row:
    """One trial as a person reads it."""

    number: int
    state: str
    epoch: int
    value: str
    settings: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Board:
    """The whole study at one moment."""

    rows: tuple[Row, ...]
    n_counted: int
    target: int
    best: Row | None

    def headline(self, seconds_left: float | None) -> str:
        """Return how many trials are done, which is best, and how long the rest may take."""
        best = f"best {self.best.value} (trial {self.best.number})" if self.best else "nothing complete yet"
        left = "" if seconds_left is None else f", about {duration(seconds_left)} left"
        return f"{self.n_counted} of {counted(self.target, 'trial')}, {best}{left}"


def look(study: Study, target: int) -> Board:
    """Return the study as it stands."""
    rows, metric, trials = [], metric_named(study.plan.metric), study.trials()
    for trial in trials:
        overrides = study.plan.space.overrides(trial.params) if trial.params else {}
        reported = trial.intermediate_values
        last = reported[max(reported)] if reported else None
        value = last if trial.value is None else trial.value
        proposed = tuple((name, _short(overrides[name])) for name in overrides)
        is_reused = trial.value is not None and trial.user_attrs.get("reused_from")
        state = "reused" if is_reused else state_of(trial)
        text = "" if value is None else metric.shown(value)
        rows.append(Row(trial.number, state, max(reported, default=0), text, proposed))
    complete = study.complete(trials)
    best = next((row for row in rows if complete and row.number == complete[0].number), None)
    return Board(tuple(rows), len(study.counted(trials)), target, best)


def table(study: Study, board: Board) -> Table:
    """Return running trials and the latest finished ones; the best is marked."""
    finished = [row for row in board.rows if row.state not in OPEN]
    in_sight = {board.best, *finished[-N_FINISHED:]}
    shown = [row for row in board.rows if row.state in OPEN or row in in_sight]
    columns = (
        Column("trial", "trial", "count", leaves=0),
        Column("state", "state", leaves=0),
        Column("epoch", "epoch", "count", leaves=2),
        Column("value", study.plan.metric, "number", leaves=0),
        *(Column(name, name) for name in dict.fromkeys(name for row in shown for name, _ in row.settings)),
    )
    rows = tuple(dict(zip(FIXED, _cells(study, row), strict=True)) | dict(row.settings) for row in shown)
    return Table(study.name, columns, rows, shown.index(board.best) if board.best else None)


@contextlib.contextmanager
def watch(study: Study, target: int, console: "Console") -> Iterator[None]:
    """Show the study on ``console`` while the block runs."""
    stop = threading.Event()
    thread = threading.Thread(target=_follow, args=(study, target, console, stop), name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _follow(study: Study, target: int, console: "Console", stop: threading.Event) -> None:
    from rich.live import Live
    from rich.text import Text

    clock, seen, took_s = _Clock(), set[tuple[int, str]](), 0.0
    with contextlib.suppress(StorageError):
        seen |= {(row.number, row.state) for row in look(study, target).rows if row.state not in OPEN}
    screen = Live(console=console, auto_refresh=False) if console.is_terminal else None
    with screen or contextlib.nullcontext():
        while True:
            is_last = stop.wait(max(PERIOD_S, 10 * took_s))
            began = time.monotonic()
            with contextlib.suppress(StorageError):  # the worker reports it and says what to do
                board = look(study, target)
                left = clock.seconds_left(board)
                if screen:
                    text = table(study, board).to_text(console.width, is_bold=True) + board.headline(left)
                    screen.update(Text.from_ansi(text), refresh=True)
                else:
                    _print_new(study, board, left, seen, console)
            took_s = time.monotonic() - began
            if is_last:
                return


def _print_new(
    study: Study, board: Board, seconds_left: float | None, seen: set[tuple[int, str]], console: "Console"
) -> None:
    new = [row for row in board.rows if (row.number, row.state) not in seen and row.state not in OPEN]
    for row in new:
        number, state, epoch, value = _cells(study, row)
        settings = " ".join(f"{name}={value}" for name, value in row.settings)
        place = where(FIRST_LOOK) if state == PAUSED and row.epoch == FIRST_LOOK else f"after epoch {epoch}"
        text = f"trial {number} {state} {place}: {study.plan.metric} {value or '-'}, {settings}"
        console.print(text, highlight=False, soft_wrap=True, markup=False)
        seen.add((row.number, row.state))
    if new:
        console.print(board.headline(seconds_left), highlight=False, soft_wrap=True, markup=False)


class _Clock:
    """Estimates the time left from the trials that ended since it was started."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.n_before: int | None = None

    def seconds_left(self, board: Board) -> float | None:
        self.n_before = board.n_counted if self.n_before is None else self.n_before
        n_done, n_left = board.n_counted - self.n_before, board.target - board.n_counted
        if n_done == 0 or n_left <= 0:
            return None
        return (time.monotonic() - self.start) / n_done * n_left


def _cells(study: Study, row: Row) -> tuple[str, str, str, str]:
    return str(row.number), row.state, f"{row.epoch}/{study.plan.space.base.total_epochs}", row.value


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value).replace('"', "").replace(" ", "")
