"""Runs doors and MLflow's pages as a user does: as processes, in a folder of their own, on the digits."""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlpsweep.tracking.relocate import relocate
from tests.forked import Forked, forked_door

ROOT = Path(__file__).resolve().parents[2]
PATHS = {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
# A network of a few thousand weights learns the digits in a fraction of a second.
TINY = ("data=digits", "activation=relu", "hidden_sizes=[16]", "n_epochs=3", "learning_rate=0.1")


def door(folder: Path, *words: str, cold: bool = False, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m pipeline.<words>`` in ``folder`` and return what it printed and its exit code.

    Unless it is a ``cold`` start, the process is forked from one that has the heavy imports done.
    """
    process = start_door(folder, words, own_environment() | PATHS | environment, cold=cold)
    try:
        stdout, stderr = process.communicate(timeout=300)
    finally:
        process.kill()
        process.communicate()
    return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)


def start_door(
    folder: Path, words: tuple[str, ...], environment: dict[str, str], *, cold: bool
) -> "subprocess.Popen[str] | Forked":
    """Start a door in a process group of its own, as a terminal does."""
    if not cold:
        return forked_door(folder, words, environment)
    command = [sys.executable, "-m", f"pipeline.{words[0]}", *words[1:]]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **pipes)


def own_environment() -> dict[str, str]:
    """Return the environment without what would lead a process out of its folder."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "MNIST_MIRROR"))}


@contextmanager
def mlflow_ui(folder: Path, start_s: float = 60) -> Iterator[str]:
    """Serve a folder's runs with ``mlflow ui`` and yield the address; fail if it is not there after ``start_s``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    # The server is found beside this interpreter, and finds uvicorn there.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = own_environment() | {"PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}
    words = ["mlflow", "ui", "--host", "127.0.0.1", "--port", port, "--workers", "1"]
    with subprocess.Popen(words, cwd=folder, env=environment, start_new_session=True) as server:
        try:
            wait_for(f"http://127.0.0.1:{port}/health", start_s)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(server.pid, signal.SIGTERM)


def wait_for(url: str, limit_s: float) -> None:
    """Return as soon as somebody answers at ``url``."""
    end = time.monotonic() + limit_s
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def tracked(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query on the folder's MLflow store."""
    with sqlite3.connect(f"file:{folder / 'mlflow.db'}?mode=ro", uri=True) as store:
        return store.execute(query).fetchall()


def repoint(folder: Path) -> Path:
    """Let a copy of a project look for its artifacts in itself, as the doctor does, and return it."""
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as store:
        known = store.execute("select experiment_id, artifact_location from experiments").fetchall()
    relocate(f"sqlite:///{folder}/mlflow.db", {str(number): place for number, place in known}, folder).unlink()
    return folder


def tree(folder: Path) -> set[str]:
    """Return all files and folders below ``folder``."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
