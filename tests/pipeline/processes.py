"""Doors that are still at work, and MLflow servers of their own: for tests of signals, statuses and outages."""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.forked import Forked
from tests.pipeline.doors import PATHS, start_door, tracked

# Generous: only a test that is about to fail waits so long.
PATIENCE_S = 120
Running = subprocess.Popen[str] | Forked


def environment_of(**more: str) -> dict[str, str]:
    """Return this process's environment as a door shall see it: no store and no mirror but those asked for."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "MNIST_MIRROR"))}
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return kept | PATHS | {"PATH": programs} | more


@dataclass
class Ended:
    """How a process ended."""

    returncode: int
    stdout: str
    stderr: str
    seconds: float


@contextmanager
def started(folder: Path, *words: str, cold: bool = False, **environment: str) -> Iterator[Running]:
    """Run ``python -m pipeline.<words>`` in a process group of its own, as a terminal does; the block outlives it."""
    process = start_door(folder, words, environment_of(**environment), cold=cold)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def end_of(process: Running) -> Ended:
    """Wait for a process and return how it ended, and how long that took."""
    began = time.monotonic()
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    return Ended(process.returncode, stdout, stderr, time.monotonic() - began)


def wait_until(holds: Callable[[], bool], process: Running | None = None) -> None:
    """Wait for a condition; fail if ``process`` ends before, or if it takes too long."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if process is not None and process.poll() is not None:
            raise AssertionError(f"the process ended first, with {process.returncode}: {process.communicate()}")
        if time.monotonic() > deadline:
            raise AssertionError(f"nothing happened in {PATIENCE_S} s")
        time.sleep(0.05)


@contextmanager
def serving(model: str, folder: Path, log: Path, environment: dict[str, str] | None = None) -> Iterator[str]:
    """Serve a model with MLflow's own command, typed in ``folder``, and yield the address to ask."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "MLFLOW_DISABLE_TELEMETRY": "true"}
    words = ["mlflow", "models", "serve", "-m", model, "--env-manager", "local", "--port", port]
    with (
        log.open("wb") as out,
        subprocess.Popen(
            words,
            cwd=folder,
            env=environment or environment_of(**store),
            stdout=out,
            stderr=out,
            start_new_session=True,
        ) as server,
    ):
        try:
            wait_until(lambda: is_answering(f"http://127.0.0.1:{port}/ping"))
            yield f"http://127.0.0.1:{port}/invocations"
        finally:
            end(server)


def count(folder: Path, query: str) -> int:
    """Return the number that a query on the folder's MLflow store gives; 0 while there is no store yet."""
    try:
        return int(tracked(folder, query)[0][0])
    except sqlite3.OperationalError:
        return 0


@contextmanager
def mlflow_server(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serve the store of ``folder`` on a free port; yield its address and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # One worker process, so that ending the server ends it whole.
    words = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    folder.mkdir(exist_ok=True)
    environment = environment_of(MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
    with (
        (folder / "server.log").open("wb") as log,
        subprocess.Popen(words, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True) as server,
    ):
        try:
            wait_until(lambda: is_answering(f"http://127.0.0.1:{port}/health"))
            yield f"http://127.0.0.1:{port}", server
        finally:
            end(server)


def end(server: subprocess.Popen[bytes]) -> None:
    """Kill a server with all its processes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def is_answering(url: str) -> bool:
    """Return whether an address can be read."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False
