"""A search from Python: one process, no tracker; the study on the disk is what a later call goes on with."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlpsweep.data.dataset import Dataset
from mlpsweep.errors import SettingsError
from mlpsweep.search import winner
from mlpsweep.search.rows import TrialRow
from mlpsweep.search.run import services_on
from mlpsweep.search.settings import SearchSettings, SpaceSettings
from mlpsweep.search.study import Plan, Study, open_study
from mlpsweep.search.worker import work
from mlpsweep.settings import TrainSettings
from mlpsweep.training.history import EpochRecord


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Parameters
    ----------
    settings : TrainSettings
        The best trial's; training with them gives the trial's weights again.
    value : float
        The best trial's value of the metric that was searched for, on the validation split.
    trials : tuple of TrialRow
        Every trial, by number.
    study : str
        Name of the study.
    """

    settings: TrainSettings
    value: float
    trials: tuple[TrialRow, ...]
    study: str


def run_search(
    settings: TrainSettings,
    space: Mapping[str, Any],
    dataset: Dataset,
    *,
    search: SearchSettings = SearchSettings(),  # noqa: B008 - frozen
    max_parameters: int | None = None,
    folder: Path | str | None = None,
) -> SearchResult:
    """Search for the best settings in this process; call it again to go on, or to extend the study.

    Ctrl-C stops the search; the same call continues the trial under way from its last epoch.

    Parameters
    ----------
    settings : TrainSettings
        What every trial trains with, the searched settings excepted; their own values are the first trial.
    space : mapping
        Each searched setting with its range, as under ``dimensions`` in a file of ``conf/space/``.
    dataset : Dataset
        With validation rows, which the trials are compared on.
    search : SearchSettings
        The study and its budget; ``n_trials`` counts the trials that are already there.
    max_parameters : int or None
        Weights and biases that a network may have.
    folder : Path or str, optional
        Folder whose ``mlruns/`` holds the study; the current folder if none is given.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, when the trial under way is put down.
    SettingsError
        If the space does not fit the settings, or a study of this name searches something else.
    StorageError
        If the study cannot be written.
    NoResultError
        If no trial completed.
    """
    study = planned(settings, space, dataset, search, max_parameters=max_parameters, folder=folder)
    return worked(study, dataset, search)


def planned(
    settings: TrainSettings,
    space: Mapping[str, Any],
    dataset: Dataset,
    search: SearchSettings,
    *,
    max_parameters: int | None,
    folder: Path | str | None,
) -> Study:
    """Return the study of :func:`run_search`, new or joined; errors as there."""
    _require_one_process(search)
    searched = SpaceSettings(dimensions=dict(space), max_parameters=max_parameters)
    plan = Plan.build(searched, settings, search.metric, dataset.manifest)
    return open_study(plan, search, Path(folder or "."))


def worked(study: Study, dataset: Dataset, search: SearchSettings, **records: Any) -> SearchResult:
    """Return what :func:`run_search` returns; ``records`` are those of :class:`Services`, kept by nobody if absent."""
    unrecorded = {"open_trial": _unrecorded, "open_finalist": _unrecorded}
    end = work(study, search, services_on(dataset, search.metric, **{**unrecorded, **records}))
    if end.signal:
        signal.raise_signal(end.signal)
    best = winner.best_trial(study)
    assert best.value is not None
    settings = study.plan.trial_settings(best.params)
    return SearchResult(settings, best.value, winner.search_of(study).trials, study.name)


def _require_one_process(search: SearchSettings) -> None:
    wanted = {"n_workers": search.n_workers != 1, "dry_run": search.dry_run}
    faults = [
        f"search.{name}: {getattr(search, name)!r} in run_search, which searches in this process; expected "
        f"{getattr(SearchSettings(), name)!r}. `python -m pipeline.search` takes it"
        for name, is_wanted in wanted.items()
        if is_wanted
    ]
    if faults:
        raise SettingsError(*faults)


class _Unrecorded:
    """The record of a trial that nobody keeps: the study has its values, the trial's folder its history."""

    def log_epoch(self, record: EpochRecord) -> None:
        pass

    def close(self, status: str, reason: str | None, facts: Mapping[str, Any]) -> None:
        pass

    def leave(self) -> None:
        pass


def _unrecorded(*_: object) -> _Unrecorded:
    return _Unrecorded()
