"""A small project with all that the doors read, made by the doors, and a way to run one of them in this process."""

import contextlib
import io
import os
import shutil
import signal
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.compose import check
from pipeline.door import Context
from pipeline.outcome import guarded

TINY = "data=digits n_epochs=2 hidden_sizes=[8]"
SEARCH = (
    "search data=digits n_epochs=1 search.study=small search.n_trials=3 search.n_workers=1 "
    "winner.top_k=2 winner.n_seeds=2 output_dir=artifacts/digits/search"
)
MADE_BY = (
    f"train {TINY} output_dir=artifacts/digits/train/relu",
    f"train {TINY} seed=1 data.scaling=unit output_dir=artifacts/digits/train/winner",
    "evaluate model_dir=artifacts/digits/train/relu output_dir=artifacts/digits/evaluate/relu",
    "evaluate model_dir=artifacts/digits/train/winner output_dir=artifacts/digits/evaluate/winner",
    SEARCH,
)
HANGS_S = 60


class Hang(BaseException):
    """A door waits for what never comes."""


@dataclass(frozen=True)
class Ended:
    """How a door ended: its exit code, or None if it hung, and what it said on stderr."""

    code: int | None
    stderr: str

    @property
    def faults(self) -> list[str]:
        """The lines that name a fault."""
        return [line for line in self.stderr.splitlines() if line.startswith("error: ")]


@cache
def job(command: str) -> tuple[Any, Any]:
    """Return the door of a command line and its checked settings."""
    name, *words = command.split()
    door = import_module(f"pipeline.{name}").DOOR
    (made,) = check(door.config, door.settings, words, multirun=False)
    return door, made


def run(command: str) -> Ended:
    """Run a door in the current folder through the doors' own handler."""
    door, made = job(command)
    folder = Path(getattr(made.settings, "output_dir", None) or "out")
    stdout, stderr = io.StringIO(), io.StringIO()
    before = signal.signal(signal.SIGALRM, _hang)
    signal.alarm(HANGS_S)
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr), warnings.catch_warnings():
            # pytest makes errors of them; a door in a process of its own does not.
            warnings.simplefilter("ignore")
            code = guarded(lambda: door.run(made.settings, Context(folder, made.overrides, made.chosen))).exit_code
    except Hang:
        return Ended(None, stderr.getvalue())
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        _forget_engines()
    return Ended(code, stderr.getvalue())


def _hang(*_: object) -> None:
    raise Hang


def _forget_engines() -> None:
    """Close what MLflow keeps open for as long as a process lives: files are replaced here, not only written."""
    for kind, name in (("tracking", "SqlAlchemyStore"), ("model_registry", "SqlAlchemyStore")):
        if store := sys.modules.get(f"mlflow.store.{kind}.sqlalchemy_store"):
            engines = getattr(getattr(store, name), "_engine_map", {})
            for engine in engines.values():
                engine.dispose()
            engines.clear()
    for module in ("_tracking_service", "_model_registry"):
        if registry := sys.modules.get(f"mlflow.tracking.{module}.registry"):
            for one in vars(registry).values():
                if hasattr(one, "_get_store_with_resolved_uri"):
                    one._get_store_with_resolved_uri.cache_clear()


@dataclass(frozen=True)
class Project:
    """A folder with the project in it, and a copy to restore it from."""

    folder: Path
    kept: Path

    @classmethod
    def make(cls, root: Path) -> "Project":
        """Make it; some seconds."""
        project = cls(root / "project", root / "kept")
        project.folder.mkdir(parents=True)
        with contextlib.chdir(project.folder):
            for command in MADE_BY:
                ended = run(command)
                assert ended.code == 0, (command, ended)
        shutil.copytree(project.folder, project.kept, symlinks=True)
        return project

    @contextlib.contextmanager
    def entered(self) -> Iterator[Path]:
        """Work in the project, and find it whole the next time."""
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            yield self.folder
        finally:
            os.chdir(before)
            shutil.rmtree(self.folder)
            shutil.copytree(self.kept, self.folder, symlinks=True)
