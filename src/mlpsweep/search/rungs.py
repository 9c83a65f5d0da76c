"""Where a paused trial waits, and which one goes on: pure functions of values; no trial, ledger or Optuna here."""

import math
from collections.abc import Iterable, Mapping, Set
from fractions import Fraction
from typing import Final

SHARES: Final = (Fraction(1, 8), Fraction(5, 8))
"""The rungs of a search, as shares of a trial's epochs."""

ETA: Final = 3
"""At each rung one trial in ETA goes on."""


def rungs(n_epochs: int, shares: Iterable[Fraction] = SHARES) -> tuple[int, ...]:
    """Return the epochs after which a trial pauses: shares of its budget, rounded up, each once and below the budget.

    Examples
    --------
    >>> rungs(8), rungs(20), rungs(2), rungs(1)
    ((1, 5), (3, 13), (1,), ())
    """
    return tuple(sorted({rung for share in shares if (rung := math.ceil(n_epochs * share)) < n_epochs}))


def promotable(values: Mapping[int, float], gone_on: Set[int], eta: int = ETA) -> int | None:
    """Return the slot that shall go on from a rung, or None (Li et al., 2020: the rule of ASHA).

    Parameters
    ----------
    values : mapping
        What each trial had at the rung, by slot, paused there or gone on; signed so that higher is better.
    gone_on : set
        Slots that went on from there, or that cannot.
    eta : int
        One trial in ``eta`` goes on; of equal values the lower slot's is the better one.

    Examples
    --------
    >>> promotable({0: 0.5, 1: 0.9, 2: 0.7}, set()), promotable({0: 0.5, 1: 0.9, 2: 0.7}, {1})
    (1, None)
    """
    ranked = sorted(values, key=lambda slot: (-values[slot], slot))
    return next((slot for slot in ranked[: len(ranked) // eta] if slot not in gone_on), None)
