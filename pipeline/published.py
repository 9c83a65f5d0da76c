"""What five published notebooks report on MNIST, and whether our figures meet a row of theirs; reads no files.

All figures are single runs. Costs are means over an epoch's batches, each before its update, of the one-vs-rest form
(:func:`mlpsweep.nn.losses.one_vs_rest_cost`).
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from mlpsweep.evaluation.statistics import spread_of

COST_TOLERANCE: Final = 0.05
"""How far a mean cost may be off, relative to the published one."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published row.

    Parameters
    ----------
    source : str
        Which notebook.
    train, test : float or None
        Accuracy, 0 .. 1; None where the source does not say.
    per_epoch : tuple of float
        Test accuracy after each epoch.
    costs : tuple of float
        Cost of each epoch.
    first_tolerance : float
        Relative tolerance of the first epoch's cost.
    n_test : int
        Number of test rows.
    updates_per_s : float or None
    remark : str
        What the published figure is, where it is not the last epoch's accuracy.
    """

    source: str
    train: float | None = None
    test: float | None = None
    per_epoch: tuple[float, ...] = ()
    costs: tuple[float, ...] = ()
    first_tolerance: float = COST_TOLERANCE
    n_test: int = 10_000
    updates_per_s: float | None = None
    remark: str = ""

    def least(self, spread: float) -> float | None:
        """Return the lowest mean test accuracy that meets the row: two standard errors below the published figure.

        Parameters
        ----------
        spread : float
            Standard deviation over our seeds, 0 .. 1; the test split's own standard error is added to it.
        """
        if self.test is None:
            return None
        variance = self.test * (1.0 - self.test) / self.n_test
        return self.test - 2.0 * math.sqrt(variance + spread**2)

    def meets_costs(self, costs: Sequence[float]) -> bool:
        """Return whether our mean costs are within the tolerance of each epoch's."""
        return len(costs) == len(self.costs) and all(
            abs(ours / theirs - 1.0) <= (COST_TOLERANCE if epoch else self.first_tolerance)
            for epoch, (ours, theirs) in enumerate(zip(costs, self.costs, strict=True))
        )

    def is_met(self, accuracies: Sequence[float], costs: Sequence[float]) -> bool:
        """Return whether our seeds' test accuracies, and our mean costs, meet every figure of the row."""
        least = self.least(spread_of(accuracies))
        return (least is None or statistics.fmean(accuracies) >= least) and (not self.costs or self.meets_costs(costs))


# fmt: off
PUBLISHED: Final[Mapping[str, Published]] = MappingProxyType({
    "manual_sigmoid": Published(source="A sigmoid", train=0.90415, test=0.90480, costs=(
        3.2035, 3.0137, 2.5418, 1.9547, 1.5530, 1.2817, 1.0840, 0.9436, 0.8448, 0.7737, 0.7208, 0.6798, 0.6466, 0.6196,
        0.5966)),
    "manual_tanh": Published(source="A tanh", test=0.97520, costs=(
        0.7522, 0.4097, 0.3281, 0.2766, 0.2392, 0.2102, 0.1870, 0.1669, 0.1502, 0.1358, 0.1230, 0.1114, 0.1015, 0.0921,
        0.0838)),
    "manual_relu": Published(source="A relu", remark="costs only", first_tolerance=0.08, costs=(
        0.6967, 0.3331, 0.2552, 0.2080, 0.1754, 0.1502, 0.1298, 0.1135, 0.0987, 0.0880, 0.0774, 0.0681, 0.0607, 0.0542,
        0.0479)),
    "baseline_sigmoid": Published(source="B sigmoid", train=0.7902, test=0.7966),
    "baseline_tanh": Published(source="B tanh", train=0.95925, test=0.9547),
    "baseline_relu": Published(source="B relu", train=0.97887, test=0.9694),
    "baseline_relu_l2": Published(source="B relu, L2", train=0.94272, test=0.9428),
    "adam_relu": Published(source="B in PyTorch", test=0.970, remark="mean of the last five epochs", per_epoch=(
        0.952, 0.925, 0.955, 0.956, 0.960, 0.956, 0.957, 0.966, 0.973, 0.963, 0.970, 0.964, 0.970, 0.972, 0.974)),
    "per_sample_sigmoid": Published(
        source="C", test=0.6197, remark="aimed at 70 %", per_epoch=(0.5378, 0.5963, 0.6197)),
    "full_batch_relu": Published(source="D", train=0.9710, test=0.915, n_test=200, updates_per_s=21.0),
    "tanh_128": Published(source="E", test=0.963, remark="to be reached"),
})
# fmt: on
"""Every published row by the name of its recipe."""

BOUNDS: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "per_sample_untrained": (0.05, 0.16),
        "strong": (0.989, 1.0),
        "augmented": (0.993, 1.0),
        "fast_980": (0.980, 1.0),
        "fast_985": (0.985, 1.0),
        "fast_990": (0.990, 1.0),
        "fast_993": (0.993, 1.0),
    }
)
"""Lowest and highest mean test accuracy that a recipe without a published row shall reach."""
