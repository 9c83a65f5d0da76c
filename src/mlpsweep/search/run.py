"""A whole search: the trials, then the finalists, by one worker in this process or by several below it; its outcome."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console

from mlpsweep.data.dataset import Dataset
from mlpsweep.search import winner
from mlpsweep.search.edges import edges
from mlpsweep.search.finalists import finalists, train_finalists
from mlpsweep.search.folder import SearchFolder
from mlpsweep.search.live import watch
from mlpsweep.search.recipe import winner_recipe
from mlpsweep.search.rows import Search
from mlpsweep.search.scores import row_scores
from mlpsweep.search.services import Services
from mlpsweep.search.settings import SearchSettings, WinnerSettings
from mlpsweep.search.study import Study
from mlpsweep.search.supervisor import supervise
from mlpsweep.search.worker import SearchEnd, work
from mlpsweep.settings import TrainSettings
from mlpsweep.training.identity import run_key
from mlpsweep.training.run import TrainingResult, run_training


def search(
    study: Study, settings: SearchSettings, be_worker: Callable[..., SearchEnd], arguments: tuple[Any, ...]
) -> SearchEnd:
    """Work on a study with ``settings.n_workers`` workers, and show on stderr how it goes.

    Parameters
    ----------
    study : Study
        Open.
    settings : SearchSettings
        Target, number of workers, limits.
    be_worker, arguments : callable, tuple
        What each worker calls: a module's function and arguments that can be pickled; it opens what it needs and
        ends with :func:`work_through`.

    Raises
    ------
    MlpsweepError, RuntimeError
        As :func:`supervise`.
    """
    console = Console(stderr=True)
    with watch(study, settings.n_trials, console):
        if settings.n_workers == 1:
            return be_worker(*arguments)
        return supervise(study, settings, be_worker, arguments, console.print)


def work_through(study: Study, settings: SearchSettings, choice: WinnerSettings, services: Services) -> SearchEnd:
    """Be one worker: work on the trials, then share in the finalists' trainings; errors as :func:`work`."""
    end = work(study, settings, services, choice.top_k)
    if end.signal or end.timed_out:
        return end
    return dataclasses.replace(end, signal=train_finalists(study, choice, services))


def conclude(
    study: Study,
    choice: WinnerSettings,
    deltas: Callable[[TrainSettings], Mapping[str, Any]],
    folder: SearchFolder,
    is_possible: Callable[[TrainSettings], bool] = lambda settings: True,
) -> Search:
    """Choose the winner, write the outcome but for its figures, and return it; equal studies write equal bytes.

    Parameters
    ----------
    study : Study
        Worked through.
    choice : WinnerSettings
        How the winner is chosen.
    deltas : callable
        Returns :func:`~mlpsweep.search.recipe.fixed_deltas` of the winner's settings.
    folder : SearchFolder
        Where to write.
    is_possible : callable
        Returns whether there are the rows and the memory for a training; a range is not widened beyond that.

    Raises
    ------
    NoResultError
        If no trial is complete; nothing is written.
    OSError
        If the folder cannot be written.
    """
    compared = finalists(study, choice, lambda one: run_key(one, study.plan.data_digest))
    space, won = study.plan.space, winner.winning_trial(study, compared)
    at_edges = edges(space.told, space.base, won.params, is_possible)
    found = dataclasses.replace(winner.search_of(study, compared), edges=at_edges)
    recipe = winner_recipe(study, deltas(space.settings(won.params)), compared)
    summary = {**winner.summary(study, compared), "edges": [vars(one) for one in at_edges]}
    folder.save(found, summary, recipe)
    return found


def services_on(dataset: Dataset, metric: str, **others: Any) -> Services:
    """Return services that train on ``dataset`` and score its validation rows; ``others`` are the remaining ones."""

    def train(settings: TrainSettings, **hooks: Any) -> TrainingResult:
        return run_training(settings, dataset, **hooks)

    return Services(
        train=train,
        score=lambda model: row_scores(model, dataset.validation, metric),
        run_key=lambda settings: run_key(settings, dataset.manifest.digest),
        **others,
    )
