"""A worker: claims a trial, proposes, trains, reports, tells, until the target is reached; no tracker is known here."""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from optuna.trial import TrialState

from mlpsweep.errors import StorageError
from mlpsweep.files import write_atomic
from mlpsweep.search.interrupt import Interrupt, PausedError, TimedOutError
from mlpsweep.search.ledger import Claim, LostClaimError
from mlpsweep.search.observer import Observer, PrunedError, Status, TrialLog
from mlpsweep.search.ownership import is_alive, sweep, worker_id
from mlpsweep.search.samplers import SAMPLERS, Proposer, Slot
from mlpsweep.search.settings import SearchSettings
from mlpsweep.search.study import Study
from mlpsweep.settings import TrainSettings
from mlpsweep.training.checkpoint import CheckpointStore
from mlpsweep.training.history import EpochRecord, History
from mlpsweep.training.run import TrainingResult

STATES: Mapping[Status, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
FACTS = ("validation/loss", "weights_hash", "epoch_of_weights")
POLL_S = 1.0


class TrainOne(Protocol):
    """Trains one configuration, continuing from ``checkpoints`` if they hold some of it."""

    def __call__(
        self, settings: TrainSettings, *, on_epoch: Callable[[EpochRecord], None], checkpoints: CheckpointStore
    ) -> TrainingResult:
        """Call ``on_epoch`` for each epoch, restored ones first; let its exceptions pass."""


class Recorder(Protocol):
    """Opens records of trials; the tracker's side of a search."""

    def open_trial(self, number: int, overrides: Mapping[str, Any], settings: TrainSettings, folder: Path) -> TrialLog:
        """Open the record of a trial: a new one, or the one that ``folder`` already names."""


@dataclass(frozen=True)
class Outcome:
    """How a worker's day ended.

    Parameters
    ----------
    n_counted : int
        Trials that count, of the whole study.
    signal : int or None
        The signal that stopped it.
    timed_out : bool
        Whether ``timeout_s`` did.
    """

    n_counted: int
    signal: int | None = None
    timed_out: bool = False


@dataclass(frozen=True)
class Earlier:
    """A finished training that an equal one need not repeat.

    Parameters
    ----------
    source : str
        Where it was found, for a person: ``trial 7``, or a run.
    value : float
        Of the study's metric.
    facts : mapping
        ``validation/loss``, ``weights_hash`` and ``epoch_of_weights``.
    values : mapping
        The metric by epoch. They are reported and judged as if trained, so that reuse changes no other trial.
    """

    source: str
    value: float
    facts: Mapping[str, Any]
    values: Mapping[int, float] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Hands:
    """What a search needs done by others.

    Parameters
    ----------
    train_one : callable
        Trains one configuration.
    recorder : Recorder
        Where trials are recorded.
    run_key : callable
        Returns what two equal trainings share.
    find : callable
        Returns a finished training outside the study by its ``run_key``, or None.
    """

    train_one: TrainOne
    recorder: Recorder
    run_key: Callable[[TrainSettings], str]
    find: Callable[[str], Earlier | None] = lambda run_key: None


def work(study: Study, settings: SearchSettings, hands: Hands) -> Outcome:
    """Work on a study until its target is reached and no trial is under way, or until told to stop.

    A trial under way at a signal or at ``timeout_s`` is left for the next worker, with its last epoch's checkpoint.
    It needs the main thread, for signals.

    Raises
    ------
    StorageError
        If the study or a trial's folder cannot be written; the trial under way can be continued.
    """
    proposer = SAMPLERS[settings.sampler](study.plan.space, study.plan.space.base.seed)
    with worker_id(study.workers) as owner, Interrupt(settings.timeout_s) as interrupt:
        worker = _Worker(study, settings, hands, proposer, interrupt)
        while not interrupt.is_requested:
            got = study.ledger.claim(
                owner, settings.n_trials, proposer.limit, lambda other: is_alive(study.workers, other)
            )
            if isinstance(got, Claim):
                worker.run(got)
            elif got.n_running:
                interrupt.wait(POLL_S)
            else:
                break
        worker.sweep()
        return Outcome(len(study.counted()), interrupt.signal, interrupt.signal is None and interrupt.is_requested)


@dataclass(frozen=True)
class _Ending:
    """How one trial ended."""

    status: Status
    value: float | None = None
    reason: str | None = None
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class _Worker:
    study: Study
    settings: SearchSettings
    hands: Hands
    proposer: Proposer
    interrupt: Interrupt

    def run(self, claim: Claim) -> None:
        """Bring a claimed trial to its end, or leave it for later."""
        with contextlib.suppress(LostClaimError):
            params = self._params(claim)
            if params is not None:
                self._train(claim, params)

    def sweep(self) -> None:
        """Remove what dead workers left: their locks, and checkpoints of finished trials."""
        sweep(self.study.workers)
        for trial in self.study.counted():
            with contextlib.suppress(OSError):  # another worker may be at it
                self._checkpoints(trial.number).clear()

    def _params(self, claim: Claim) -> Mapping[str, Any] | None:
        """Return the trial's parameters, drawn if it has none yet; None if the network would be too large."""
        space, ledger = self.study.plan.space, self.study.ledger
        trial = ledger.trial(claim)
        if trial.params:
            return trial.params
        baseline = space.baseline() if claim.number == 0 else None
        params = baseline or self.proposer.propose(Slot(trial, ledger.study))
        if (excess := space.excess(params)) > 0:
            ledger.refuse(claim, params, space.distributions(), excess)
            return None
        ledger.propose(claim, params, space.distributions())
        return params

    def _train(self, claim: Claim, params: Mapping[str, Any]) -> None:
        study, ledger = self.study, self.study.ledger
        settings, folder = study.plan.trial_settings(params), study.trial_folder(claim.number)
        key = self.hands.run_key(settings)
        log = self.hands.recorder.open_trial(claim.number, study.plan.space.overrides(params), settings, folder)
        observer = Observer(study, self.settings.pruner, claim, settings, log)
        try:
            ending = self._attempt(claim, settings, key, observer)
            if observer.records:
                write_atomic(folder / "history.csv", History(tuple(observer.records)).to_csv().encode())
        except StorageError:
            raise
        except OSError as error:
            fix = "expected a folder that can be written. Free space; the same command goes on"
            raise StorageError(f"{folder}: {error}; {fix}") from error
        if ending.status == "interrupted":
            log.close("interrupted", ending.reason, {})
            ledger.release(claim)
            return
        facts = {"run_key": key, "seed": settings.seed, **ending.facts}
        # The tracker first: a worker that dies between the two leaves a trial that is continued, and ends at once.
        log.close(ending.status, ending.reason, facts)
        ledger.tell(claim, STATES[ending.status], ending.value, {**facts, "reason": ending.reason})
        self._checkpoints(claim.number).clear()

    def _earlier(self, key: str) -> Earlier | None:
        """Return the result of an equal training, of this study first."""
        if not self.settings.reuse:
            return None
        trial = self.study.trained(key)
        if trial is None or trial.value is None:
            return self.hands.find(key)
        facts = {name: trial.user_attrs[name] for name in FACTS}
        return Earlier(f"trial {trial.number}", trial.value, facts, trial.intermediate_values)

    def _attempt(self, claim: Claim, settings: TrainSettings, key: str, observer: Observer) -> _Ending:
        if claim.is_surplus:
            return _Ending("interrupted", reason="the target is reached without it")
        if claim.retries > self.settings.max_retries:
            return _Ending("failed", reason=f"its worker died {claim.retries} times (out of memory?)")
        try:
            earlier = self._earlier(key)
            return self._trained(claim, settings, observer) if earlier is None else _repeated(earlier, observer)
        except PausedError:
            return _Ending("interrupted", reason="interrupted")
        except PrunedError as error:
            return _Ending("pruned", value=observer.last, reason=str(error))
        except TimedOutError:
            return _Ending("failed", reason=f"timed out after {self.settings.trial_timeout_s:g} s")
        except (LostClaimError, OSError):
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a worker outlives any training
            return _Ending("failed", reason=f"{type(error).__name__}: {error}")

    def _trained(self, claim: Claim, settings: TrainSettings, observer: Observer) -> _Ending:
        on_epoch, checkpoints = self.interrupt.held_back(observer), self._checkpoints(claim.number)
        with self.interrupt.allowed(self.settings.trial_timeout_s):
            result = self.hands.train_one(settings, on_epoch=on_epoch, checkpoints=checkpoints)
        facts = (result.objective("validation/loss"), result.model.weights_hash, result.epoch_of_weights)
        value = result.objective(self.study.plan.metric)
        return _Ending("complete", value, facts=dict(zip(FACTS, facts, strict=True)))

    def _checkpoints(self, number: int) -> CheckpointStore:
        return CheckpointStore(self.study.trial_folder(number) / "checkpoints")


def _repeated(earlier: Earlier, observer: Observer) -> _Ending:
    for epoch, value in sorted(earlier.values.items()):
        observer.judge(epoch, value)
    return _Ending("complete", earlier.value, facts={**earlier.facts, "reused_from": earlier.source})
