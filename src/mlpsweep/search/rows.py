"""The trials of a search as plain rows, their CSV file and back; knows no study and draws nothing."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from mlpsweep.errors import DataError, DataFormatError
from mlpsweep.files import read_text
from mlpsweep.metric import metric_named
from mlpsweep.search.choice import Difference
from mlpsweep.search.edges import Edge
from mlpsweep.search.rungs import n_epochs_in, where
from mlpsweep.tables import Column, Table, counted, finite, is_number, varying

COMPLETE, PRUNED, PAUSED, FAILED = "complete", "pruned", "paused", "failed"
RESTED: Final = (COMPLETE, PRUNED, PAUSED, FAILED)
"""States of a trial that nobody is at work on, complete ones first."""
RESULTS: Final = ("number", "state", "value", "n_epochs")
TIMES: Final = ("number", "start", "end", "worker")
PREFIX: Final = "params."
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stint:
    """A worker's time at a trial.

    Parameters
    ----------
    worker : str
        Its name; empty if unknown.
    start, end : float
        POSIX times, seconds.
    """

    worker: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial.

    Parameters
    ----------
    number : int
        From 0, in the order of proposal.
    state : str
        ``complete``, ``pruned``, ``paused``, ``failed``, or a word for an unfinished one.
    value : float or None
        The objective of a complete trial.
    params : mapping
        Drawn values by name; a name that does not apply is absent.
    intermediate : tuple of (int, float)
        Epoch, from 1, and the objective's value there.
    stints : tuple of Stint
        Who was at work on it; a trial that paused has several.
    facts : mapping
        Further columns of its line in the table; they are not read back.
    """

    number: int
    state: str
    value: float | None
    params: Mapping[str, Any]
    intermediate: tuple[tuple[int, float], ...] = ()
    stints: tuple[Stint, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def told_state(self) -> str:
        """The state as a table tells it: where a trial waits is part of it."""
        return f"{PAUSED} {where(self.n_epochs)}" if self.state == PAUSED else self.state

    @property
    def n_epochs(self) -> int:
        """Epochs that reported a value."""
        return n_epochs_in(epoch for epoch, _ in self.intermediate)

    @property
    def last_value(self) -> float | None:
        """The objective, or the last value that was reported."""
        return self.intermediate[-1][1] if self.value is None and self.intermediate else self.value

    @property
    def seconds(self) -> float | None:
        """Wall time in which a worker was at it; None if its times are unknown."""
        return sum(stint.end - stint.start for stint in self.stints) if self.stints else None

    @property
    def end(self) -> float | None:
        """POSIX time, seconds, at which it was left; None if unknown."""
        return max((stint.end for stint in self.stints), default=None)


@dataclass(frozen=True, slots=True)
class Finalist:
    """One configuration that was retrained on several seeds.

    Parameters
    ----------
    number : int
        Number of its trial.
    values : tuple of float
        The objective, one per seed.
    n_parameters : int
        Weights and biases of its network.
    is_tied : bool
        Whether the search could not tell it from the best.
    is_winner : bool
        Whether the search chose it.
    params : mapping
        Its settings by name.
    behind : Difference or None
        The best finalist's score less this one's; None if a summary does not say.
    """

    number: int
    values: tuple[float, ...]
    n_parameters: int
    is_tied: bool
    is_winner: bool
    params: Mapping[str, Any] = field(default_factory=dict)
    behind: Difference | None = None

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.values))

    @property
    def spread(self) -> float | None:
        """Standard deviation over the seeds; None for a single one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Search:
    """The trials of one study, and the metric that they compete in.

    Parameters
    ----------
    study : str
        Its name.
    metric : str
        The objective, such as ``validation/accuracy``.
    trials : tuple of TrialRow
        In number order.
    importances : mapping of str to float
        Share of each parameter in the spread of the objective, 0 .. 1; empty if not known.
    finalists : tuple of Finalist
        Best first; empty if none was retrained.
    log_scaled : frozenset of str or None
        Parameters that were drawn on a logarithmic scale; None if a summary of earlier times does not say.
    edges : tuple of Edge
        Where the winner lies at an end of a range that can be widened.
    """

    study: str
    metric: str
    trials: tuple[TrialRow, ...]
    importances: Mapping[str, float] = field(default_factory=dict)
    finalists: tuple[Finalist, ...] = ()
    log_scaled: frozenset[str] | None = None
    edges: tuple[Edge, ...] = ()

    @property
    def complete(self) -> tuple[TrialRow, ...]:
        """Trials that ran to their end."""
        return tuple(trial for trial in self.trials if trial.state == COMPLETE and trial.value is not None)

    @property
    def best(self) -> TrialRow | None:
        """The complete trial with the best value, the earliest of equals."""
        sign = -metric_named(self.metric).sign
        return min(self.complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None)

    def best_so_far(self) -> dict[int, float]:
        """Return the best value of a complete trial by the number of trials that had ended, as they ended."""
        sign, so_far = metric_named(self.metric).sign, {}
        ended = [trial for trial in self.trials if trial.state in RESTED]
        values: list[float] = []
        for place, trial in enumerate(sorted(ended, key=lambda trial: (trial.end or 0.0, trial.number)), 1):
            values += [sign * trial.value] if trial.state == COMPLETE and trial.value is not None else []
            if values:
                so_far[place] = sign * max(values)
        return so_far

    @property
    def varying_params(self) -> tuple[str, ...]:
        """Names of the parameters that differ between trials, in order of appearance."""
        names = dict.fromkeys(name for trial in self.trials for name in trial.params)
        return varying([trial.params for trial in self.trials], names)

    def is_log(self, name: str) -> bool | None:
        """Return whether a parameter was drawn on a logarithmic scale, or None if that is not known."""
        return None if self.log_scaled is None else name in self.log_scaled

    def counts(self) -> dict[str, int]:
        """Return how many trials are in each state, the complete ones first."""
        states = dict.fromkeys((*RESTED, *(trial.state for trial in self.trials)))
        counts = {state: sum(trial.state == state for trial in self.trials) for state in states}
        return {state: count for state, count in counts.items() if count}

    def table(self) -> Table:
        """Return one row per trial with the varying parameters, best first, then as they came."""
        sign = -metric_named(self.metric).sign
        ranked = sorted(self.trials, key=lambda t: (t.value is None, sign * (t.value or 0.0), t.number))
        rows = tuple(
            {"number": t.number, "state": t.told_state, "value": t.last_value, "epochs": t.n_epochs or None}
            | {"seconds": t.seconds, **{PREFIX + name: value for name, value in t.params.items()}}
            for t in ranked
        )
        columns = (
            Column("number", "trial", "count"),
            Column("value", self.metric, metric_named(self.metric).kind),
            Column("state", "state"),
            *(Column(PREFIX + name, name, self._kind(name)) for name in self.varying_params),
            Column("epochs", "epochs", "count"),
            Column("seconds", "time", "seconds"),
        )
        return Table(f"{counted(len(rows), 'trial')} of {self.study}, the best first", columns, rows)

    def _kind(self, name: str) -> str:
        values = [trial.params[name] for trial in self.trials if name in trial.params]
        return "number" if all(is_number(value) for value in values) else "text"


def trials_csv(trials: Sequence[TrialRow]) -> str:
    """Return one line per trial; parameters under ``params.<name>``, facts, reported values as ``epoch:value`` pairs.

    It holds no times, so that equal studies give equal bytes; see :func:`times_csv`.
    """
    names = sorted({name for trial in trials for name in trial.params})
    facts = dict.fromkeys(name for trial in trials for name in trial.facts)
    keys = (*RESULTS, *(PREFIX + name for name in names), *facts, "intermediate")
    columns = tuple(Column(key, key) for key in keys)
    return Table("trials", columns, tuple(map(_row, trials))).to_csv()


def times_csv(trials: Sequence[TrialRow]) -> str:
    """Return one line for each time at a trial: number, start and end, POSIX seconds, and worker."""
    rows = tuple({"number": trial.number, **asdict(stint)} for trial in trials for stint in trial.stints)
    return Table("times", tuple(Column(key, key) for key in TIMES), rows).to_csv()


def read_trials(path: Path, times: Path | None = None) -> tuple[TrialRow, ...]:
    """Return the rows that :func:`trials_csv` wrote to ``path``, with the times of :func:`times_csv` if there are any.

    Raises
    ------
    DataError
        If ``path`` is missing; missing times are left out.
    DataFormatError
        If a file is not what the functions write.
    """
    timed = _parse(times, _times) if times is not None and times.exists() else ()
    stints: dict[int, tuple[Stint, ...]] = {}
    for number, more in timed:
        stints[number] = stints.get(number, ()) + more
    return tuple(replace(trial, stints=stints.get(trial.number, ())) for trial in _parse(path, _trial))


def _parse(path: Path, parse: Callable[[Mapping[str, str]], T]) -> tuple[T, ...]:
    try:
        return tuple(map(parse, csv.DictReader(read_text(path).splitlines())))
    except DataError:
        raise
    except (KeyError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise DataFormatError(
            f"{path}: not a table of trials ({error!r}); expected what the search writes. "
            "Delete it and run `dvc repro`."
        ) from error


def _row(trial: TrialRow) -> dict[str, Any]:
    pairs = " ".join(f"{epoch}:{value!r}" for epoch, value in trial.intermediate)
    params = {PREFIX + name: value for name, value in trial.params.items()}
    told = {"number": trial.number, "state": trial.state, "value": trial.value, "n_epochs": trial.n_epochs}
    return {**told, **params, **trial.facts, "intermediate": pairs}


def _trial(line: Mapping[str, str]) -> TrialRow:
    pairs = (pair.split(":") for pair in line["intermediate"].split())
    params = ((key.removeprefix(PREFIX), cell) for key, cell in line.items() if key.startswith(PREFIX) and cell)
    return TrialRow(
        number=int(line["number"]),
        state=line["state"],
        value=finite(line["value"]) if line["value"] else None,
        params={name: _scalar(cell) for name, cell in params},
        intermediate=tuple((int(epoch), finite(value)) for epoch, value in pairs),
    )


def _times(line: Mapping[str, str]) -> tuple[int, tuple[Stint, ...]]:
    number, known = int(line["number"]), line["start"] and line["end"]  # earlier tables have empty cells
    return number, (Stint(line["worker"], finite(line["start"]), finite(line["end"])),) if known else ()


def _whole(cell: str) -> int:
    finite(cell)
    return int(cell)


def _scalar(cell: str) -> Any:
    """Return a parameter's value: an int, a float, true or false, or else the text itself."""
    for parse in (_whole, finite, {"true": True, "false": False}.__getitem__):
        try:
            return parse(cell)
        except (KeyError, ValueError):
            continue
    return cell
