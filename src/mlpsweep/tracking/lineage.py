"""The name, the parameters and the origin tags of a run; ``run`` logs them."""

import os
import socket
import subprocess
from typing import Any

from mlpsweep.config import flat, plain
from mlpsweep.settings import TrainSettings

# Long values that say where the files came from, and two budgets that "n_epochs" below replaces.
NOT_PARAMS = ("data.files", "data.mirrors", "data.fallback", "data.n_epochs", "n_epochs")


def run_name(settings: TrainSettings) -> str:
    """Return a name a person can read.

    Examples
    --------
    ``relu 500-250-100 lr=0.01``
    """
    activation = "+".join(dict.fromkeys(settings.activations)) or "linear"
    sizes = "-".join(map(str, settings.hidden_sizes)) or "no hidden layer"
    decay = f" l2={settings.l2_lambda:g}" if settings.l2_lambda else ""
    optimizer = "" if settings.optimizer.name == "sgd" else f" {settings.optimizer.name}"
    return f"{activation} {sizes} lr={settings.learning_rate:g}{decay}{optimizer}"


def params(settings: TrainSettings, n_parameters: int) -> dict[str, Any]:
    """Return all settings of a training as flat parameters, with the network's sizes for the comparison page.

    Parameters
    ----------
    settings : TrainSettings
    n_parameters : int
        Number of weights and biases of the network.
    """
    names = TrainSettings.__dataclass_fields__
    values = {key: value for key, value in flat(plain(settings)).items() if key.split(".")[0] in names}
    return {key: value for key, value in values.items() if key not in NOT_PARAMS} | {
        "n_epochs": settings.total_epochs,
        "n_layers": len(settings.hidden_sizes) + 1,
        "n_parameters": n_parameters,
    }


def origin() -> dict[str, str]:
    """Return tags that name the host, the git commit and the DVC experiment."""
    tags = {"host": socket.gethostname()}
    commit = _git("rev-parse", "HEAD")
    if commit:
        # dvc.lock is rewritten by `dvc repro` itself and says nothing about the code.
        tags |= {
            "mlflow.source.git.commit": commit,
            "git_dirty": str(bool(_git("status", "--porcelain", "--", ".", ":(exclude)dvc.lock"))).lower(),
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
