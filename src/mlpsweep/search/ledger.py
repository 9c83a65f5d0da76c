"""The study's ledger: who trains what, and what came of it. A row is written first, then Optuna is told.

So Optuna lacks at most what a dead worker did not get to; whoever takes the slot tells it, and at rest any worker does.
All that decides anything is read from the rows; from Optuna come only trials that have none.
"""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import ColumnElement, Table, or_

from mlpsweep.search.claims import Claim, Claims, LostClaimError, is_lost
from mlpsweep.search.database import Database, database_errors
from mlpsweep.search.leases import COMPLETE, ENDED, LEASE, PAUSED, REFUSED, REPORT, RUNNING, WAITING, Leases, Row
from mlpsweep.search.promotion import Ladder
from mlpsweep.search.turns import Goal, Standing, next_turn, take_in
from mlpsweep.search.view import EXCESS, FEW, SLOT, STRAY, View, rows_of

FINALISTS: Final = "finalists"
SHOWN_AFTER_S: Final = 1.0
"""Seconds after which Optuna hears of a new trial at work; one that ends before is told whole, at its end."""
NO_LADDER: Final = Ladder()
MANY: Final = 1000
"""Slots that are asked for one by one; instead of more, all are read."""


class Ledger:
    """One study in a database.

    Parameters
    ----------
    database : Database
        Open, with our tables.
    name : str
        Name of a study that exists.
    uid : str
        Its random id; empty for studies of earlier times.
    lease_s : float
        Seconds without a sign after which a worker counts as dead.
    kinds : mapping
        Distribution of each parameter; without them states can be read, but no parameters be told.
    """

    def __init__(
        self,
        database: Database,
        name: str,
        uid: str = "",
        lease_s: float = 60.0,
        kinds: Mapping[str, BaseDistribution] | None = None,
    ) -> None:
        self.database, self.name = database, name
        self.view = View(database, name, kinds or {})
        self.key = f"{self.view.study_id}-{uid}"
        self.claims = Claims(database, self.key, lease_s)
        self.finalists = Claims(database, f"{self.key}/{FINALISTS}", lease_s)
        self._first, self._known = 0, set[int]()  # trials in Optuna before the first, and these, are no news
        self._new: set[int] = set()  # slots that nobody had before this process: it alone may have made a trial of one
        self._shown: dict[int, int] = {}  # trials in Optuna by slot, as far as this process bound or claimed them
        self._begun: dict[int, float] = {}
        self._ended: dict[int, FrozenTrial] = {}  # by slot; whatever has ended stays as it is, and is read once

    def make_gates(self) -> None:
        """Make what a new study needs for claims."""
        for claims in (self.claims, self.finalists):
            claims.run(Leases.make_gate)

    def trials(self) -> list[FrozenTrial]:
        """Return all trials by slot, those without a row as if they had theirs already."""
        foreign = self._foreign()
        known = {} if foreign else self._ended  # a trial without a row is compared with every row
        rows, reports = self.claims.run(
            lambda leases: (leases.rows(*_all_but(known, LEASE)), leases.reports(*_all_but(known, REPORT)))
        )
        new, told = rows_of(foreign, {row.slot for row in rows}, {row.shown for row in rows})
        reports |= told
        with database_errors(self.database.url):
            read = {row.slot: self.view.frozen(row, reports.get(row.slot, {})) for row in (*rows, *new)}
            every = dict(sorted((known | read).items()))
        # Threads share this: the mapping is replaced, never changed.
        self._ended = known | {row.slot: read[row.slot] for row in rows if row.state in ENDED}
        return list(every.values())

    def trial(self, claim: Claim) -> FrozenTrial:
        """Return a claimed trial as it is stored."""
        row, reports = self._read(claim.number)
        assert row is not None
        return self.view.frozen(row, reports)

    def complete_with(self, name: str, note: str) -> list[FrozenTrial]:
        """Return the complete trials that have a note, by slot; the database looks for them."""
        wanted = LEASE.c.state == COMPLETE, LEASE.c.notes[name].as_string() == note
        rows = self.claims.run(lambda leases: leases.rows(*wanted))
        reports = self.claims.run(lambda leases: leases.reports(REPORT.c.slot.in_([row.slot for row in rows])))
        return [self.view.frozen(row, reports.get(row.slot, {})) for row in rows]

    def values_at(self, epoch: int) -> dict[int, float]:
        """Return, by slot, what every trial that reached ``epoch`` reported there."""
        found = self.claims.run(lambda leases: leases.reports(REPORT.c.epoch == epoch))
        return {slot: values[epoch] for slot, values in found.items()}

    def claim(self, owner: str, target: int, limit: int | None = None, ladder: Ladder = NO_LADDER) -> Claim | Standing:
        """Return a slot that ``owner`` has from now on, or the standing if there is none.

        The order is that of :func:`mlpsweep.search.turns.next_turn`; the others are the values of its ``Goal``.
        """
        foreign = self._foreign()
        got = self.claims.run(lambda leases: next_turn(leases, owner, Goal(target, limit, ladder), foreign))
        if isinstance(got, Claim):
            self._begun[got.number] = time.monotonic()
            (self._new.add if got.is_new else self._new.discard)(got.number)
            self._show(got.number)
        return got

    def held(self, claim: Claim) -> AbstractContextManager[Callable[[], bool]]:
        """Renew the lease of a claim while the block runs; as :meth:`Claims.held`."""
        return self.claims.held(claim)

    def propose(self, claim: Claim, params: Mapping[str, Any]) -> None:
        """Store a trial's parameters, all or none."""
        self.claims.keep(claim, params=dict(params))
        self._show_in_time(claim.number)

    def refuse(self, claim: Claim, params: Mapping[str, Any], excess: float) -> None:
        """Store parameters that break the bound, and how far they break it, and end the trial."""
        self._end(claim, REFUSED, None, {EXCESS: excess}, params=dict(params))

    def report(self, claim: Claim, epoch: int, value: float) -> None:
        """Store the objective after an epoch; the same report twice is one."""
        self.claims.keep(claim, lambda leases: leases.report(claim.number, {epoch: value}))
        if claim.number in self._shown:
            self.view.report(self._shown[claim.number], epoch, value)
        else:
            self._show_in_time(claim.number)

    def tell(self, claim: Claim, state: str, value: float | None, notes: Mapping[str, Any]) -> None:
        """End a trial as ``state``, a word of the leases."""
        self._end(claim, state, value, {name: note for name, note in notes.items() if note is not None})

    def release(self, claim: Claim) -> None:
        """Leave a trial to whoever comes next; it does not count until it is ended."""
        self._leave(claim, WAITING)

    def pause(self, claim: Claim) -> None:
        """Leave a trial at its rung until it is promoted."""
        self._leave(claim, PAUSED)

    def deserted(self) -> list[int]:
        """Return the numbers of trials that are at work and whose worker is dead or silent."""
        lost = self.claims.run(
            lambda leases: [row.slot for row in leases.rows(LEASE.c.state == RUNNING) if is_lost(row)]
        )
        return sorted({*lost, *(trial.number for trial in self._foreign() if trial.state == TrialState.RUNNING)})

    def leave(self) -> None:
        """Leave deserted trials to the next worker; each has then lost one more worker."""
        foreign = self._foreign()

        def left(leases: Leases) -> list[int]:
            token, taken = leases.pass_gate(), take_in(leases, foreign)
            lost = [row for row in leases.rows(LEASE.c.state == RUNNING) if is_lost(row)]
            for row in lost:
                leases.change(row.slot, state=WAITING, owner=None, token=token, retries=row.retries + 1)
            return [row.slot for row in (*lost, *taken)]

        for slot in self.claims.run(left):
            self._show(slot)

    def settle(self) -> None:
        """Tell Optuna what it lacks, and end its trials that show no slot, if nobody is at work."""
        self._new.clear()
        # The list comes first: a trial in it whose maker still lives has a row that is bound, or running.
        trials = {trial.number: trial for trial in self.view.trials()}
        rows = self.claims.run(Leases.rows)
        for row in rows:
            there = trials.get(row.shown) if row.shown is not None else None
            if row.state != RUNNING and (there is None or not there.state.is_finished()):
                self._show(row.slot)
        if not any(row.state == RUNNING for row in rows):
            # Read again: a trial may have been bound by now, or be about to be.
            bound = {row.slot: row.shown for row in self.claims.run(Leases.rows)}
            for trial in trials.values():
                other = bound.get(trial.user_attrs.get(SLOT, -1))
                if other not in (None, trial.number) and not trial.state.is_finished():
                    self.view.set_aside(trial.number)

    def _leave(self, claim: Claim, state: str) -> None:
        def left(leases: Leases) -> bool:
            row = leases.row(claim.number)
            assert row is not None
            if (row.token, row.state) == (claim.token, state):
                return True  # it was left, and the answer got lost
            return leases.keep(claim.number, claim.token, state=state, owner=None, notes=leases.with_stint(row))

        self._written(claim, left)

    def _end(self, claim: Claim, state: str, value: float | None, notes: Mapping[str, Any], **values: Any) -> None:
        def ended(leases: Leases) -> bool:
            row = leases.row(claim.number)
            assert row is not None
            if row.token == claim.token and (row.state, row.value) == (state, value):
                return True  # it was told, and the answer got lost
            noted = {**leases.with_stint(row), **notes}
            end = {"state": state, "value": value, "notes": noted, "owner": None, "ended": leases.now}
            return leases.keep(claim.number, claim.token, **end, **values)

        self._written(claim, ended)

    def _written(self, claim: Claim, work: Callable[[Leases], bool]) -> None:
        if not self.claims.run(work):
            raise LostClaimError(f"slot {claim.number}")
        self._show(claim.number)

    def _read(self, slot: int) -> tuple[Row | None, Mapping[int, float]]:
        return self.claims.run(lambda leases: (leases.row(slot), leases.reports(REPORT.c.slot == slot).get(slot, {})))

    def _show_in_time(self, slot: int) -> None:
        if time.monotonic() - self._begun.get(slot, -math.inf) >= SHOWN_AFTER_S:
            self._show(slot)

    def _show(self, slot: int) -> None:
        """Bring Optuna's trial of a slot up to its row; a slot that has parameters gets one."""
        row, reports = self._read(slot)
        if row is None:
            return
        if row.shown is not None:
            self._shown[slot] = row.shown
            self.view.bring_up(row, reports)
        elif row.params is not None:
            # It shows the state in which its maker died.
            made = None if slot in self._new else self._unbound(slot)
            if made is None and not self.view.can_tell(row):
                return
            number = self.view.add(row, reports) if made is None else made
            bound = self.claims.run(lambda leases: _bound(leases, row, number))
            if bound is not None:
                self._shown[slot] = bound
                if bound != number:
                    self.view.set_aside(number)
                elif made is not None or row.state in ENDED:
                    self.view.bring_up(replace(row, shown=number), reports)

    def _unbound(self, slot: int) -> int | None:
        """Return the trial that a worker made for the slot before it died, or None."""
        for trial in reversed(self.view.trials()):
            attrs = trial.user_attrs
            if attrs.get(SLOT) == slot and STRAY not in attrs:
                return trial.number
        return None

    def _foreign(self) -> list[FrozenTrial]:
        """Return Optuna's trials that may have no row; those that show one are not read."""
        self._known |= self.claims.run(lambda leases: leases.shown(self._first))
        numbers = self.view.unknown(self._first, self._known)
        if 0 < len(numbers) <= FEW:
            # A trial of a slot that has a row is about to be bound, or lost its slot.
            slots = self.view.slots(numbers)
            there = self.claims.run(lambda leases: leases.there([slot for slot in slots.values() if slot is not None]))
            self._known |= {number for number, slot in slots.items() if slot in there}
        while self._first in self._known:
            self._known.remove(self._first)
            self._first += 1
        if all(number < self._first or number in self._known for number in numbers):
            return []
        new = [one for one in self.view.trials() if one.number >= self._first and one.number not in self._known]
        return [trial for trial in new if STRAY not in trial.user_attrs]


def _all_but(known: Mapping[int, FrozenTrial], table: Table) -> tuple[ColumnElement[bool], ...]:
    """Return which rows of a table are of slots that are not ``known``; of many such slots, all are read."""
    last = max(known, default=-1)
    between = set(range(last)) - known.keys()
    return () if len(between) > MANY else (or_(table.c.slot > last, table.c.slot.in_(sorted(between))),)


def _bound(leases: Leases, row: Row, number: int) -> int | None:
    """Bind a trial to its slot, unless it has one or another worker has the slot; return the slot's trial."""
    leases.change(row.slot, LEASE.c.shown.is_(None), LEASE.c.token == row.token, shown=number)
    now = leases.row(row.slot)
    return now.shown if now else None
