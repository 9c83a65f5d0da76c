"""A search over arrays in memory that ends with a classifier; ``search.untracked`` has the one over a data set."""

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt

from mlpsweep.data.arrays import array_dataset, array_settings
from mlpsweep.data.manifest import Manifest
from mlpsweep.errors import SettingsError
from mlpsweep.estimator import FURTHER, OWN, MLPClassifier, checked, names_of, training_settings, with_settings
from mlpsweep.search import winner
from mlpsweep.search.services import ReusableResult
from mlpsweep.search.settings import SearchSettings, SpaceSettings, WinnerSettings
from mlpsweep.search.study import Study
from mlpsweep.search.untracked import SearchResult, planned, worked

SEARCHED: Final = ("optimizer", "class_weight", *OWN, *FURTHER)
"""Settings that a space may have, because a classifier can have them."""
MORE: Final = 20


@dataclass(frozen=True)
class ArraySearch(SearchResult):
    """What a search over arrays found.

    Parameters
    ----------
    classifier : MLPClassifier
        With the best trial's settings, fitted on all rows.
    """

    classifier: MLPClassifier


def search_arrays(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    space: Mapping[str, Any],
    n_trials: int = 50,
    estimator: MLPClassifier | None = None,
    n_validation: int | None = None,
    name: str = "arrays",
    max_parameters: int | None = None,
    folder: Path | str | None = None,
    tracked: bool = False,
    **search: Any,
) -> ArraySearch:
    """Search for the best classifier of arrays in this process; the same call goes on where it was stopped.

    Rows are taken as they are, so scale the columns before. Some are held back, each class in its share; by these the
    trials are compared. The best one's settings are then fitted on all rows.

    Parameters
    ----------
    X, y : array-like of shape (n_samples, n_features) and (n_samples,)
        As for :meth:`MLPClassifier.fit`.
    space : mapping
        Each searched parameter with its range, as under ``dimensions`` in a file of ``conf/space/``:
        ``{"learning_rate": {"type": "float", "low": 1e-4, "high": 0.1, "log": True}}``.
    n_trials : int
        Trials to reach; those of earlier calls count.
    estimator : MLPClassifier or None
        What every trial has but for the space; the first trial has all of it. Not modified.
    n_validation : int or None
        Rows that are held back; None: a fifth.
    name : str
        Name of the data: the study's begins with it, and it is MLflow's experiment.
    max_parameters : int or None
        Weights and biases that a network may have.
    folder : Path or str, optional
        Folder whose ``mlruns/`` holds the study; the current folder if none is given.
    tracked : bool
        Whether MLflow gets a run per trial below one of the search: at ``MLFLOW_TRACKING_URI``, else in ``mlflow.db``
        of the current folder.
    **search
        Other settings of a search: ``metric="validation/balanced_accuracy"``, ``sampler``, ``pruner``, ``study``, ...

    Returns
    -------
    ArraySearch

    Raises
    ------
    SettingsError
        If a parameter, the space or a setting of the search does not fit, before anything is trained.
    DataError
        If there is one class only.
    StorageError
        If the study cannot be written, or the tracking store is not there.
    NoResultError
        If no trial completed.
    """
    estimator = MLPClassifier() if estimator is None else estimator
    _check_space(space)
    wanted = SearchSettings.build({**search, "n_trials": n_trials}, "search.")
    x, labels, classes = checked(copy.copy(estimator), X, y)
    n_held = max(1, len(x) // 5) if n_validation is None else n_validation
    data = array_settings(name, n_held)
    dataset = array_dataset(x, labels, names_of(classes), data)
    base = training_settings(estimator, classes, len(dataset.train), data=data, monitor="validation")
    study = planned(base, space, dataset, wanted, max_parameters=max_parameters, folder=folder)
    with _recorded(study, wanted, dataset.manifest) if tracked else _unrecorded() as records:
        found = worked(study, dataset, wanted, **records)
    classifier = with_settings(estimator, found.settings).fit(X, y)
    told = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    return ArraySearch(**told, classifier=classifier)


def _check_space(space: Mapping[str, Any]) -> None:
    """Refuse what a classifier cannot have; what else is wrong the space says itself."""
    leaves = (leaf for dimension in SpaceSettings(dimensions=dict(space)).parse() for leaf in dimension.leaves())
    names = dict.fromkeys(leaf.name.partition("@")[0].partition(".")[0] for leaf in leaves)
    if unknown := [name for name in names if name not in SEARCHED]:
        raise SettingsError(
            f"space: {', '.join(unknown)}; expected what a classifier has: {', '.join(SEARCHED)}. Leave it out"
        )


@contextmanager
def _unrecorded() -> Iterator[dict[str, Any]]:
    yield {}


@contextmanager
def _recorded(study: Study, search: SearchSettings, manifest: Manifest) -> Iterator[dict[str, Any]]:
    """Yield the records of a search's trainings in MLflow, below a run that in the end tells of them."""
    from mlpsweep.report.notes import parent_of_search
    from mlpsweep.report.page import Command
    from mlpsweep.search.preview import told
    from mlpsweep.tracking.lineage import origin
    from mlpsweep.tracking.parents import log_known, log_summary
    from mlpsweep.tracking.settings import TrackingSettings
    from mlpsweep.tracking.store import open_store
    from mlpsweep.tracking.trial_runs import TrialRecorder, search_run
    from mlpsweep.training.identity import environment

    with (
        open_store(TrackingSettings(), manifest.dataset) as store,
        search_run(store, study.name, study.uid) as parent,
    ):
        log_known(parent, told(study.plan, search, WinnerSettings()))
        recorder = TrialRecorder(
            store,
            study.name,
            study.uid,
            parent.run_id,
            {**origin(), **environment()},
            manifest.n_features,
            manifest.n_classes,
        )

        def find(run_key: str) -> ReusableResult | None:
            found = recorder.find(run_key, search.metric)
            return found and ReusableResult(*found)

        yield {"open_trial": recorder.open_trial, "open_finalist": recorder.open_finalist, "find": find}
        more = Command(f"search {MORE} trials more", f"search_arrays(X, y, ..., n_trials={search.n_trials + MORE})")
        summary = parent_of_search(winner.search_of(study), (more,))
        log_summary(parent, search.metric, summary.best, summary.metrics, summary.note())
