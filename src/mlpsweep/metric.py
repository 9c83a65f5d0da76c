"""What is measured: each quantity's direction, how it is shown and its unit, as one table; nothing is computed here."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured quantity of one split.

    Parameters
    ----------
    name : str
        As in files, MLflow and figures: ``validation/accuracy``.
    maximize : bool
        Whether more is better.
    kind : str
        How a value is shown, a key of :data:`mlpsweep.tables.FORMATS`.
    unit : str
        Of the value, for axes; empty for a share.
    """

    name: str
    maximize: bool = False
    kind: str = "number"
    unit: str = ""

    @property
    def is_share(self) -> bool:
        """Whether values lie in 0 .. 1 and are shown in percent."""
        return self.kind == "percent"

    @property
    def sign(self) -> float:
        """1 if more is better, else -1: ``sign * value`` is to be high."""
        return 1.0 if self.maximize else -1.0


QUANTITIES: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric("accuracy", maximize=True, kind="percent"),
            Metric("loss", unit="nats"),
            Metric("cost", unit="nats"),
            Metric("penalty", unit="nats"),
            Metric("roc_auc", maximize=True),
            Metric("calibration_error"),
            Metric("samples_per_s", maximize=True),
        )
    }
)
"""Every quantity by the last word of its metrics' names."""


def metric_named(name: str) -> Metric:
    """Return a metric by its name; a quantity that the table does not know is a number of which less is better.

    Examples
    --------
    >>> metric_named("validation/accuracy").kind, metric_named("train/final_loss").unit
    ('percent', 'nats')
    """
    quantity = name.rpartition("/")[2].removeprefix("final_")
    known = QUANTITIES.get(quantity, Metric(quantity))
    return Metric(name, known.maximize, known.kind, known.unit)
