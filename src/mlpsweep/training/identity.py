"""The ``run_key``, a digest of everything that decides the bits of a training, and its parts."""

import dataclasses
import functools
import hashlib
import json
import os
import platform
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import scipy

from mlpsweep.schema import Settings
from mlpsweep.settings import TrainSettings
from mlpsweep.training.blas import controller

_PACKAGE: Final = Path(__file__).parents[1]
NUMERIC_SOURCES: Final = (
    *(f"nn/{name}.py" for name in ("activations", "averaging", "dropout", "initializers", "limits", "losses")),
    *(f"nn/{name}.py" for name in ("network", "optimizers", "products", "schedules")),
    *(f"training/{name}.py" for name in ("blas", "measure", "run", "setup", "steps", "trainer")),
    *(f"data/{name}.py" for name in ("augment", "batches", "dataset")),
)
"""Paths, relative to the package, of the files that can change what a training computes; files that only read, write or
report results are left out."""
ADDED: Final = MappingProxyType({"averaging": None, "class_weight": None, "weight_decay": 0.0})
"""Settings that came after models held a digest of theirs, each with the value that it had before it was one: with that
value it is left out, so that a digest of earlier times holds."""


@functools.cache
def numeric_sources_digest() -> str:
    """Return the SHA-256 over names and bytes of all numeric source files."""
    digest = hashlib.sha256()
    for name in NUMERIC_SOURCES:
        data = (_PACKAGE / name).read_bytes()
        digest.update(f"{name} {len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()


def identity_of(settings: Settings) -> dict[str, Any]:
    """Return the settings that can change weights or history, resolved: groups as mappings, others left out."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, Settings):
            values[field.name] = identity_of(value)
        elif field.metadata.get("identity", True) and ADDED.get(field.name, ...) != value:
            values[field.name] = value
    if isinstance(settings, TrainSettings):
        # Two spellings of one training have one key: a name or a list of it, a number or the data set's budget.
        values |= {"activation": settings.activations, "n_epochs": settings.total_epochs}
    return values


def settings_digest(settings: TrainSettings) -> str:
    """Return the SHA-256 over the settings that can change what is learned; a model holds its settings' digest."""
    return hashlib.sha256(json.dumps(identity_of(settings), sort_keys=True).encode()).hexdigest()


def numeric_environment() -> dict[str, Any]:
    """Return the versions and processor features that decide the bits of a sum or an exponential."""
    return {
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "blas": blas_libraries(),
        "simd": np.show_config(mode="dicts")["SIMD Extensions"]["found"],
    }


def blas_libraries() -> list[str]:
    """Return the BLAS of NumPy and of SciPy, such as ``numpy: openblas 0.3.31 Haswell``, and of no other package."""
    found = [info for info in controller().info() if info["user_api"] == "blas"]
    bundled = [(Path(info["filepath"]).parent.name.split(".")[0], info) for info in found]
    own = [(owner, info) for owner, info in bundled if owner in ("numpy", "scipy")]
    return sorted(
        f"{owner}: {info['internal_api']} {info['version']} {info.get('architecture', 'unknown')}"
        for owner, info in own or [("system", info) for info in found]
    )


def run_key(settings: TrainSettings, data_digest: str) -> str:
    """Return the SHA-256 that two trainings share exactly if they must end with the same bits.

    Parameters
    ----------
    settings : TrainSettings
        Settings of the training; only the keys marked as identity count, ``threads`` among them.
    data_digest : str
        SHA-256 of the prepared data and its split.

    Returns
    -------
    str
        64 hexadecimal digits over settings, data, numeric sources, versions and BLAS kernel.
    """
    parts = {
        "settings": identity_of(settings),
        "data": data_digest,
        "sources": numeric_sources_digest(),
        "environment": numeric_environment(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def environment() -> dict[str, str]:
    """Return the machine and the versions for a person to read, by name."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "blas": "; ".join(blas_libraries()),
        "cpu": _processor(),
        "n_cpus": str(os.cpu_count()),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    """Return the processor's name, from Linux's file or from Python's ``platform``."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
