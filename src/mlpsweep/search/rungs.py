"""Where a paused trial waits, and which one goes on: pure functions of values; no trial, ledger or Optuna here."""

import math
from collections.abc import Iterable, Mapping, Set
from fractions import Fraction
from typing import Final

EARLY: Final = (Fraction(1, 32), Fraction(1, 8))
SHARES: Final = (Fraction(1, 8), Fraction(3, 8))
"""The rungs of a search, as shares of a trial's epochs; chosen with ETA by simulation (ADR 16, ADR 23)."""

MIN_UPDATES: Final = 100
"""Updates before the first rung without which ``EARLY`` would be too early to tell anything."""

FIRST_LOOK: Final = 0
"""The rung within the first epoch, after which no epoch is done."""

ETA: Final = 3
"""At each rung one trial in ETA goes on."""


def rungs(n_epochs: int, shares: Iterable[Fraction] = SHARES) -> tuple[int, ...]:
    """Return the epochs after which a trial pauses: shares of its budget, rounded up, each once and below the budget.

    Examples
    --------
    >>> rungs(8), rungs(20), rungs(2), rungs(1)
    ((1, 3), (3, 8), (1,), ())
    """
    return tuple(sorted({rung for share in shares if (rung := math.ceil(n_epochs * share)) < n_epochs}))


def rungs_of(n_epochs: int, n_updates: int) -> tuple[int, ...]:
    """Return the rungs of a search whose trials are judged by averaged weights.

    Parameters
    ----------
    n_epochs : int
        Budget of a trial.
    n_updates : int
        Updates of an epoch; 0 if unknown.

    Returns
    -------
    tuple of int
        As :func:`rungs`. Where the first of ``EARLY`` has updates enough they are these, and one that lies within the
        first epoch is ``FIRST_LOOK``.

    Examples
    --------
    >>> rungs_of(8, 782), rungs_of(40, 782), rungs_of(8, 23)
    ((0, 1), (2, 5), (1, 3))
    """
    early = n_epochs * EARLY[0]
    if n_epochs == 1 or early * n_updates < MIN_UPDATES:
        return rungs(n_epochs, SHARES)
    return (FIRST_LOOK, *rungs(n_epochs, EARLY[1:])) if early < 1 else rungs(n_epochs, EARLY)


def first_look(n_epochs: int) -> float:
    """Return after which share of the first epoch the first look is taken."""
    return float(n_epochs * EARLY[0])


def where(rung: int) -> str:
    """Return in words where a trial is paused: ``in epoch 1``, ``after epoch 3``."""
    return "in epoch 1" if rung == FIRST_LOOK else f"after epoch {rung}"


def n_epochs_in(epochs: Iterable[int]) -> int:
    """Return how many epochs were done of those that reported a value; the first look is none."""
    return sum(epoch != FIRST_LOOK for epoch in epochs)


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
