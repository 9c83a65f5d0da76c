"""Promotion: which paused trial of a study goes on, if any; it reads rows inside a claim and changes none."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlpsweep.search.leases import COMPLETE, LEASE, PAUSED, REPORT, Leases, Row
from mlpsweep.search.rungs import promotable


@dataclass(frozen=True)
class Ladder:
    """How the trials of a study go on from rung to rung.

    Parameters
    ----------
    rungs : tuple of int
        Epochs after which a trial pauses, ascending; empty if none ever does.
    sign : float
        1 if the metric is to be high, -1 if low.
    n_complete : int
        Number of trials that shall be complete in the end.
    """

    rungs: tuple[int, ...] = ()
    sign: float = 1.0
    n_complete: int = 0

    @property
    def first(self) -> int | None:
        """Where a new trial pauses; None if it goes to its end."""
        return self.after(0)

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
