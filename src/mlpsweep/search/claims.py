"""Claims: a worker takes a row, keeps it alive from a thread, and writes to it as long as it is the worker's."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, or_
from sqlalchemy.exc import SQLAlchemyError

from mlpsweep.search.database import Database
from mlpsweep.search.leases import LEASE, RUNNING, WAITING, Leases, Row
from mlpsweep.search.ownership import is_gone, machine

T = TypeVar("T")


@dataclass(frozen=True)
class Claim:
    """A slot that a worker has.

    Parameters
    ----------
    number : int
        The slot: the trial's number in the study.
    owner, token : str, int
        Name of the worker, and the gate's number when it took the slot.
    retries : int
        How many workers died while they trained it.
    is_surplus : bool
        Whether the target is reached without it; the worker then leaves it as interrupted and trains nothing.
    rung : int or None
        Epoch after which the trial pauses; None if it goes to its end.
    is_new : bool
        Whether nobody has had the slot before.
    """

    number: int
    owner: str
    token: int = 0
    retries: int = 0
    is_surplus: bool = False
    rung: int | None = None
    is_new: bool = False


class LostClaimError(Exception):
    """Another worker has the slot now; this one's result is dropped."""


@dataclass(frozen=True)
class Claims:
    """The claims of one key in a database.

    Parameters
    ----------
    database : Database
        Open.
    key : str
        What the slots belong to.
    lease_s : float
        Seconds without a sign after which a worker counts as dead.
    """

    database: Database
    key: str
    lease_s: float

    def run(self, work: Callable[[Leases], T]) -> T:
        """Return what ``work`` returns inside one transaction; raises as :meth:`Database.run`."""
        return self.database.run(lambda connection: work(self._leases(connection)))

    def keep(self, claim: Claim, work: Callable[[Leases], object] = lambda leases: None, **values: Any) -> None:
        """Change a claimed row, and do what belongs to it in the same transaction.

        Raises
        ------
        LostClaimError
            If another worker has the row; nothing is changed then.
        """

        def kept(leases: Leases) -> bool:
            is_mine = leases.keep(claim.number, claim.token, **values)
            if is_mine:
                work(leases)
            return is_mine

        if not self.run(kept):
            raise LostClaimError(f"slot {claim.number}")

    def is_latest(self, claim: Claim) -> bool:
        """Return whether nobody has taken the slot since; it may have been put down, or have ended."""
        row = self.run(lambda leases: leases.row(claim.number))
        return row is None or row.token == claim.token

    @contextlib.contextmanager
    def held(self, claim: Claim) -> Iterator[Callable[[], bool]]:
        """Renew the lease of a claim while the block runs, four times as often as it must be.

        The block is given what says whether a renewal has found the slot taken.
        """
        stop, lost = threading.Event(), threading.Event()

        def renew() -> None:
            while not stop.wait(self.lease_s / 4):
                # An outage is for the worker to find; a lease that is over but not taken is renewed.
                with contextlib.suppress(SQLAlchemyError), self.database.engine.begin() as connection:
                    if not self._leases(connection).keep(claim.number, claim.token):
                        lost.set()
                        return

        thread = threading.Thread(target=renew, name="lease", daemon=True)
        thread.start()
        try:
            yield lost.is_set
        finally:
            stop.set()
            thread.join()

    def take(self, slot: int, owner: str) -> Claim | None:
        """Return a claim of one slot, unless a living worker has it."""

        def taken(leases: Leases) -> Claim | None:
            token, row = leases.pass_gate(), leases.row(slot)
            if row is None:
                leases.insert(Row(slot, RUNNING, owner, token))
            elif row.state == RUNNING and not is_lost(row, owner):
                return None
            else:
                leases.change(slot, state=RUNNING, owner=owner, token=token)
            return Claim(slot, owner, token)

        return self.run(taken)

    def put_down(self, claim: Claim) -> None:
        """Leave a slot to whoever comes next."""
        self.keep(claim, state=WAITING, owner=None)

    def _leases(self, connection: Connection) -> Leases:
        return Leases(connection, self.key, self.database.now, self.lease_s)


def is_lost(row: Row, owner: str | None = None) -> bool:
    """Return whether a row at work is free for ``owner``: its worker is dead or silent, or it is its own."""
    return row.state == RUNNING and (row.is_over or row.owner == owner or is_gone(row.owner))


def may_be_lost(leases: Leases, owner: str) -> ColumnElement[bool]:
    """Return which rows at work :func:`is_lost` is to be asked about; those of living workers elsewhere stay unread."""
    here = LEASE.c.owner.contains(" ".join(("", *machine(), "")), autoescape=True)
    return or_(LEASE.c.expires < leases.now, LEASE.c.owner.is_(None), LEASE.c.owner == owner, here)
