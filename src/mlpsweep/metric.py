"""The table of measured quantities, each with its direction, format and unit; ``evaluation`` computes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from mlpsweep.tables import FORMATS


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured quantity of one split.

    Parameters
    ----------
    name : str
        Name in files, MLflow and figures, such as ``validation/accuracy``.
    maximize : bool
        Whether more is better.
    kind : str
        Format of a value, a key of :data:`mlpsweep.tables.FORMATS`.
    unit : str
        Unit of the value, for axes; empty for a share.
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
        """1 if more is better, else -1, so that more ``sign * value`` is better."""
        return 1.0 if self.maximize else -1.0

    def shown(self, value: Any) -> str:
        """Return a value as tables show it."""
        return FORMATS[self.kind](value)


QUANTITIES: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric("accuracy", maximize=True, kind="percent"),
            Metric("balanced_accuracy", maximize=True, kind="percent"),
            Metric("macro_f1", maximize=True, kind="percent"),
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
    """Return a metric by its name; an unknown quantity is a plain number, and less of it is better.

    Examples
    --------
    >>> metric_named("validation/accuracy").kind, metric_named("train/final_loss").unit
    ('percent', 'nats')
    """
    quantity = name.rpartition("/")[2].removeprefix("final_")
    known = QUANTITIES.get(quantity, Metric(quantity))
    return Metric(name, known.maximize, known.kind, known.unit)
