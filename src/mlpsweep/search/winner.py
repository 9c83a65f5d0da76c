"""The winner of a study, its summary and its rows; equal studies give equal values, but for the rows' times."""

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from optuna.trial import FrozenTrial, TrialState

from mlpsweep.errors import NoResultError
from mlpsweep.metric import metric_named
from mlpsweep.search.leases import STINTS
from mlpsweep.search.memory import study_in_memory
from mlpsweep.search.rows import Finalist, Search, Stint, TrialRow
from mlpsweep.search.rungs import n_epochs_in
from mlpsweep.search.study import Study
from mlpsweep.search.view import WORKER, is_paused
from mlpsweep.tables import counted

NAMES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "interrupted",
}
PAUSED: Final = "paused"
FACTS = ("validation/loss", "epoch_of_weights", "seed", "weights_hash", "reason")
MIN_COMPLETE: Final = 5
"""With fewer complete trials the importances stay empty."""


def state_of(trial: FrozenTrial) -> str:
    """Return the state of a trial as a person reads it."""
    return PAUSED if is_paused(trial) else NAMES[trial.state]


def best_trial(study: Study) -> FrozenTrial:
    """Return the complete trial with the best value; ties by lower validation loss, then by lower number.

    Raises
    ------
    NoResultError
        If no trial is complete; with the reasons and how often each ended a trial.
    """
    complete = study.complete()
    if complete:
        return complete[0]
    raise NoResultError(f"search: no trial of {study.name} is complete, so there is no winner.{_reasons(study)}")


def _reasons(study: Study) -> str:
    """Return a table of what ended the trials, alike reasons together, each with one of them in full."""
    table: dict[str, list[str]] = {}
    for trial in study.trials():
        reason = str(trial.user_attrs.get("reason", state_of(trial)))
        table.setdefault(re.split(":| after | in epoch ", reason)[0], []).append(reason)
    rows = sorted(table.values(), key=len, reverse=True)
    return "".join(f"\n  {len(alike):4d} x {alike[0]}" for alike in rows) or " No trial was begun."


def winning_trial(study: Study, finalists: Sequence[Finalist]) -> FrozenTrial:
    """Return the trial that won among the finalists, or the best one if none were compared; as :func:`best_trial`."""
    won = next((one.number for one in finalists if one.is_winner), None)
    return next((trial for trial in study.complete() if trial.number == won), None) or best_trial(study)


def sentence(study: Study, finalists: Sequence[Finalist] = ()) -> str:
    """Return what a person wants to know first: the number of trials, the winner and its value."""
    won = winning_trial(study, finalists)
    shown = metric_named(study.plan.metric).shown
    assert won.value is not None
    means = "".join(
        f", {shown(one.mean)} ± {shown(one.spread)} over {counted(len(one.values), 'seed')}"
        for one in finalists
        if one.is_winner and one.spread is not None
    )
    return (
        f"study {study.name}: {counted(len(study.counted()), 'trial')}; the winner is trial {won.number} with "
        f"{study.plan.metric} {shown(won.value)}{means}"
    )


def search_of(study: Study, finalists: Sequence[Finalist] = ()) -> Search:
    """Return the study as the rows that tables, figures and the report are made of."""
    rows = study.trials()
    seen = dict.fromkeys(worker for trial in rows for worker, _, _ in _stints(trial))
    workers, leaves = {name: f"worker {place}" for place, name in enumerate(seen, 1)}, study.plan.space.leaves()
    return Search(
        study=study.name,
        metric=study.plan.metric,
        trials=tuple(_row(study, trial, workers, leaves) for trial in rows),
        importances=importances(study),
        finalists=tuple(finalists),
        log_scaled=frozenset(log_scaled(study)),
    )


def log_scaled(study: Study) -> list[str]:
    """Return the names of the leaves that are drawn on a logarithmic scale."""
    return [name for name, leaf in study.plan.space.leaves().items() if getattr(leaf, "log", False)]


