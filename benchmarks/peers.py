"""What peers of our search are given: the space in their words, the rows as arrays, an environment of their own."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from mlpsweep.data.dataset import Dataset, load_dataset
from mlpsweep.settings import DataSettings

ROOT: Final = Path(__file__).resolve().parents[1]
N_WORKERS: Final = 2
PEER: Final = ("hydra-optuna-sweeper==1.4.0rc3", "hydra-joblib-launcher", "torch==2.13.0")
NAMES: Final = {"sigmoid": "logistic"}
"""Activations that scikit-learn calls otherwise."""


def card() -> dict[str, dict[str, Any]]:
    """Return the default space."""
    dimensions: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "conf/space/card.yaml").read_text())["dimensions"]
    return dimensions


def sweeper_space(dimensions: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the space in the sweeper's words; it knows no conditions, so a width beyond the depth is drawn in vain."""
    rate, l2, sizes = (dimensions[name] for name in ("learning_rate", "l2_lambda", "hidden_sizes"))
    depth, width = sizes["depth"], sizes["width"]
    space = {
        "+activation": f"choice({','.join(dimensions['activation']['choices'])})",
        "+learning_rate": f"tag(log, interval({rate['low']}, {rate['high']}))",
        "+l2_lambda": f"interval({l2['low']}, {l2['high']})",
        "+depth": f"range({depth['low']}, {depth['high'] + 1})",
    }
    widths = {f"+width_{k}": f"tag(log, interval({width['low']}, {width['high']}))" for k in range(depth["high"])}
    return space | widths


def default_dataset() -> Dataset:
    """Return MNIST with the default split."""
    settings = yaml.safe_load((ROOT / "conf/data/mnist.yaml").read_text())
    return load_dataset(ROOT / "data/prepared/mnist", DataSettings.build(settings))


def write_rows(file: Path) -> None:
    """Write the default split as the network sees it: float32 pixels, scaled."""
    dataset = default_dataset()
    parts = {"train": dataset.train, "validation": dataset.validation}
    arrays: dict[str, Any] = {f"{name}_y": split.labels[split.rows] for name, split in parts.items()}
    for name, split in parts.items():
        arrays[f"{name}_x"] = split.images[split.rows] * np.float32(dataset.scale) + np.float32(dataset.shift)
    np.savez(file, **arrays)


def peer_python() -> str:
    """Return the interpreter of the sweeper's own environment, made the first time."""
    folder = Path(tempfile.gettempdir()) / "mlpsweep-sweeper"
    python = folder / "bin/python"
    if not (folder / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PEER], check=True)
        (folder / "installed").touch()
    return str(python)
