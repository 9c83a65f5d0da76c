"""A PostgreSQL server of one's own: started, stopped and restarted, in another network namespace too."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

BINARIES: Final = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
TRUST: Final = "host all all 0.0.0.0/0 trust\nlocal all all trust\n"


@dataclass(frozen=True)
class Postgres:
    """A server with one database.

    Parameters
    ----------
    folder : Path
        Its data.
    host, port : str, int
        Where it listens.
    prefix : sequence of str
        Words before each command: another user, another namespace.
    """

    folder: Path
    host: str
    port: int
    prefix: Sequence[str] = ()

    @property
    def url(self) -> str:
        return f"postgresql://tester@{self.host}:{self.port}/postgres"

    @property
    def socket_url(self) -> str:
        """Its address by a socket, which is seen from every namespace."""
        return f"postgresql://tester@/postgres?host={self.folder.parent}&port={self.port}"

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask through the server's socket; nothing where there is no table yet."""
        import psycopg

        with psycopg.connect(self.socket_url) as connection:
            try:
                return list(connection.execute(query))
            except psycopg.errors.UndefinedTable:
                return []

    def control(self, *words: str) -> None:
        """Call ``pg_ctl``; it returns when the server is up, or gone."""
        assert BINARIES
        options = f"-c listen_addresses={self.host} -c port={self.port} -c fsync=off -c max_connections=1000 "
        options += f"-c unix_socket_directories={self.folder.parent}"
        command = [*self.prefix, str(BINARIES / "pg_ctl"), *words, "-D", str(self.folder), "-w", "-t", "60"]
        log = ["-l", str(self.folder / "log"), "-o", options] if words[0] in ("start", "restart") else []
        done = subprocess.run([*command, *log], cwd="/", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def restart(self) -> None:
        """End every session and come back."""
        self.control("restart", "-m", "fast")


@contextlib.contextmanager
def postgres(host: str = "127.0.0.1", prefix: Sequence[str] = ()) -> Iterator[Postgres]:
    """Start a server; skip the test where there are no programs for it. ``prefix`` leads into a namespace."""
    if BINARIES is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    pytest.importorskip("psycopg", reason="pip install 'mlpsweep[postgres]'")
    # A server refuses to be root; another user cannot reach what is below pytest's folder.
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        if user:
            shutil.chown(folder, "postgres")
        data = folder / "data"
        words = [*user, str(BINARIES / "initdb"), "-D", str(data), "-U", "tester", "-A", "trust", "-N"]
        subprocess.run(words, cwd="/", check=True, capture_output=True)
        (data / "pg_hba.conf").write_text(TRUST)
        server = Postgres(data, host, _free_port(), [*prefix, *user])
        server.control("start")
        try:
            yield server
        finally:
            server.control("stop", "-m", "immediate")
    finally:
        shutil.rmtree(folder)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