def importances(study: Study) -> dict[str, float]:
    """Return the share of each leaf in what makes a trial good; empty if too few trials are complete to say.

    References
    ----------
    Watanabe, Bansal and Hutter (2023), PED-ANOVA: efficiently quantifying hyperparameter importance.
    """
    # It brings scikit-learn, half a second that no trial shall wait for.
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    complete = study.complete()
    if len(complete) < MIN_COMPLETE or len({trial.value for trial in complete}) < MIN_COMPLETE:
        return {}
    tried = ((trial.params, trial.value) for trial in complete)
    with_complete = study_in_memory(study.plan.direction, tried, study.plan.space.distributions())
    with warnings.catch_warnings():
        # Optuna warns that the evaluator is experimental, and that few trials have a third layer.
        warnings.simplefilter("ignore", UserWarning)
        shares = get_param_importances(with_complete, evaluator=PedAnovaImportanceEvaluator())
    return {name: float(share) for name, share in shares.items()}


def summary(study: Study, finalists: Sequence[Finalist] = ()) -> dict[str, Any]:
    """Return the study's outcome as JSON values."""
    best, winner = best_trial(study), winning_trial(study, finalists)
    counts = Counter(state_of(trial) for trial in study.trials())
    return {
        "study": study.name,
        "data": study.plan.data,
        "metric": study.plan.metric,
        "n_trials": {name: counts.get(name, 0) for name in (*NAMES.values(), PAUSED)},
        "n_epochs": sum(n_epochs_in(trial.intermediate_values) for trial in study.trials()),
        "best_trial": best.number,
        "importances": importances(study),
        "log_scaled": log_scaled(study),
        "finalists": [_told(one) for one in finalists],
        "tied": [one.number for one in finalists if one.is_tied],
        "winner": {
            "trial": winner.number,
            "value": winner.value,
            "validation/loss": winner.user_attrs.get("validation/loss"),
            "settings": study.plan.space.overrides(winner.params),
            "n_parameters": _n_parameters(study, winner),
            "weights_hash": winner.user_attrs.get("weights_hash"),
            **next(({"mean": one.mean, "standard_deviation": one.spread} for one in finalists if one.is_winner), {}),
        },
    }


def _n_parameters(study: Study, trial: FrozenTrial) -> int:
    return study.plan.space.n_parameters(study.plan.space.settings(trial.params))


def _told(one: Finalist) -> dict[str, Any]:
    assert one.behind is not None
    low, high = one.behind.interval
    return {
        "trial": one.number,
        "settings": one.params,
        "n_parameters": one.n_parameters,
        "values": list(one.values),
        "mean": one.mean,
        "standard_deviation": one.spread,
        "behind": {"mean": one.behind.mean, "standard_error": one.behind.error, "low": low, "high": high},
        "is_tied": one.is_tied,
        "is_winner": one.is_winner,
    }


def _stints(trial: FrozenTrial) -> list[tuple[str, float, float]]:
    """Return who was at work on a trial, from when to when; a trial of earlier times has one worker."""
    start, end = trial.datetime_start, trial.datetime_complete
    once = [[trial.user_attrs.get(WORKER, ""), start.timestamp(), end.timestamp()]] if start and end else []
    return [(worker, start, end) for worker, start, end in trial.user_attrs.get(STINTS, once)]


def _row(study: Study, trial: FrozenTrial, workers: Mapping[str, str], leaves: Iterable[str]) -> TrialRow:
    # Only trials are named: the id of a run differs from machine to machine.
    source = trial.user_attrs.get("reused_from", "")
    facts = {"n_parameters": _n_parameters(study, trial) if trial.params else None}
    facts |= {name: trial.user_attrs.get(name) for name in FACTS}
    facts["reused_from"] = source if source.startswith("trial ") else None
    stints = tuple(Stint(workers[worker], start, end) for worker, start, end in _stints(trial))
    return TrialRow(
        number=trial.number,
        state=state_of(trial),
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        params={name: trial.params[name] for name in leaves if name in trial.params},
        intermediate=tuple(sorted(trial.intermediate_values.items())),
        stints=stints,
        facts=facts,
    )
