"""Kinds of database that studies may be in: two rows of one table; all else is the same for both."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import URL, make_url
from sqlalchemy.pool import QueuePool

from mlpsweep.sqlite import PATIENCE_S

SHORTEST_S: Final = 1.0
"""Seconds for which a session may be silent inside a transaction, however short leases are."""


@dataclass(frozen=True)
class Kind:
    """What differs between kinds of database.

    Parameters
    ----------
    driver : str
        SQLAlchemy's name of dialect and driver.
    arguments : mapping
        Of every engine: how many connections there are, and how each is opened.
    now : str
        Expression for the time, in seconds. The database's clock is the only one that all workers share.
    passing : pattern
        Matches the texts of faults that pass.
    alone : tuple of str
        Statements after which a transaction is the only one that said them; none where a lock file of one machine
        will do.
    remedy : str
        What a person does about a fault that stays.
    silence : str
        Option that ends a session after so many milliseconds of silence inside a transaction; empty if none is shared.
    """

    driver: str
    arguments: Mapping[str, Any]
    now: str
    passing: re.Pattern[str]
    alone: tuple[str, ...]
    remedy: str
    silence: str = ""

    def url(self, address: str) -> URL:
        """Return an address as SQLAlchemy wants it."""
        return make_url(address).set(drivername=self.driver)

    def engine_arguments(self, address: str, silence_s: float) -> dict[str, Any]:
        """Return how an engine is made; who falls silent inside a transaction keeps what others want no longer."""
        if not self.silence:
            return dict(self.arguments)
        options = self.silence.format(int(1000 * max(SHORTEST_S, silence_s)))
        given = self.url(address).query.get("options", "")  # somebody's own come last, and win
        return {**self.arguments, "connect_args": {**self.arguments["connect_args"], "options": f"{options} {given}"}}


KINDS: Final[Mapping[str, Kind]] = {
    # Connections are kept from one transaction to the next, with patience for other writers. The journal is SQLite's
    # default, the rollback kind: its write-ahead log can corrupt a database in versions before 3.51.3.
    "sqlite": Kind(
        "sqlite",
        {"poolclass": QueuePool, "connect_args": {"timeout": PATIENCE_S}},
        "(julianday('now') - 2440587.5) * 86400.0",
        re.compile(r"locked|busy"),
        (),
        "a study database that can be read and written. Free space or restore the file",
    ),
    # CURRENT_TIMESTAMP would stand still inside a transaction. A server that vanished is noticed after a while.
    "postgresql": Kind(
        "postgresql+psycopg",
        {
            "poolclass": QueuePool,
            "pool_size": 2,
            "pool_pre_ping": True,
            "connect_args": {"connect_timeout": 10, "tcp_user_timeout": 30_000, "keepalives_idle": 10},
        },
        "extract(epoch from clock_timestamp())::double precision",
        # What a server refuses for good it says in words; psycopg has no SQLSTATE for a refused connection.
        re.compile(r"^(?!.*(does not exist|authentication failed|no password|pg_hba|permission denied))", re.DOTALL),
        # Whoever is alone waits for the tracking server meanwhile.
        ("SET LOCAL idle_in_transaction_session_timeout = '5min'", "SELECT pg_advisory_xact_lock(1301317)"),
        "a database server that answers and lets you in. Start it, or mend the address",
        "-c idle_in_transaction_session_timeout={}",
    ),
}


def kind_of(url: str) -> Kind:
    """Return what is special about the database at an address."""
    return KINDS[url.partition(":")[0]]
