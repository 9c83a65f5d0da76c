"""Promotion: which paused trial of a study goes on, and when none is started any more.

It reads rows inside a claim and changes none.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mlpsweep.search.leases import COMPLETE, FAILED, LEASE, PAUSED, PRUNED, REPORT, Leases, Row
from mlpsweep.search.rungs import promotable


@dataclass(frozen=True)
class Ladder:
    """How the trials of a study go on from rung to rung, and until when.

    Parameters
    ----------
    rungs : tuple of int
        Epochs after which a trial pauses, ascending, ``FIRST_LOOK`` within the first; empty if none ever does.
    sign : float
        1 if the metric is to be high, -1 if low.
    n_complete : int
        Number of trials that shall be complete in the end.
    goal : float or None
        Value of the metric at which the search is content: then only the trial that reported it goes on.
    patience : int or None
        Configurations that may be started after the best value came, and bring no better one.
    """

    rungs: tuple[int, ...] = ()
    sign: float = 1.0
    n_complete: int = 0
    goal: float | None = None
    patience: int | None = None

    def is_good(self, value: float) -> bool:
        """Return whether a value reaches the goal."""
        return self.goal is not None and self.sign * value >= self.sign * self.goal

    def arrived(self, leases: Leases) -> set[int]:
        """Return the slots that reported a value as good as the goal, unless they ended below it."""
        if self.goal is None:
            return set()
        good = REPORT.c.value >= self.goal if self.sign > 0 else REPORT.c.value <= self.goal
        ended = leases.rows(LEASE.c.state.in_((COMPLETE, PRUNED, FAILED)))
        return set(leases.reports(good)) - {
            row.slot for row in ended if row.value is None or not self.is_good(row.value)
        }

    def is_spent(self, leases: Leases) -> bool:
        """Return whether so many configurations came after the best value that no more is started."""
        if self.patience is None:
            return False
        complete = [row for row in leases.rows(LEASE.c.state == COMPLETE) if row.value is not None and row.ended]
        best = min(complete, key=lambda row: (-self.sign * (row.value or 0.0), row.ended), default=None)
        if best is None:
            return False
        later = leases.rows(LEASE.c.state.in_((PAUSED, COMPLETE, PRUNED, FAILED)), LEASE.c.began > best.ended)
        return len(later) >= self.patience

    @property
    def first(self) -> int | None:
        """Where a new trial pauses; None if it goes to its end."""
        return self.rungs[0] if self.rungs else None

    def after(self, rung: int) -> int | None:
        """Return where a trial pauses that goes on from ``rung``; None if it goes to its end."""
        return next((higher for higher in self.rungs if higher > rung), None)

    def promoted(self, leases: Leases) -> Row | None:
        """Return the best paused trial among the top of its rung that has not gone on, the highest rung first."""
        paused = leases.rows(LEASE.c.state == PAUSED) if self.rungs else []
        for rung in sorted(self.rungs, reverse=True):
            waiting = {row.slot: row for row in paused if row.rung == rung}
            values = self._values(leases, rung) if waiting else {}
            slot = promotable(values, values.keys() - waiting.keys())
            if slot is not None:
                return waiting[slot]
        return None

    def thawed(self, leases: Leases, n_running: int) -> Row | None:
        """Return the best paused trial if, with all that run, too few would be complete in the end."""
        if not self.rungs or leases.counts().get(COMPLETE, 0) + n_running >= self.n_complete:
            return None
        paused = [row for row in leases.rows(LEASE.c.state == PAUSED) if row.rung is not None]
        values: Mapping[int, Mapping[int, float]] = {
            rung: self._values(leases, rung) for rung in {row.rung for row in paused if row.rung is not None}
        }

        def rank(row: Row) -> tuple[int, float, int]:
            assert row.rung is not None
            return -row.rung, -values[row.rung].get(row.slot, float("-inf")), row.slot

        return min(paused, key=rank, default=None)

    def _values(self, leases: Leases, rung: int) -> dict[int, float]:
        found = leases.reports(REPORT.c.epoch == rung)
        return {slot: self.sign * values[rung] for slot, values in found.items()}
