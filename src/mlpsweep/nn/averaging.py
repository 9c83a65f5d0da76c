"""A running average of a network's parameters, by which a training is judged before its end; it changes no training."""

from typing import Final

from mlpsweep.nn.network import Params
from mlpsweep.nn.optimizers import BLOCK
from mlpsweep.nn.products import add_scaled

EVERY: Final = 4
"""Updates from one addition to the next: neighbours hardly differ, and each addition is a pass over all parameters."""
WARMUP: Final = 9
"""Addition ``t`` keeps ``t / (t + WARMUP)`` of the average, until that is more than the decay."""


class Average:
    """The exponential average of parameters that an optimiser changes in place.

    Parameters
    ----------
    source : Params
        Parameters to follow, with their first values; not modified.
    decay : float
        Share of the average that an addition keeps, 0 < decay < 1.

    Notes
    -----
    The first additions keep less. Else the weights as drawn would count for ``decay ** t`` after ``t`` additions, which
    is 0.64 of the average after 180 updates, and what is divided out of it would still be a mean over all of a short
    training. With the warm-up they count for ``1 / C(t + 9, 9)``, a tenth at first and at once next to nothing, and the
    mean age of what is averaged is a tenth of the training, ``1 / (1 - decay)`` additions at most.
    """

    def __init__(self, source: Params, decay: float) -> None:
        self.params = Params.of(source.flat.copy(), source.layer_sizes)
        self.decay = decay
        self._source = source.flat

    def follow(self, update: int) -> None:
        """Add the source as it is after an update, counted from 1, if it is the first of ``EVERY``."""
        t, rest = divmod(update + EVERY - 1, EVERY)
        if rest:
            return
        keep = min(self.decay, t / (t + WARMUP))
        for first in range(0, self._source.size, BLOCK):
            mean = self.params.flat[first : first + BLOCK]
            mean *= keep
            add_scaled(self._source[first : first + BLOCK], 1.0 - keep, mean)
