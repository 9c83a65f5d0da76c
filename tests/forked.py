"""Processes forked from one that has done the imports: a start takes milliseconds where ``python -m`` takes seconds."""

import atexit
import importlib
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path

# What doors and searches import on their way from other packages; nothing of this repository.
HEAVY = (
    "hydra.main", "jinja2", "joblib", "matplotlib.backends.backend_agg", "matplotlib.figure", "mlflow.pyfunc",
    "mlflow.store.tracking.sqlalchemy_store", "optuna.importance", "optuna.samplers", "optuna.storages", "pandas",
    "rich.progress", "scipy.ndimage", "sklearn.datasets", "sklearn.metrics",
)  # fmt: skip
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(list(HEAVY))


class Forked:
    """A call at work in a process group of its own, with the members of ``subprocess.Popen`` that tests need.

    Parameters
    ----------
    call : str
        Module and function, as ``module:function``; the exit code tells how the call ended.
    words : sequence of str
        The call's arguments.
    folder : Path
        Where the process works.
    environment : mapping
        All that it finds in ``os.environ``.
    argv : sequence of str
        What it finds in ``sys.argv``.
    """

    def __init__(
        self,
        call: str,
        words: tuple[str, ...],
        folder: Path,
        environment: Mapping[str, str],
        argv: tuple[str, ...] = (),
    ) -> None:
        folder_of_outputs = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, folder_of_outputs)
        self._outputs = [Path(folder_of_outputs, name) for name in ("stdout", "stderr")]
        for file in self._outputs:
            file.touch()
        arguments = (call, words, folder, dict(environment), argv, self._outputs)
        self._process = FORKS.Process(target=_enter, args=arguments)
        self._process.start()
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        self.wait(timeout)
        stdout, stderr = (file.read_text() for file in self._outputs)
        return stdout, stderr

    def kill(self) -> None:
        self._process.kill()


def forked_door(folder: Path, words: tuple[str, ...], environment: Mapping[str, str]) -> Forked:
    """Start what ``python -m pipeline.<words>`` starts."""
    module = f"pipeline.{words[0]}"
    return Forked("pipeline.door:enter", (module,), folder, environment, (module, *words[1:]))


def _enter(
    call: str,
    words: tuple[str, ...],
    folder: Path,
    environment: dict[str, str],
    argv: tuple[str, ...],
    outputs: list[Path],
) -> None:
    os.setsid()
    for number, file in enumerate(outputs, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_APPEND), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = list(argv or (call,))
    module, _, function = call.partition(":")
    try:
        getattr(importlib.import_module(module), function)(*words)
    finally:
        # What ends an interpreter, and what multiprocessing leaves out.
        threading._shutdown()
        atexit._run_exitfuncs()
