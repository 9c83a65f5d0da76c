"""Clones of the checkout as it stands, to run DVC in: small, quick, without a network, in no one's way."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.pipeline.doors import ROOT

# Nobody listens there: what the mirrors of a clone are, and what MNIST_MIRROR says, unless a test wants the files.
NOBODY = "https://127.0.0.1:9/"
# A command's longest time; a `dvc repro` of digits takes one minute.
TIMEOUT_S = 1200
# What makes the pipeline quick without making it another: file, the line as it is, the line as it shall be.
QUICK = (
    ("conf/data/digits.yaml", "n_epochs: 100 ", "n_epochs: 40 "),
    ("conf/data/mnist.yaml", "n_epochs: 15 ", "n_epochs: 1 "),
    ("conf/train.yaml", "hidden_sizes: [500, 250, 100] ", "hidden_sizes: [64, 32] "),
    ("conf/train.yaml", "learning_rate: 0.01 ", "learning_rate: 0.03 "),
)


@dataclass(frozen=True)
class Clone:
    """A scratch checkout with its own DVC cache, on the digits unless its environment names a mirror.

    Parameters
    ----------
    folder : Path
        Its root.
    environment : dict
        Of the commands that run in it.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command of words without blanks in them, and return what it printed."""
        return subprocess.run(
            command.split(),
            cwd=self.folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )

    def ok(self, command: str, **environment: str) -> str:
        """Run a command that must succeed, and return its stdout."""
        done = self.run(command, **environment)
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def json(self, file: str) -> Any:
        """Return the value of a JSON file."""
        return json.loads((self.folder / file).read_text())

    def replace(self, file: str, old: str, new: str) -> None:
        """Change one place in a file, as an editor would."""
        text = (self.folder / file).read_text()
        assert text.count(old) == 1, f"{file}: {old!r} is there {text.count(old)} times"
        (self.folder / file).write_text(text.replace(old, new))


def cloned(folder: Path, **environment: str) -> Clone:
    """Clone the checkout, with what is not committed yet, into ``folder``."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        (folder / name).unlink(missing_ok=True)
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    clone = Clone(folder, _environment(folder, environment))
    for command in ("git config user.name tests", "git config user.email tests@localhost", "git add -A"):
        clone.ok(command)
    clone.ok("git commit --quiet --allow-empty -m as-it-stands")
    (folder / ".dvc/site-cache").mkdir(mode=0o700, exist_ok=True)
    clone.ok(f"dvc config --quiet --local core.site_cache_dir {folder}/.dvc/site-cache")
    return clone


def quick(folder: Path, n_trials: int = 2, **environment: str) -> Clone:
    """Return a clone whose whole pipeline takes seconds of computing."""
    clone = cloned(folder, **environment)
    for file, old, new in QUICK:
        clone.replace(file, old, new)
    for key, value in {"n_epochs": 2, "  n_trials": n_trials, "  top_k": 1, "  n_seeds": 1}.items():
        set_number(clone.folder / "conf/search.yaml", key, value)
    clone.ok("git commit --quiet --all -m quick")
    return clone


def set_number(file: Path, key: str, value: int) -> None:
    """Set a number of a YAML file, whatever it is now; its comment stays."""
    lines = file.read_text().splitlines(keepends=True)
    found = [i for i, line in enumerate(lines) if line.startswith(f"{key}: ")]
    assert len(found) == 1, f"{file}: {key} is there {len(found)} times"
    comment = lines[found[0]].partition("#")[2]
    lines[found[0]] = f"{key}: {value}  #{comment}"
    file.write_text("".join(lines))


def _environment(folder: Path, more: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which the clone's own sources come first, and this interpreter's programs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "DVC", "PYTHON"))}
    own = {
        "PYTHONPATH": f"{folder / 'src'}{os.pathsep}{folder}",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DVC_NO_ANALYTICS": "true",
    }
    return kept | own | {"MNIST_MIRROR": NOBODY} | more
