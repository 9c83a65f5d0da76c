"""The winner's recipe: what the search held fixed, what it chose, and the study and trial that it comes from."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mlpsweep.config import flat, plain
from mlpsweep.schema import Settings
from mlpsweep.search.grammar import FAMILIES
from mlpsweep.search.rows import Finalist
from mlpsweep.search.study import Study
from mlpsweep.search.winner import winning_trial
from mlpsweep.settings import TrainSettings

Groups = Mapping[str, str]
"""Chosen files of ``conf/`` by group: ``{"data": "digits", "optimizer": "adam"}``."""


def fixed_deltas(
    settings: TrainSettings, defaults: Callable[[Groups], TrainSettings], searched: Iterable[str]
) -> dict[str, Any]:
    """Return what a trial trains with and a training would not, but for plain searched settings: a recipe's beginning.

    The winner gets the data set's full budget, not a trial's, and learns from the validation rows too; so nothing is
    measured, and no average of its weights is needed.

    Parameters
    ----------
    settings : TrainSettings
        The winner's.
    defaults : callable
        Returns the default settings of a training with some groups chosen.
    searched : iterable of str
        Names of the settings that the space proposes; a group among them is always chosen by name.
    """
    usual, own, proposed = plain(defaults({})), plain(settings), frozenset(searched)
    chosen = {
        group: part["name"]
        for group, part in own.items()
        if isinstance(getattr(settings, group), Settings)
        and (group in proposed or part["name"] != usual[group]["name"])
    }
    default, left_out = (
        flat(plain(defaults(chosen))),
        {"n_epochs", "averaging"} | {name for name in proposed if "." not in name},
    )
    recipe: dict[str, Any] = {"defaults": [{f"override /{group}": name} for group, name in chosen.items()]}
    for name, value in flat(own).items():
        if name not in left_out and value != default.get(name):
            group, _, key = name.rpartition(".")
            (recipe.setdefault(group, {}) if group else recipe)[key] = value
    recipe.setdefault("data", {})["n_validation"] = 0
    return recipe | {"monitor": "none"}


def winner_recipe(study: Study, deltas: Mapping[str, Any], finalists: Sequence[Finalist] = ()) -> str:
    """Return the winner as the text of a recipe; equal studies give equal bytes.

    Parameters
    ----------
    study : Study
        With at least one complete trial.
    deltas : mapping
        From :func:`fixed_deltas`, of the winner's settings.
    finalists : sequence of Finalist
        What the winner was compared with.

    Raises
    ------
    NoResultError
        If no trial is complete.
    """
    trial, plan = winning_trial(study, finalists), study.plan
    origin = {"study": study.name, "trial": trial.number}
    chosen = plan.space.overrides(trial.params)
    told = {name: value for name, value in chosen.items() if name.partition(".")[0] not in FAMILIES}
    settings = {**deltas, **told, "origin": origin}
    # A trial that somebody added has neither.
    loss, weights = (trial.user_attrs.get(name) for name in ("validation/loss", "weights_hash"))
    lines = [
        "# @package _global_",
        f"# Winner of the study {study.name}: trial {trial.number} of {len(study.counted())},",
        f"# {plan.metric} {trial.value:.5f}{f', validation/loss {loss:.5f}' if loss is not None else ''}.",
        *(_compared(one, plan.metric) for one in finalists),
        f"# data {plan.data_digest}",
        f"# numeric sources {plan.sources_digest}",
        *([f"# weights of the trial {weights}"] if weights else []),
        *(f"{name}: {json.dumps(value)}" for name, value in settings.items() if name == "defaults"),
        *(f"{name}: {json.dumps(value)}" for name, value in sorted(settings.items()) if name != "defaults"),
    ]
    return "\n".join(lines) + "\n"


def _compared(one: Finalist, metric: str) -> str:
    values = " ".join(f"{value:.5f}" for value in one.values)
    verdict = f"{', tied' if one.is_tied else ''}{', winner' if one.is_winner else ''}"
    size = f"{one.n_parameters} parameters"
    return f"# finalist: trial {one.number}, {size}, {metric} {values}, mean {one.mean:.5f}{verdict}"
