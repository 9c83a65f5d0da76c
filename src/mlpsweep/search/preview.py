"""A dry run: the space, its size, the first proposals and an estimate of the time; it opens and writes nothing."""

import dataclasses
from collections.abc import Callable, Iterator

from mlpsweep.data.dataset import Dataset
from mlpsweep.search.dimensions import span
from mlpsweep.search.proposals import Past, Slot, build_proposer
from mlpsweep.search.settings import SearchSettings, WinnerSettings
from mlpsweep.search.space import Params
from mlpsweep.search.study import Plan
from mlpsweep.settings import TrainSettings
from mlpsweep.tables import counted, duration, plain

N_SHOWN = 5
N_ROWS = 2048
"""Training rows on which an epoch is timed."""


def preview(
    plan: Plan, settings: SearchSettings, epoch_seconds: Callable[[TrainSettings], float], n_done: int = 0
) -> Iterator[str]:
    """Yield the lines of a dry run.

    Parameters
    ----------
    plan : Plan
        The study that would be opened.
    settings : SearchSettings
        Budget, sampler and pruner.
    epoch_seconds : callable
        Returns the seconds of an epoch; see :func:`measure_epoch`.
    n_done : int
        Trials of this study that count already.

    Raises
    ------
    SettingsError
        If a proposal does not fit the fixed settings, or a grid is too large.
    """
    limit = build_proposer(settings.sampler, plan.space, plan.metric).limit
    n_trials = min(settings.n_trials, limit or settings.n_trials)
    budget = f"{counted(n_trials, 'trial')} of {counted(plan.space.base.total_epochs, 'epoch')}"
    yield f"study {settings.study or plan.name}: {plan.metric} of {plan.data}, {budget}"
    n_left = max(n_trials - n_done, 0)
    if n_done:
        yield f"there already: {counted(n_done, 'trial')}; {counted(n_left, 'trial')} of {n_trials} to be trained"
    in_all = f" ({counted(limit, 'proposal')} in all)" if limit else ""
    yield f"sampler {settings.sampler}{in_all}, pruner {settings.pruner}"
    yield "space:"
    yield from (f"  {name}: {span(leaf)}" for name, leaf in plan.space.leaves().items())
    if plan.space.max_parameters is not None:
        yield f"  at most {plan.space.max_parameters:,} weights and biases"
    yield f"first proposals{'; trial 0 is the published baseline' if plan.space.baseline() else ''}:"
    proposals = list(first_proposals(plan, settings, min(n_trials, N_SHOWN)))
    for number, params in enumerate(proposals):
        overrides = plan.space.overrides(params)
        yield f"  {number}: " + " ".join(f"{name}={plain(value)}" for name, value in overrides.items())
    if not n_left:
        return
    trained = [plan.space.settings(params) for params in proposals]
    mean = sum(epoch_seconds(one) * one.total_epochs for one in trained) / len(trained)
    whole = duration(mean * n_left / settings.n_workers)
    workers = counted(settings.n_workers, "worker")
    yield f"time: about {whole} with {workers}, less what trials save that pause, stop or are reused"


def first_proposals(plan: Plan, settings: SearchSettings, n: int) -> Iterator[Params]:
    """Yield what a new study would train first; a sampler that learns has not learned by then."""
    proposer = build_proposer(settings.sampler, plan.space, plan.metric)
    past: tuple[Past, ...] = ()
    for number in range(n):
        params = proposer.propose(Slot(number, past))
        past += (Past(number, params, {}, is_complete=False),)
        yield params


def measure_epoch(dataset: Dataset) -> Callable[[TrainSettings], float]:
    """Return a function that times one epoch on some of the rows and scales it to all of them."""
    from mlpsweep.training.run import run_training

    rows = dataset.train.rows[:N_ROWS]
    part = dataclasses.replace(dataset, train=dataclasses.replace(dataset.train, rows=rows))

    def seconds(settings: TrainSettings) -> float:
        batch_size = min(settings.batch_size, len(rows))
        result = run_training(dataclasses.replace(settings, n_epochs=1, batch_size=batch_size), part)
        measuring = result.seconds - len(rows) / result.samples_per_s
        return len(dataset.train) / result.samples_per_s + max(measuring, 0.0)

    return seconds


def told(plan: Plan, settings: SearchSettings, choice: WinnerSettings) -> dict[str, str]:
    """Return what a search is as parameters of its run: data, space, sampler, pruner, budget."""
    # A name of a parameter in MLflow may have no @.
    space = {f"space.{name.replace('@', ' with ')}": span(leaf) for name, leaf in plan.space.leaves().items()}
    if plan.space.max_parameters is not None:
        space["space.max_parameters"] = str(plan.space.max_parameters)
    budget = {"n_epochs": plan.space.base.total_epochs, "top_k": choice.top_k, "n_seeds": choice.n_seeds}
    what = {"data": plan.data, "metric": plan.metric, "sampler": settings.sampler, "pruner": settings.pruner}
    return {name: str(value) for name, value in {**what, "n_trials": settings.n_trials, **budget, **space}.items()}
