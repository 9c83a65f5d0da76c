"""When a hopeless trial is stopped: a table of rules that only read what trials have reported.

Rules keep no notes of their own: a rule that is asked again after a worker's death must answer as before.
Values are signed so that higher is better; an epoch's peers are all trials that reported it, this one included.
"""

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from mlpsweep.search.rungs import ETA, SHARES, rungs

PROMOTE: Final = "promote"
"""The rule that stops nothing: trials pause at rungs, and the ledger lets the best go on."""

MIN_PEERS: Final = 5
"""The median rule stops no trial before this many others have reported the epoch."""


@dataclass(frozen=True)
class Curve:
    """What a rule may look at.

    Parameters
    ----------
    number : int
        Number of the trial.
    n_epochs : int
        Whole budget of a trial.
    values : mapping
        The trial's own values by epoch, up to now.
    peers_at : callable
        Returns every trial's value at an epoch, by trial number.
    """

    number: int
    n_epochs: int
    values: Mapping[int, float]
    peers_at: Callable[[int], Mapping[int, float]]

    @property
    def epoch(self) -> int:
        """The epoch just done."""
        return max(self.values)


def never(curve: Curve) -> bool:
    """Go on whatever happens."""
    return False


def asha(curve: Curve, shares: Iterable[Fraction] = SHARES, eta: int = ETA) -> bool:
    """Stop at a rung unless among the best third that reached it (Li et al., 2020; a stopped trial never goes on)."""
    if curve.epoch not in rungs(curve.n_epochs, shares):
        return False
    values = sorted(curve.peers_at(curve.epoch).values(), reverse=True)
    return curve.values[curve.epoch] < values[max(1, len(values) // eta) - 1]


def median(curve: Curve) -> bool:
    """Stop if the best value so far is below the median of what the others had at this epoch (Golovin et al., 2017)."""
    others = [value for number, value in curve.peers_at(curve.epoch).items() if number != curve.number]
    return len(others) >= MIN_PEERS and max(curve.values.values()) < statistics.median(others)


PRUNERS: Final[Mapping[str, Callable[[Curve], bool]]] = MappingProxyType(
    {"none": never, "asha": asha, "median": median, PROMOTE: never}
)
