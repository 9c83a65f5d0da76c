"""Where a command is typed: its environment, the project above that folder, what relative paths mean there."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from mlpsweep.errors import SettingsError

MARKS: Final = ("dvc.yaml", "conf/train.yaml")
"""Files that tell the folder of a project."""

STANDS_IN: Final = "MLPSWEEP_STANDS_IN"
"""Environment variable with the folder in which the user stands, if that is not the project's."""

PATHS: Final = frozenset(
    {"output_dir", "model_dir", "page", "paths.raw", "paths.prepared", "paths.artifacts", "hydra.run.dir"}
    | {"hydra.sweep.dir", "data.path", "search.folder"}
)
DATABASES: Final = frozenset({"tracking.uri", "search.storage"})
SQLITE: Final = "sqlite:///"
MIRROR: Final = re.compile(r"[A-Z0-9_]+_MIRROR")


PACKAGES: Final = frozenset(
    {"PIL", "hydra", "jinja2", "markupsafe", "matplotlib", "mlflow", "numpy", "omegaconf", "optuna", "pandas", "rich",
     "scipy", "sklearn", "sqlalchemy", "threadpoolctl", "yaml"}
)  # fmt: skip
"""Packages of other people that ``src/`` and ``pipeline/`` import."""


def no_environment(error: ModuleNotFoundError) -> SettingsError:
    """Return what to tell where one of them is not installed."""
    return SettingsError(
        f"environment: {sys.executable} has no package {error.name}; expected the project's own environment. "
        "Run `make setup`, then `source .venv/bin/activate`"
    )


def go_to_project() -> Path | None:
    """Work in the nearest folder above that holds a project; return where the user stands, None if it is the same.

    The folders of the pipeline, the stores and git belong to the project, not to the folder of the command.
    """
    here = Path.cwd()
    root = next((place for place in (here, *here.parents) if all((place / mark).is_file() for mark in MARKS)), here)
    if root == here:
        return None
    os.chdir(root)
    os.environ[STANDS_IN] = str(here)
    for name in filter(MIRROR.fullmatch, list(os.environ)):
        if (here / os.environ[name]).is_dir():
            os.environ[name] = str(here / os.environ[name])
    for name in ("MLFLOW_TRACKING_URI", "MLPSWEEP_STORAGE"):
        if uri := os.environ.get(name):
            os.environ[name] = _database(uri, here)
    return here


def meant(words: Sequence[str], here: Path) -> Iterator[str]:
    """Yield the words of a command line as they read in the project's folder: what names a path does so from there."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    from pipeline.compose import quoted

    parser = OverridesParser.create()
    for word in words:
        name = word.partition("=")[0]
        if name in PATHS | DATABASES | {"sweep"}:
            try:
                value = parser.parse_override(word).value()
            except (HydraException, ValueError, RecursionError):  # told with all other faults
                value = None
            if isinstance(value, str) and value.strip() and "${" not in value:
                yield f"{name}={quoted(_meant(name, value, here))}"
                continue
        yield word


def _meant(name: str, value: str, here: Path) -> str:
    if name in DATABASES:
        return _database(value, here)
    if name == "sweep" and not (here / value).is_dir():
        return value  # a study's name, or that of a run
    return from_project(value, here)


def _database(uri: str, here: Path) -> str:
    file = uri.removeprefix(SQLITE)
    return uri if file == uri or not file else SQLITE + from_project(file, here)


def from_project(path: str, here: Path) -> str:
    """Return a path that was typed in ``here`` as one reads it in the current folder; one in full stays."""
    return path if os.path.isabs(path) else os.path.relpath(here / path)


def shown(path: Path) -> Path:
    """Return a path of the project as one would type it where the user stands; one outside stays in full."""
    root = Path.cwd()
    place = root / path
    here = os.environ.get(STANDS_IN, root)
    return Path(os.path.relpath(place, here)) if place.is_relative_to(root) else path
