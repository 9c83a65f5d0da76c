"""When a hopeless trial is stopped: a table of rules that only read what trials have reported.

Rules keep no notes of their own: a rule that is asked again after a worker's death must answer as before.
Values are signed so that higher is better; an epoch's peers are all trials that reported it, this one included.
"""

import math
import statistics
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

ETA: Final = 3
"""At each rung one trial in ETA goes on."""

MIN_EPOCHS: Final = 1
"""The first rung."""

PROMOTE: Final = "promote"
"""The rule that stops nothing: trials pause at rungs, and the ledger lets the best go on."""

MIN_PEERS: Final = 5
"""The median rule stops no trial before this many others have reported the epoch."""


@dataclass(frozen=True)
class Curve:
    """What a rule may look at.

    Parameters
    ----------
    study : str
        The study's name; brackets depend on it.
    number : int
        Number of the trial; brackets depend on it too.
    n_epochs : int
        Whole budget of a trial.
    values : mapping
        The trial's own values by epoch, up to now.
    peers_at : callable
        Returns every trial's value at an epoch, by trial number.
    """

    study: str
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


def asha(curve: Curve) -> bool:
    """Stop at a rung unless among the best third that reached it (Li et al., 2020; a stopped trial never goes on)."""
    return _halve(curve, _rungs(curve.n_epochs, 0), lambda number: True)


def hyperband(curve: Curve) -> bool:
    """Halve within brackets that begin at different rungs (Li et al., 2018); the number decides the bracket."""
    own = bracket(curve.study, curve.number, curve.n_epochs)
    return _halve(
        curve, _rungs(curve.n_epochs, own), lambda number: bracket(curve.study, number, curve.n_epochs) == own
    )


def median(curve: Curve) -> bool:
    """Stop if the best value so far is below the median of what the others had at this epoch (Golovin et al., 2017)."""
    others = [value for number, value in curve.peers_at(curve.epoch).items() if number != curve.number]
    return len(others) >= MIN_PEERS and max(curve.values.values()) < statistics.median(others)


def bracket(study: str, number: int, n_epochs: int) -> int:
    """Return a trial's bracket, from 0; each gets a share of the trials that gives it about the same work."""
    n_brackets = len(_rungs(n_epochs, 0)) + 1
    shares = [math.ceil(n_brackets * ETA ** (n_brackets - 1 - i) / (n_brackets - i)) for i in range(n_brackets)]
    place = zlib.crc32(f"{study}_{number}".encode()) % sum(shares)
    return next(i for i in range(n_brackets) if place < sum(shares[: i + 1]))


def _rungs(n_epochs: int, first: int) -> list[int]:
    # No rung at the last epoch: it would save no work and only relabel finished trials as pruned.
    rungs = [MIN_EPOCHS * ETA**i for i in range(n_epochs.bit_length() + 1)]
    return [rung for rung in rungs if rung < n_epochs][first:]


def _halve(curve: Curve, rungs: list[int], is_peer: Callable[[int], bool]) -> bool:
    if curve.epoch not in rungs:
        return False
    values = sorted((value for number, value in curve.peers_at(curve.epoch).items() if is_peer(number)), reverse=True)
    n_kept = max(1, len(values) // ETA)
    return curve.values[curve.epoch] < values[n_kept - 1]


PRUNERS: Final[Mapping[str, Callable[[Curve], bool]]] = MappingProxyType(
    {"none": never, "asha": asha, "hyperband": hyperband, "median": median, PROMOTE: never}
)
