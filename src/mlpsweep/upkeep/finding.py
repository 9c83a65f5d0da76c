"""One thing that is not as it should be, and the table of all; nothing is looked for here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from mlpsweep.tables import Column, Table

FIX: Final = "python -m pipeline.doctor fix=true"
MAX_ALIKE: Final = 3
"""More findings than these that differ in the file's name alone share a row."""
MISSING, ORPHANED, STALE, MOVED, DAMAGED = "missing", "orphaned", "stale", "moved", "damaged"


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Parameters
    ----------
    state : str
        missing, orphaned, stale, moved or damaged.
    place : str
        Where: a folder, a file, or a run.
    what : str
        What is seen there.
    remedy : str
        What puts it right: a command or a sentence.
    mend : callable or None
        Puts it right without risk; None where a person has to decide.
    is_ours : bool
        Whether it is this project's, on this host; what is not is told and left alone.
    """

    state: str
    place: str
    what: str
    remedy: str
    mend: Callable[[], object] | None = None
    is_ours: bool = True


@dataclass(frozen=True)
class Treated:
    """A finding, and what became of it.

    Parameters
    ----------
    finding : Finding
    is_fixed : bool
        Whether it is put right.
    fault : str or None
        Why mending failed.
    """

    finding: Finding
    is_fixed: bool = False
    fault: str | None = None

    @property
    def remains(self) -> bool:
        """Whether somebody still has to do something."""
        return self.finding.is_ours and not self.is_fixed

    @property
    def outcome(self) -> str:
        """What to tell of the remedy."""
        return (
            "fixed" if self.is_fixed else f"{self.fault}. {self.finding.remedy}" if self.fault else self.finding.remedy
        )


def findings_table(treated: Sequence[Treated]) -> Table:
    """Return a row for each finding; more than three equal ones in a folder share a row."""
    titles = {"state": "", "place": "where", "what": "what", "outcome": "remedy"}
    columns = tuple(Column(key, title, leaves=0) for key, title in titles.items())
    groups: dict[tuple[str, ...], list[str]] = {}
    for one in treated:
        folder, _, _ = one.finding.place.rpartition("/")
        groups.setdefault((folder, one.finding.state, one.finding.what, one.outcome), []).append(one.finding.place)
    rows = tuple(
        {"state": state, "place": place, "what": what, "outcome": outcome}
        for (folder, state, what, outcome), places in groups.items()
        for place in (places if len(places) <= MAX_ALIKE else [f"{len(places)} in {folder or '.'}/"])
    )
    return Table("What is not as it should be", columns, rows)
