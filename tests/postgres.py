"""A database of one's own on the PostgreSQL server that ``pg_virtualenv`` has started around the tests."""

import contextlib
import os
import uuid
from collections.abc import Iterator

import pytest


@contextlib.contextmanager
def new_database() -> Iterator[str]:
    """Yield the address of an empty database; skip the test where there is no server."""
    if "PGPORT" not in os.environ:
        pytest.skip("no PostgreSQL server here: apt-get install postgresql, then make postgres")
    psycopg = pytest.importorskip("psycopg", reason="pip install 'mlpsweep[postgres]'")
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield f"postgresql://{os.environ['PGUSER']}@{os.environ['PGHOST']}:{os.environ['PGPORT']}/{name}"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
