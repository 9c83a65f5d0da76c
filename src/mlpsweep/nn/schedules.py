"""Schedules of the learning rate: a factor for each update.

Each function takes the update's number (from 0), the number of all updates of the training, the number of updates in
an epoch, and as keywords the settings of its ``conf/schedule`` file; it returns the factor on ``learning_rate``.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

Schedule = Callable[..., float]


def constant(update: int, n_updates: int, updates_per_epoch: int) -> float:
    """Return 1."""
    return 1.0


def cosine(
    update: int, n_updates: int, updates_per_epoch: int, *, warmup_fraction: float, final_fraction: float
) -> float:
    """Rise linearly to 1 over the first share of the updates, then fall along half a cosine.

    The first update of n_warmup has the factor 1 / n_warmup, the last one 1; the training's last update has
    ``final_fraction``.

    References
    ----------
    Loshchilov and Hutter (2017), SGDR, eq. 5; Goyal et al. (2017), section 2.2 for the warm-up.
    """
    n_warmup = round(warmup_fraction * n_updates)
    if update < n_warmup:
        return (update + 1) / n_warmup
    progress = (update - n_warmup) / max(1, n_updates - n_warmup - 1)
    return final_fraction + (1.0 - final_fraction) * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))


def step(update: int, n_updates: int, updates_per_epoch: int, *, every_epochs: int, factor: float) -> float:
    """Multiply by ``factor`` after every ``every_epochs`` epochs.

    Examples
    --------
    >>> [step(update, 6, 2, every_epochs=1, factor=0.5) for update in range(6)]
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """
    return factor ** (update // updates_per_epoch // every_epochs)


SCHEDULES: Final[Mapping[str, Schedule]] = MappingProxyType({"constant": constant, "cosine": cosine, "step": step})
"""Every schedule by its name in the settings."""
