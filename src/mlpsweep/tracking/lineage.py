"""What a person reads of a run, such as its name, parameters and source; ``run`` logs it."""

import contextlib
import getpass
import os
import socket
import subprocess
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from mlpsweep.config import flat, plain
from mlpsweep.settings import DataSettings, TrainSettings

NOT_PARAMS: Final = frozenset(
    {f"data.{name}" for name, field in DataSettings.__dataclass_fields__.items() if not field.metadata["identity"]}
    | {"n_epochs"}
)
"""Long values that say where the files came from, and two budgets that "n_epochs" below replaces."""
UNLESS_TOLD: Final = MappingProxyType(
    {
        "initializer": "glorot_uniform",
        "init_std": "None",
        "bias_init": "zeros",
        "class_weight": "None",
        "drop_last": "False",
        "shuffle": "True",
        "dropout": "0.0",
        "input_dropout": "0.0",
        "averaging": "None",
        "patience": "None",
        "monitor": "validation",
        "monitor_every": "None",
        "log_every": "200",
        "report_cost": "False",
        "threads": "1",
        "data.scaling": "standardize",
        "data.n_train": "None",
        "data.n_test": "None",
        "schedule.name": "constant",
        "augment.name": "none",
    }
)
"""Values that are not logged: whoever reads a run without the param fills them in.

They are what most runs have. A value here never changes, whatever becomes of the defaults: runs that are there would
be read wrong. Another setting may be added with the value that it had before it was one.
"""
COMMIT, DIRTY = "mlflow.source.git.commit", "git_dirty"
SHOWN: Final = (COMMIT, DIRTY)
"""Facts of a run's making that are tags of it, too."""
MAX_CHOSEN_SEED: Final = 10_000
NOTE: Final = "mlflow.note.content"
"""The tag that MLflow's page shows as a run's description, in Markdown."""


def run_name(settings: TrainSettings) -> str:
    """Return a name a person can read; a seed is in it if somebody may have chosen it, not one that a search derived.

    Examples
    --------
    ``relu 324-173 lr=0.279``
    """
    activation = "+".join(dict.fromkeys(settings.activations)) or "linear"
    sizes = "-".join(map(str, settings.hidden_sizes)) or "no hidden layer"
    decay = f" l2={settings.l2_lambda:.2g}" if settings.l2_lambda else ""
    optimizer = "" if settings.optimizer.name == "sgd" else f" {settings.optimizer.name}"
    seed = f" seed={settings.seed}" if 0 < settings.seed < MAX_CHOSEN_SEED else ""
    return f"{activation} {sizes} lr={settings.learning_rate:.3g}{decay}{optimizer}{seed}"


def params(settings: TrainSettings, n_parameters: int) -> dict[str, Any]:
    """Return the settings of a training that a person asks for first, and those that are not what most runs have.

    The network's sizes are among them, for MLflow's comparison page.

    Parameters
    ----------
    settings : TrainSettings
    n_parameters : int
        Number of weights and biases of the network.
    """
    names = TrainSettings.__dataclass_fields__
    values = {key: value for key, value in flat(plain(settings)).items() if key.split(".")[0] in names}
    told = {key: value for key, value in values.items() if key not in NOT_PARAMS and str(value) != UNLESS_TOLD.get(key)}
    return told | {
        "n_epochs": settings.total_epochs,
        "n_layers": len(settings.hidden_sizes) + 1,
        "n_parameters": n_parameters,
    }


def all_params(told: Mapping[str, str]) -> dict[str, str]:
    """Return a run's parameters with those that :func:`params` left out; a run that has no settings has none."""
    return {**(UNLESS_TOLD if "data.name" in told else {}), **told}


def source(door: str) -> dict[str, str]:
    """Return the tags that MLflow's page shows as a run's user and source."""
    tags = {"mlflow.source.name": door, "mlflow.source.type": "LOCAL"}
    with contextlib.suppress(OSError, KeyError, ImportError):  # an account without a name
        tags["mlflow.user"] = getpass.getuser()
    return tags


def origin() -> dict[str, str]:
    """Return facts that name the host, the git commit and the DVC experiment."""
    tags = {"host": socket.gethostname()}
    commit = _git("rev-parse", "HEAD")
    if commit:
        # dvc.lock is rewritten by `dvc repro` itself and says nothing about the code.
        tags |= {
            COMMIT: commit,
            DIRTY: str(bool(_git("status", "--porcelain", "--", ".", ":(exclude)dvc.lock"))).lower(),
        }
    if name := os.environ.get("DVC_EXP_NAME"):
        tags["dvc_exp_name"] = name
    return tags


def _git(*words: str) -> str:
    try:
        # The git of the user's own PATH, words of this module, and no shell.
        done = subprocess.run(["git", *words], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603, S607
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
