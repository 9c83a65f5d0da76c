"""The folder that a search writes, and the only module that knows its files; no study is known here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from mlpsweep.errors import DataFormatError
from mlpsweep.files import beside, read_json, write_atomic, write_json
from mlpsweep.search.choice import Difference
from mlpsweep.search.edges import Edge
from mlpsweep.search.rows import Finalist, Search, TrialRow, read_trials, times_csv, trials_csv
from mlpsweep.tables import finite

T = TypeVar("T")
WRITTEN: Final = ("summary.json", "trials.csv")
"""Names of files of every such folder."""
TIMED: Final = ("times.csv", "timeline.png")
"""Files with wall times in them: they lie beside the folder, so that equal studies write equal folders."""


@dataclass(frozen=True)
class SearchFolder:
    """What is known of a search once it is done: ``summary.json``, ``trials.csv``, the winner's recipe and figures.

    Parameters
    ----------
    path : Path
    """

    path: Path

    def file(self, name: str) -> Path:
        """Return the path of a file by its name; one of ``TIMED`` lies beside the folder, as ``<folder>.<name>``."""
        return beside(self.path, f".{name}") if name in TIMED else self.path / name

    def files(self) -> Iterator[Path]:
        """Yield every file that is there, those beside the folder last."""
        candidates = (*sorted(self.path.rglob("*")), *map(self.file, TIMED))
        yield from (path for path in candidates if path.is_file())

    def exists(self) -> bool:
        """Return whether a search has written its trials here."""
        return self.file("trials.csv").exists()

    def save(self, search: Search, summary: Mapping[str, Any], recipe: str) -> None:
        """Write all but the figures.

        Raises
        ------
        OSError
            If the folder cannot be written.
        """
        write_json(self.file("summary.json"), summary)
        write_atomic(self.file("trials.csv"), trials_csv(search.trials).encode())
        write_atomic(self.file("recipe/winner.yaml"), recipe.encode())
        write_atomic(self.file("times.csv"), times_csv(search.trials).encode())

    def read(self) -> Search:
        """Return the search; the facts of its trials are not read back, and missing times are left out.

        Raises
        ------
        DataError
            If a file is missing.
        DataFormatError
            If a file is not what its name says.
        """
        summary, trials = self.summary(), self.trials()
        try:
            return Search(
                study=_of(str, summary["study"]),
                metric=_of(str, summary["metric"]),
                trials=trials,
                importances={name: float(share) for name, share in summary.get("importances", {}).items()},
                finalists=tuple(map(_finalist, summary.get("finalists", ()))),
                log_scaled=frozenset(_of(list, summary["log_scaled"])) if "log_scaled" in summary else None,
                edges=tuple(map(_edge, summary.get("edges", ()))),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataFormatError(
                f"{self.file('summary.json')}: not the summary of a search ({error!r}). Run `dvc repro -f search`."
            ) from error

    def summary(self) -> dict[str, Any]:
        """Return ``summary.json``: the study, the winner and what it was compared with; errors as :meth:`read`."""
        summary = read_json(self.file("summary.json"))
        if not isinstance(summary, dict):
            raise DataFormatError(
                f"{self.file('summary.json')}: {type(summary).__name__}; expected an object. Run `dvc repro -f search`."
            )
        return summary

    def trials(self) -> tuple[TrialRow, ...]:
        """Return the trials in number order; errors as :meth:`read`."""
        return read_trials(self.file("trials.csv"), self.file("times.csv"))


def _of(kind: type[T], value: Any) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} instead of {kind.__name__}")
    return value


def _edge(values: Mapping[str, Any]) -> Edge:
    value, low, high = (finite(values[name]) for name in ("value", "low", "high"))
    return Edge(_of(str, values["name"]), value, low, high, _of(str, values["override"]))


def _finalist(values: Mapping[str, Any]) -> Finalist:
    behind = values.get("behind")
    if behind is not None:
        mean, error, low, high = (float(behind[name]) for name in ("mean", "standard_error", "low", "high"))
        behind = Difference(mean, error, (low, high))
    if not values["values"]:
        raise ValueError("a finalist without values")
    return Finalist(
        number=_of(int, values["trial"]),
        values=tuple(map(float, values["values"])),
        n_parameters=_of(int, values["n_parameters"]),
        is_tied=_of(bool, values["is_tied"]),
        is_winner=_of(bool, values["is_winner"]),
        params=_of(dict, values["settings"]),
        behind=behind,
    )
