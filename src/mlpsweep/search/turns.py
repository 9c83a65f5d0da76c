"""Whose turn it is: which slot a worker gets, decided inside one transaction that nobody else passes."""

from dataclasses import dataclass

from optuna.trial import FrozenTrial
from sqlalchemy import and_, or_

from mlpsweep.search.claims import Claim, is_lost, may_be_lost
from mlpsweep.search.leases import LEASE, PAUSED, RUNNING, STARTED, WAITING, Leases, Row
from mlpsweep.search.promotion import Ladder
from mlpsweep.search.view import rows_of


@dataclass(frozen=True)
class Standing:
    """How many trials of a study count, and how many are in the hands of living workers."""

    n_counted: int
    n_running: int


@dataclass(frozen=True)
class Goal:
    """How far a study goes.

    Parameters
    ----------
    target : int
        Number of trials that shall count in the end.
    limit : int or None
        Number of trials that the sampler can propose in all; None if there is no end.
    ladder : Ladder
        Where trials pause, and which go on.
    """

    target: int
    limit: int | None
    ladder: Ladder


def next_turn(leases: Leases, owner: str, goal: Goal, foreign: list[FrozenTrial]) -> Claim | Standing:
    """Return an orphan, else a paused trial that is promoted, else a new one, else a paused one that goes to its end.

    ``foreign`` are Optuna's trials that have no row yet.
    """
    token, ladder = leases.pass_gate(), goal.ladder
    take_in(leases, foreign)
    at_work = and_(LEASE.c.state == RUNNING, may_be_lost(leases, owner))
    counts, rows = leases.counts(), leases.rows(or_(at_work, LEASE.c.state == WAITING))
    lost = {row.slot for row in rows if is_lost(row, owner)}
    n_running = counts.get(RUNNING, 0) - len(lost)
    n_counted = sum(counts.get(state, 0) for state in STARTED) - counts.get(RUNNING, 0)
    arrived = ladder.arrived(leases)
    is_reached = n_counted + n_running >= goal.target or bool(arrived) or ladder.is_spent(leases)
    for row in rows:
        is_surplus = is_reached and row.slot not in arrived
        if row.slot in lost or (row.state == WAITING and not is_surplus):
            # Who claims while it has the slot did not hear that it got it.
            retries = row.retries + (row.state == RUNNING and row.owner != owner)
            leases.hand_over(row, owner, token, row.rung, retries)
            return Claim(row.slot, owner, token, retries, is_surplus, row.rung)
    slot, paused, rung = leases.next_slot(), None, None
    if arrived:
        paused = next(iter(leases.rows(LEASE.c.state == PAUSED, LEASE.c.slot.in_(sorted(arrived)))), None)
    elif (promoted := ladder.promoted(leases)) is not None:
        assert promoted.rung is not None
        paused, rung = promoted, ladder.after(promoted.rung)
    elif not is_reached and (goal.limit is None or slot < goal.limit):
        leases.insert(Row(slot, RUNNING, owner, token, rung=ladder.first))
        return Claim(slot, owner, token, rung=ladder.first, is_new=True)
    else:
        paused = ladder.thawed(leases, n_running)
    if paused is None:
        return Standing(n_counted, n_running)
    leases.hand_over(paused, owner, token, rung)
    return Claim(paused.slot, owner, token, paused.retries, rung=rung)


def take_in(leases: Leases, foreign: list[FrozenTrial]) -> list[Row]:
    """Give rows to trials that have none, and return the rows."""
    if not foreign:
        return []
    rows, reports = rows_of(foreign, {row.slot for row in leases.rows()}, leases.shown())
    for row in rows:
        leases.insert(row)
        leases.report(row.slot, reports.get(row.slot, {}))
    return rows
