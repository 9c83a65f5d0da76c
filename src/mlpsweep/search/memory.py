"""Studies in memory that Optuna is asked about; none of them is stored."""

import copy
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState


class _Given(FrozenTrial):
    """A trial whose contents nobody changes: a deep copy, which Optuna's storage makes of each trial, shares them."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Given":
        return copy.copy(self)


def study_in_memory(
    direction: Literal["maximize", "minimize"],
    tried: Iterable[tuple[Mapping[str, Any], float | None]],
    kinds: Mapping[str, BaseDistribution],
    sampler: BaseSampler | None = None,
) -> optuna.Study:
    """Return a study of what was tried.

    Parameters
    ----------
    direction : str
        ``maximize`` or ``minimize``.
    tried : iterable of (mapping, float or None)
        Parameters and value, in order; what has no value is under way.
    kinds : mapping
        Distribution of each parameter.
    sampler : BaseSampler or None
        What proposes; None: Optuna's default.
    """
    optuna.logging.set_verbosity(max(optuna.logging.get_verbosity(), optuna.logging.WARNING))  # it is no news
    study, now = optuna.create_study(direction=direction, sampler=sampler), datetime.now()
    for params, value in tried:
        study.add_trial(_given(params, value, kinds, now))
    return study


def _given(
    params: Mapping[str, Any], value: float | None, kinds: Mapping[str, BaseDistribution], now: datetime
) -> _Given:
    is_complete = value is not None
    return _Given(
        number=-1,
        trial_id=-1,
        state=TrialState.COMPLETE if is_complete else TrialState.RUNNING,
        value=value,
        datetime_start=now,
        datetime_complete=now if is_complete else None,
        params=dict(params),
        distributions={name: kinds[name] for name in params},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )
