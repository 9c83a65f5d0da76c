"""What follows a first look and each epoch of a trial: recorded, reported, judged; no trial begins or ends here."""

import math
from collections.abc import Callable, Mapping

from mlpsweep.errors import NoResultError
from mlpsweep.search.claims import Claim, LostClaimError
from mlpsweep.search.pruners import PROMOTE, PRUNERS, Curve
from mlpsweep.search.rungs import FIRST_LOOK, where
from mlpsweep.search.services import OpenRecord
from mlpsweep.search.study import Study
from mlpsweep.settings import TrainSettings
from mlpsweep.training.history import EpochRecord


class PrunedError(Exception):
    """The pruner gave this trial up."""


class RungError(Exception):
    """The trial has come to where it pauses."""


class Observer:
    """Records, reports and judges each epoch of one trial; what a dead worker has judged is not judged anew."""

    def __init__(
        self,
        study: Study,
        pruner: str,
        claim: Claim,
        settings: TrainSettings,
        log: OpenRecord,
        is_good: Callable[[float], bool] = lambda value: False,
        is_lost: Callable[[], bool] = lambda: False,
    ) -> None:
        self.study, self.claim, self.log = study, claim, log
        self.n_epochs, self.pruner, self.is_good, self.is_lost = settings.total_epochs, pruner, is_good, is_lost
        self.records: list[EpochRecord] = []
        self.last: float | None = None
        self.values = dict(study.ledger.trial(claim).intermediate_values)
        # The last value reported may not have been judged: its worker can have died in between.
        self.judged = max(self.values, default=0) - 1

    def __call__(self, record: EpochRecord) -> None:
        """Take an epoch's record; as :meth:`report` and :meth:`judge` for its value."""
        # The ledger first: whose trial was taken finds out there, and writes nothing more.
        self.report(record.epoch, self._value(record.metrics(), record.epoch))
        self.records.append(record)
        self.log.log_epoch(record)
        self.judge(record.epoch)

    @property
    def awaits_look(self) -> bool:
        """Whether the first look tells anything: it has not been taken, or the trial is to pause there."""
        return self.claim.rung == FIRST_LOOK or FIRST_LOOK not in self.values

    def look(self, metrics: Mapping[str, float]) -> None:
        """Take what was measured within the first epoch; as :meth:`report` and :meth:`judge`. It is no epoch's."""
        self.report(FIRST_LOOK, self._value(metrics, FIRST_LOOK))
        self.judge(FIRST_LOOK)

    def looked(self) -> dict[str, float]:
        """Return the metric at the first look, if that is all that was measured."""
        is_all = max(self.values, default=None) == FIRST_LOOK
        return {self.study.plan.metric: self.values[FIRST_LOOK]} if is_all else {}

    def _value(self, metrics: Mapping[str, float], epoch: int) -> float:
        metric = self.study.plan.metric
        value = metrics[metric]
        if not math.isfinite(value):
            raise NoResultError(f"{metric} is {value} {where(epoch)}; expected a finite number")
        return value

    def report(self, epoch: int, value: float) -> None:
        """Report a value that is not yet.

        Raises
        ------
        LostClaimError
            If another worker has the trial.
        """
        if self.is_lost():  # epochs that were reported already, and are trained again, would not tell
            raise LostClaimError(f"slot {self.claim.number}")
        if epoch not in self.values:
            self.study.ledger.report(self.claim, epoch, value)
        self.values[epoch] = self.last = value

    def judge(self, epoch: int) -> None:
        """Ask the pruner about an epoch, unless the trial has reached the search's goal.

        Raises
        ------
        PrunedError
            If the pruner says so.
        RungError
            At the rung of the claim.
        """
        if any(map(self.is_good, self.values.values())):
            return  # what the search was looking for goes to its end
        if epoch == self.claim.rung and self.pruner == PROMOTE:
            raise RungError(f"paused {where(epoch)}")
        if epoch > self.judged and PRUNERS[self.pruner](self._curve(epoch)):
            raise PrunedError(f"stopped by {self.pruner} {where(epoch)}")

    def _curve(self, epoch: int) -> Curve:
        sign, ledger = self.study.plan.sign, self.study.ledger
        own = {known: sign * value for known, value in self.values.items() if known <= epoch}

        def peers_at(epoch: int) -> dict[int, float]:
            return {number: sign * value for number, value in ledger.values_at(epoch).items()}

        return Curve(self.claim.number, self.n_epochs, own, peers_at)
