"""The winner of a study and what is written about it; equal studies give equal bytes: no times, run ids or paths."""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from mlpsweep.errors import NoResultError
from mlpsweep.search.study import Study

NAMES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "interrupted",
}
FACTS = ("validation/loss", "epoch_of_weights", "seed", "weights_hash", "reason")


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
        reason = str(trial.user_attrs.get("reason", NAMES[trial.state]))
        table.setdefault(reason.partition(":")[0].partition(" after ")[0], []).append(reason)
    rows = sorted(table.values(), key=len, reverse=True)
    return "".join(f"\n  {len(alike):4d} x {alike[0]}" for alike in rows) or " No trial was begun."


def summary(study: Study) -> dict[str, Any]:
    """Return the study's outcome as JSON values."""
    best = best_trial(study)
    counts = Counter(NAMES[trial.state] for trial in study.trials())
    return {
        "study": study.name,
        "data": study.plan.data,
        "metric": study.plan.metric,
        "n_trials": {name: counts.get(name, 0) for name in NAMES.values()},
        "n_epochs": sum(len(trial.intermediate_values) for trial in study.trials()),
        "winner": {
            "trial": best.number,
            "value": best.value,
            "validation/loss": best.user_attrs["validation/loss"],
            "settings": study.plan.space.overrides(best.params),
            "n_parameters": study.plan.space.n_parameters(study.plan.space.settings(best.params)),
            "weights_hash": best.user_attrs["weights_hash"],
        },
    }


def recipe(study: Study, deltas: Mapping[str, Any]) -> str:
    """Return the winner as the text of a recipe.

    Parameters
    ----------
    study : Study
        With at least one complete trial.
    deltas : mapping
        Settings that the search held fixed at other values than ``conf/`` has, to be written too.
    """
    best = best_trial(study)
    settings = {**deltas, **study.plan.space.overrides(best.params)}
    lines = [
        "# @package _global_",
        f"# Winner of the study {study.name}: trial {best.number} of {len(study.counted())},",
        f"# {study.plan.metric} {best.value:.5f}, validation/loss {best.user_attrs['validation/loss']:.5f}.",
        *(f"{name}: {json.dumps(value)}" for name, value in sorted(settings.items())),
    ]
    return "\n".join(lines) + "\n"


def trials_csv(study: Study) -> str:
    """Return one line per trial that was or will be trained: number, state, value, settings, facts."""
    trials = study.trials()
    searched = [dimension.name for dimension in study.plan.space.dimensions]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["number", "state", study.plan.metric, "n_epochs", *searched, "n_parameters", *FACTS, "reused_from"])
    for trial in trials:
        source = trial.user_attrs.get("reused_from", "")
        table.writerow(
            [
                trial.number,
                NAMES[trial.state],
                "" if trial.value is None else repr(trial.value),
                len(trial.intermediate_values),
                *_configuration(study, trial, searched),
                *(trial.user_attrs.get(fact, "") for fact in FACTS),
                source if source.startswith("trial ") else "",  # a run's id is another one on every machine
            ]
        )
    return text.getvalue()


def _configuration(study: Study, trial: FrozenTrial, searched: list[str]) -> list[Any]:
    if not trial.params:
        return [""] * (len(searched) + 1)
    space = study.plan.space
    overrides = space.overrides(trial.params)
    return [*(overrides[name] for name in searched), space.n_parameters(space.settings(trial.params))]
