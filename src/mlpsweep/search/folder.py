"""The folder that a search writes, and the only module that knows its files; no study is known here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mlpsweep.errors import DataFormatError
from mlpsweep.files import beside, read_json, write_atomic, write_json
from mlpsweep.search.choice import Difference
from mlpsweep.search.rows import Finalist, Search, TrialRow, read_trials, times_csv, trials_csv

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
        summary = self.summary()
        try:
            return Search(
                study=summary["study"],
                metric=summary["metric"],
                trials=self.trials(),
                importances=summary.get("importances", {}),
                finalists=tuple(map(_finalist, summary.get("finalists", ()))),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise DataFormatError(
                f"{self.file('summary.json')}: {error!r} is missing. Run `dvc repro -f search`."
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


def _finalist(values: Mapping[str, Any]) -> Finalist:
    behind = values.get("behind")
    return Finalist(
        number=values["trial"],
        values=tuple(values["values"]),
        n_parameters=values["n_parameters"],
        is_tied=values["is_tied"],
        is_winner=values["is_winner"],
        params=values["settings"],
        behind=behind and Difference(behind["mean"], behind["standard_error"]),
    )
