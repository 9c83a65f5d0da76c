"""Tracked hyperparameter sweeps of a NumPy multilayer perceptron.

The names of ``__all__`` are public. The module of a name is imported when the name is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlpsweep.array_search import search_arrays
    from mlpsweep.data.ready import open_dataset
    from mlpsweep.errors import MlpsweepError
    from mlpsweep.estimator import MLPClassifier
    from mlpsweep.evaluation.metrics import evaluate_model
    from mlpsweep.search.settings import SearchSettings
    from mlpsweep.search.untracked import run_search
    from mlpsweep.settings import DataSettings, TrainSettings
    from mlpsweep.training.history import History
    from mlpsweep.training.model import Model
    from mlpsweep.training.run import run_training

__all__ = [
    "TrainSettings",
    "DataSettings",
    "SearchSettings",
    "open_dataset",
    "run_training",
    "evaluate_model",
    "run_search",
    "MLPClassifier",
    "search_arrays",
    "Model",
    "History",
    "MlpsweepError",
]
__version__ = "0.1.0"

# The module that each name is loaded from.
_HOMES = {
    "TrainSettings": "settings",
    "DataSettings": "settings",
    "SearchSettings": "search.settings",
    "open_dataset": "data.ready",
    "run_training": "training.run",
    "evaluate_model": "evaluation.metrics",
    "run_search": "search.untracked",
    "MLPClassifier": "estimator",
    "search_arrays": "array_search",
    "Model": "training.model",
    "History": "training.history",
    "MlpsweepError": "errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
