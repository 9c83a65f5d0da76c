"""Runs doors as a user does: as processes, in a folder of their own, on the digits."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# A network of a few thousand weights learns the digits in a fraction of a second.
TINY = ("data=digits", "activation=relu", "hidden_sizes=[16]", "n_epochs=3", "learning_rate=0.1")


def door(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m pipeline.<words>`` in ``folder`` and return what it printed and its exit code."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "MNIST_MIRROR"))}
    paths = {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    return subprocess.run(
        [sys.executable, "-m", f"pipeline.{words[0]}", *words[1:]],
        cwd=folder,
        env=kept | paths | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def tracked(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query on the folder's MLflow store."""
    with sqlite3.connect(f"file:{folder / 'mlflow.db'}?mode=ro", uri=True) as store:
        return store.execute(query).fetchall()


def tree(folder: Path) -> set[str]:
    """Return all files and folders below ``folder``."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
