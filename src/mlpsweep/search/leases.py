"""The leases of a database: which slot of which study is whose until when, and what became of it.

States of a row::

    (none) --take--> running --end--> complete | pruned | failed | refused
                      |   ^
            put down  |   |  take: the same slot, parameters and reported values
                      v   |
          waiting | paused          running, its owner dead or its lease over: taken too, and that counts as a retry

Each change is one conditional statement, and the number of rows that it changed is the answer. Whoever takes a row
first advances the study's gate: one after the other, on any database. The gate's number marks the row, so that a worker
that comes back after its row was taken changes none.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    and_,
    exists,
    func,
    literal,
    select,
)

RUNNING, WAITING, PAUSED = "running", "waiting", "paused"
COMPLETE, PRUNED, FAILED, REFUSED = "complete", "pruned", "failed", "refused"
STARTED: Final = (RUNNING, PAUSED, COMPLETE, PRUNED, FAILED)
"""States of the slots that count as started; one that waits does not, and a refused one never will."""
STINTS: Final = "stints"
"""Note of who was at work on a slot, from when to when: a list of [worker, start, end]."""
ENDED: Final = (COMPLETE, PRUNED, FAILED, REFUSED)

TABLES: Final = MetaData()
# A study's key holds Optuna's number of the study, which a database may give out again, and the study's random id.
GATE: Final = Table(
    "mlpsweep_gate",
    TABLES,
    Column("study", String(120), primary_key=True),
    Column("token", BigInteger, nullable=False),
)
LEASE: Final = Table(
    "mlpsweep_lease",
    TABLES,
    Column("study", String(120), primary_key=True),
    Column("slot", BigInteger, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("owner", Text),
    Column("token", BigInteger, nullable=False),
    Column("expires", Float(53), nullable=False),
    Column("retries", Integer, nullable=False),
    Column("rung", Integer),  # the epoch after which it pauses; 0: within the first
    Column("shown", Integer),  # Optuna's number of the trial that shows it
    Column("params", JSON(none_as_null=True)),
    Column("value", Float(53)),
    Column("notes", JSON, nullable=False),
    Column("began", Float(53)),
    Column("since", Float(53)),  # when the last worker took it
    Column("ended", Float(53)),
    Index("mlpsweep_lease_state", "study", "state", "slot"),
    Index("mlpsweep_lease_shown", "study", "shown", unique=True),
)
REPORT: Final = Table(
    "mlpsweep_report",
    TABLES,
    Column("study", String(120), primary_key=True),
    Column("slot", BigInteger, primary_key=True, autoincrement=False),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("value", Float(53), nullable=False),
    Index("mlpsweep_report_epoch", "study", "epoch", "value"),
)
SCORE: Final = Table(
    "mlpsweep_score",
    TABLES,
    Column("study", String(120), primary_key=True),
    Column("run_key", String(64), primary_key=True),
    Column("scores", LargeBinary, nullable=False),
)


@dataclass(frozen=True)
class Row:
    """One slot as it is stored.

    Parameters
    ----------
    slot, state : int, str
        Its number in the study, and one of the module's words.
    owner, token : str or None, int
        Who has it, and the gate's number when it was taken.
    retries : int
        How many workers died while they trained it.
    shown : int or None
        Number of the trial that shows it in Optuna; None if there is none yet.
    rung : int or None
        Epoch after which its trial pauses, or has paused; 0: within the first. None if it goes to its end.
    params, value, notes : mapping or None, float or None, mapping
        What is trained, what came of it, and facts about it.
    began, ended : float or None
        Times of the database, seconds.
    is_over : bool
        Whether its lease is over.
    """

    slot: int
    state: str
    owner: str | None = None
    token: int = 0
    retries: int = 0
    shown: int | None = None
    rung: int | None = None
    params: Mapping[str, Any] | None = None
    value: float | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    began: float | None = None
    since: float | None = None
    ended: float | None = None
    is_over: bool = False


@dataclass(frozen=True)
class Leases:
    """The rows of one study, inside one transaction.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    study : str
        Key of the study.
    now : expression
        The database's time.
    lease_s : float
        Seconds that a lease lasts.
    """

    connection: Connection
    study: str
    now: ColumnElement[float]
    lease_s: float

    def make_gate(self) -> None:
        """Make the study's gate if there is none."""
        if self.connection.scalar(select(GATE.c.token).where(GATE.c.study == self.study)) is None:
            self.connection.execute(GATE.insert().values(study=self.study, token=0))

    def pass_gate(self) -> int:
        """Advance the gate and return its number; until the transaction ends nobody else passes."""
        mine = GATE.c.study == self.study
        self.connection.execute(GATE.update().where(mine).values(token=GATE.c.token + 1))
        return int(self.connection.execute(select(GATE.c.token).where(mine)).scalar_one())

    def rows(self, *wheres: ColumnElement[bool]) -> list[Row]:
        """Return the rows that fit, by slot."""
        names = [LEASE.c[name] for name in Row.__dataclass_fields__ if name != "is_over"]
        over = (LEASE.c.expires < self.now).label("is_over")
        query = select(*names, over).where(LEASE.c.study == self.study, *wheres).order_by(LEASE.c.slot)
        return [Row(**row) for row in self.connection.execute(query).mappings()]

    def row(self, slot: int) -> Row | None:
        """Return one row."""
        return next(iter(self.rows(LEASE.c.slot == slot)), None)

    def insert(self, row: Row) -> None:
        """Add a row; its lease begins now."""
        values = {name: getattr(row, name) for name in Row.__dataclass_fields__ if name != "is_over"}
        if row.state == RUNNING:
            values |= {"began": self.now if row.began is None else row.began, "since": self.now}
        given = {**values, "study": self.study, "expires": self.now + self.lease_s}
        self.connection.execute(LEASE.insert().values(**given))

    def change(self, slot: int, *wheres: ColumnElement[bool], **values: Any) -> bool:
        """Change a row if it still is as ``wheres`` say; return whether it was. Its lease begins anew."""
        mine = and_(LEASE.c.study == self.study, LEASE.c.slot == slot, *wheres)
        changed = self.connection.execute(LEASE.update().where(mine).values(expires=self.now + self.lease_s, **values))
        return changed.rowcount == 1

    def hand_over(self, row: Row, owner: str, token: int, rung: int | None, retries: int | None = None) -> None:
        """Give a row to a worker; its lease begins anew."""
        began, more = func.coalesce(LEASE.c.began, self.now), {} if retries is None else {"retries": retries}
        taken = {"state": RUNNING, "owner": owner, "token": token, "rung": rung, "began": began, "since": self.now}
        self.change(row.slot, **taken, **more)

    def with_stint(self, row: Row) -> dict[str, Any]:
        """Return the notes of a row that its worker leaves now: who was at it, from when to when."""
        worker, now = str(row.owner).split(" ")[0], float(self.connection.execute(select(self.now)).scalar_one())
        return {**row.notes, STINTS: [*row.notes.get(STINTS, ()), [worker, row.since, now]]}

    def keep(self, slot: int, token: int, **values: Any) -> bool:
        """Change a row that is running under ``token``; return whether it still is."""
        return self.change(slot, LEASE.c.token == token, LEASE.c.state == RUNNING, **values)

    def next_slot(self) -> int:
        """Return the number after the highest."""
        highest = self.connection.scalar(select(func.max(LEASE.c.slot)).where(LEASE.c.study == self.study))
        return 0 if highest is None else int(highest) + 1

    def counts(self) -> dict[str, int]:
        """Return how many rows are in each state."""
        query = select(LEASE.c.state, func.count()).where(LEASE.c.study == self.study).group_by(LEASE.c.state)
        return {state: n for state, n in self.connection.execute(query)}

    def there(self, slots: Collection[int]) -> set[int]:
        """Return which of some slots have a row."""
        return set(
            self.connection.scalars(select(LEASE.c.slot).where(LEASE.c.study == self.study, LEASE.c.slot.in_(slots)))
        )

    def shown(self, first: int = 0) -> set[int]:
        """Return the numbers of the trials in Optuna that show a row, from ``first`` on."""
        query = select(LEASE.c.shown).where(LEASE.c.study == self.study, LEASE.c.shown >= first)
        return set(self.connection.scalars(query))

    def report(self, slot: int, values: Mapping[int, float]) -> None:
        """Store values by epoch; one that is there stays."""
        for epoch, value in values.items():
            given = {"study": self.study, "slot": slot, "epoch": epoch, "value": value}
            there = and_(*(REPORT.c[name] == given[name] for name in ("study", "slot", "epoch")))
            new = select(*(literal(one, REPORT.c[name].type) for name, one in given.items())).where(
                ~exists().where(there)
            )
            self.connection.execute(REPORT.insert().from_select(list(given), new))

    def reports(self, *wheres: ColumnElement[bool]) -> dict[int, dict[int, float]]:
        """Return the values that fit, by slot and epoch."""
        query = select(REPORT.c.slot, REPORT.c.epoch, REPORT.c.value).where(REPORT.c.study == self.study, *wheres)
        found: dict[int, dict[int, float]] = {}
        for slot, epoch, value in self.connection.execute(query.order_by(REPORT.c.slot, REPORT.c.epoch)):
            found.setdefault(slot, {})[epoch] = value
        return found
