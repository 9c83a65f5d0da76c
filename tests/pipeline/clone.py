"""Clones of the checkout as it stands, to run DVC in: small, quick, without a network, in no one's way."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.pipeline.doors import ROOT, repoint, tracked

# Nobody listens there: what the mirrors of a clone are.
NOBODY = "https://127.0.0.1:9/"
# Of one command; a `dvc repro` on the digits takes one or two minutes.
TIMEOUT_S = 1800
# What makes the pipeline quick without making it another: file, what is there, what shall be there.
QUICK = (
    ("conf/data/digits.yaml", "n_epochs: 100 ", "n_epochs: 40 "),
    ("conf/data/mnist.yaml", "n_epochs: 15 ", "n_epochs: 1 "),
    ("conf/train.yaml", "hidden_sizes: [500, 250, 100] ", "hidden_sizes: [64, 32] "),
    ("conf/train.yaml", "learning_rate: 0.01 ", "learning_rate: 0.03 "),
)
QUICK_SEARCH = {"n_epochs": 2, "  n_trials": 2, "  top_k": 1, "  n_seeds": 1}


@dataclass(frozen=True)
class Clone:
    """A scratch checkout with a cache of its own, on the digits unless a test names a mirror.

    Parameters
    ----------
    folder : Path
        Its root.
    """

    folder: Path

    def run(self, *command: str, stderr: int = subprocess.PIPE, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command, one string of words or several, and return what it printed."""
        return subprocess.run(
            words_of(command),
            cwd=self.folder,
            env=self.environment(**more),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command in a process group of its own; whoever calls ends it."""
        return subprocess.Popen(
            words_of(command),
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def environment(self, **more: str) -> dict[str, str]:
        """Return what a command finds: the clone's own sources, and the programs beside this interpreter."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "DVC", "PYTHON"))}
        own = {
            "PYTHONPATH": f"{self.folder / 'src'}{os.pathsep}{self.folder}",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "MNIST_MIRROR": "",  # a test that wants the files names a place
        }
        return kept | own | more

    def ok(self, *command: str, stderr: int = subprocess.PIPE, **more: str) -> str:
        """Run a command that must succeed, and return its stdout."""
        done = self.run(*command, stderr=stderr, **more)
        assert done.returncode == 0, (
            f"{command}: {done.returncode}\n{done.stdout[-3000:]}\n{(done.stderr or '')[-3000:]}"
        )
        return done.stdout

    def json(self, file: str) -> Any:
        """Return the value of a JSON file."""
        return json.loads((self.folder / file).read_text())

    def replace(self, file: str, old: str, new: str) -> None:
        """Change one place in a file, as with an editor."""
        text = (self.folder / file).read_text()
        assert text.count(old) == 1, f"{file}: {old!r} is there {text.count(old)} times"
        (self.folder / file).write_text(text.replace(old, new))

    def copied(self, folder: Path) -> "Clone":
        """Return a copy of everything, cache, runs and history too."""
        shutil.copytree(self.folder, folder, symlinks=True)
        (folder / ".dvc/config.local").unlink()
        copy = Clone(folder)
        if (folder / "mlflow.db").exists():
            repoint(folder)
        copy.set_up()
        return copy

    def set_up(self) -> None:
        """Do what ``make setup`` does for DVC, without an environment of its own."""
        self.ok("make", "--silent", "--assume-old=.venv/.installed", ".dvc/config.local")


def words_of(command: tuple[str, ...]) -> list[str]:
    """Return the words of a command given as one string, or as its words."""
    return command[0].split() if len(command) == 1 else list(command)


def cloned(folder: Path) -> Clone:
    """Clone the checkout, with what is not committed yet, into ``folder``; its mirrors are nobody."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        (folder / name).unlink(missing_ok=True)
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    clone = Clone(folder)
    mnist = folder / "conf/data/mnist.yaml"
    lines = mnist.read_text().splitlines()
    nobody = (f"  - {NOBODY}{i}/" if "- https://" in line else line for i, line in enumerate(lines))
    mnist.write_text("\n".join(nobody) + "\n")
    clone.ok("git config user.name tests")
    clone.ok("git config user.email tests@localhost")
    commit(clone, "as it stands, without mirrors")
    clone.set_up()
    return clone


def quick(folder: Path) -> Clone:
    """Return a clone whose whole pipeline takes seconds of computing."""
    clone = cloned(folder)
    for file, old, new in QUICK:
        clone.replace(file, old, new)
    for key, value in QUICK_SEARCH.items():
        set_number(clone.folder / "conf/search.yaml", key, value)
    commit(clone, "quick")
    return clone


def commit(clone: Clone, message: str) -> None:
    """Commit all that is there."""
    clone.ok("git add --all")
    clone.ok("git", "commit", "--quiet", "--allow-empty", "-m", message)


def set_number(file: Path, key: str, value: int) -> None:
    """Set a number of a YAML file, whatever it is now; its comment stays."""
    lines = file.read_text().splitlines(keepends=True)
    (found,) = [i for i, line in enumerate(lines) if line.startswith(f"{key}: ")]
    lines[found] = f"{key}: {value}  #{lines[found].partition('#')[2]}"
    file.write_text("".join(lines))


def n_runs(clone: Clone) -> int:
    """Return how many runs the clone's store has."""
    return int(tracked(clone.folder, "select count(*) from runs")[0][0])


def accuracy(clone: Clone, model: str) -> float:
    """Return the test accuracy that a clone's evaluation has written."""
    return float(clone.json(f"artifacts/mnist/evaluate/{model}/metrics.json")["test"]["accuracy"])


def shown(clone: Clone) -> dict[str, dict[str, Any]]:
    """Return the metrics files of each experiment that ``dvc exp show`` lists, by its name."""
    rows = json.loads(clone.ok("dvc exp show --json"))
    experiments = [one for row in rows for one in row.get("experiments") or ()]
    return {one["name"]: one["revs"][0]["data"]["metrics"] for one in experiments}
