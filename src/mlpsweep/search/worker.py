"""A worker: claims a trial, proposes, trains, reports and tells, until the study's target is reached."""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from mlpsweep.files import FOLDER_WANTED, storage_errors
from mlpsweep.search.claims import Claim, LostClaimError
from mlpsweep.search.interrupt import Interrupt, PausedError, TimedOutError
from mlpsweep.search.leases import COMPLETE, FAILED, PRUNED
from mlpsweep.search.observer import Observer, PrunedError, RungError
from mlpsweep.search.ownership import new_owner
from mlpsweep.search.promotion import Ladder
from mlpsweep.search.proposals import Past, Proposer, Slot, build_proposer
from mlpsweep.search.pruners import PROMOTE
from mlpsweep.search.rungs import FIRST_LOOK, first_look
from mlpsweep.search.services import ReusableResult, Services, Status
from mlpsweep.search.settings import SearchSettings
from mlpsweep.search.study import Study
from mlpsweep.search.view import ENQUEUED
from mlpsweep.settings import TrainSettings
from mlpsweep.tables import counted
from mlpsweep.training.checkpoint import CheckpointStore
from mlpsweep.training.folder import TrainingFolder
from mlpsweep.training.history import History
from mlpsweep.training.trainer import Look

STATES: Mapping[Status, str] = {"complete": COMPLETE, "pruned": PRUNED, "failed": FAILED}
FACTS = ("validation/loss", "weights_hash", "epoch_of_weights")
POLL_S = 1.0


@dataclass(frozen=True)
class SearchEnd:
    """How the work of one or several workers on a study ended.

    Parameters
    ----------
    n_counted : int
        Trials of the whole study that count.
    signal : int or None
        The signal that stopped the work.
    timed_out : bool
        Whether ``timeout_s`` stopped it.
    """

    n_counted: int
    signal: int | None = None
    timed_out: bool = False

    def remark(self, target: int) -> str:
        """Return the line for a user whose search stopped before its ``target``, or an empty text."""
        if self.signal:
            return f"{self.n_counted} of {counted(target, 'trial')}; the same command goes on\n"
        if self.timed_out:
            return f"search.timeout_s is over after {counted(self.n_counted, 'trial')}; the same command goes on\n"
        return ""


def work(study: Study, settings: SearchSettings, services: Services, n_complete: int = 1) -> SearchEnd:
    """Work on a study until its target is reached and no trial is under way, or until told to stop.

    A trial under way at a signal or at ``timeout_s`` is left for the next worker, with its last epoch's checkpoint.
    Call it in the main thread, where signals arrive. Where trials pause, ``n_complete`` of them go to their end.

    Raises
    ------
    StorageError
        If the study or a trial's folder cannot be written; the trial under way can be continued.
    """
    proposer = build_proposer(settings.sampler, study.plan.space, study.plan.metric)
    owner, steps = new_owner(), study.plan.rungs if settings.pruner == PROMOTE else ()
    ladder = Ladder(steps, study.plan.sign, n_complete, settings.target, settings.patience)
    with Interrupt(settings.timeout_s) as interrupt:
        worker = _Worker(study, settings, services, proposer, interrupt, ladder)
        while not interrupt.is_requested:
            got = study.ledger.claim(owner, settings.n_trials, proposer.limit, ladder)
            if isinstance(got, Claim):
                worker.run(got)
            elif got.n_running:
                interrupt.wait(POLL_S)
            else:
                break
        worker.clean_up()
        return SearchEnd(len(study.counted()), interrupt.signal, interrupt.signal is None and interrupt.is_requested)


def slot_of(number: int, trials: Sequence[FrozenTrial], n_epochs: int) -> Slot:
    """Return what the proposal for trial ``number`` looks at: the ``trials`` of its study, of ``n_epochs`` each."""
    # Slots that were enqueued take no turn: the published network and the spread points come all the same.
    n_before = sum(ENQUEUED in one.system_attrs and one.number < number for one in trials)
    others = (one for one in trials if one.params and one.number != number)
    return Slot(number - n_before, tuple(_past_of(one, n_epochs) for one in others))


def _past_of(trial: FrozenTrial, n_epochs: int) -> Past:
    is_complete, values = trial.state == TrialState.COMPLETE, trial.intermediate_values
    if is_complete and trial.value is not None:  # one that somebody added may have nothing else
        values = values or {n_epochs: trial.value}
    return Past(trial.number, trial.params, {} if trial.state == TrialState.FAIL else values, is_complete)


@dataclass(frozen=True)
class _TrialEnd:
    """How one trial ended."""

    status: Status
    value: float | None = None
    reason: str | None = None
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class _Worker:
    study: Study
    settings: SearchSettings
    services: Services
    proposer: Proposer
    interrupt: Interrupt
    ladder: Ladder

    def run(self, claim: Claim) -> None:
        """Bring a claimed trial to its end, or leave it for later."""
        with contextlib.suppress(LostClaimError), self.study.ledger.held(claim) as is_lost:
            params = self._params(claim)
            if params is not None:
                self._train(claim, params, is_lost)

    def clean_up(self) -> None:
        """Do what dead workers left undone: Optuna's view, and checkpoints of finished trials."""
        self.study.ledger.settle()
        for trial in filter(lambda trial: trial.state.is_finished(), self.study.trials()):
            with contextlib.suppress(OSError):  # another worker may be at it
                self._checkpoints(trial.number).clear()

    def _params(self, claim: Claim) -> Mapping[str, Any] | None:
        """Return the trial's parameters, drawn if it has none yet; None if the network would be too large."""
        space, ledger = self.study.plan.space, self.study.ledger
        trial = ledger.trial(claim)
        if trial.params:
            return trial.params
        params = self.proposer.propose(slot_of(claim.number, ledger.trials(), space.base.total_epochs))
        if fixed := trial.system_attrs.get(ENQUEUED):
            params = space.with_values(params, fixed)
        if (excess := space.excess(params)) > 0:
            ledger.refuse(claim, params, excess)
            return None
        ledger.propose(claim, params)
        return params

    def _train(self, claim: Claim, params: Mapping[str, Any], is_lost: Callable[[], bool]) -> None:
        study, ledger = self.study, self.study.ledger
        settings, folder = study.plan.trial_settings(params), study.trial_folder(claim.number)
        key = self.services.run_key(settings)
        log = self.services.open_trial(claim.number, settings, folder, lambda: ledger.claims.is_latest(claim))
        observer = Observer(study, self.settings.pruner, claim, settings, log, self.ladder.is_good, is_lost)
        try:
            with storage_errors(folder, f"{FOLDER_WANTED}; the same command goes on"):
                ending = self._attempt(claim, settings, key, observer)
                if observer.records:
                    TrainingFolder(folder).save_history(History(tuple(observer.records)))
        except LostClaimError:
            log.leave()
            raise
        if ending.status == "interrupted":
            log.close("interrupted", ending.reason, {})
            ledger.release(claim)
            return
        if ending.status == "paused":
            log.close("paused", ending.reason, {"run_key": key, **observer.looked()})
            ledger.pause(claim)
            return
        facts = {"run_key": key, "seed": settings.seed, **ending.facts}
        # The tracker first: a worker that dies between the two leaves a trial that is continued, and ends at once.
        value = {} if ending.value is None else {study.plan.metric: ending.value}
        log.close(ending.status, ending.reason, facts | value)
        ledger.tell(claim, STATES[ending.status], ending.value, {**facts, "reason": ending.reason})
        self._checkpoints(claim.number).clear()

    def _reusable(self, key: str) -> ReusableResult | None:
        """Return the result of an equal training, of this study first."""
        if not self.settings.reuse:
            return None
        trial = self.study.trained(key)
        if trial is None or trial.value is None:
            return self.services.find(key)
        facts = {name: trial.user_attrs[name] for name in FACTS}
        return ReusableResult(f"trial {trial.number}", trial.value, facts, trial.intermediate_values)

    def _attempt(self, claim: Claim, settings: TrainSettings, key: str, observer: Observer) -> _TrialEnd:
        if claim.is_surplus:
            return _TrialEnd("interrupted", reason="the target is reached without it")
        if claim.retries > self.settings.max_retries:
            return _TrialEnd("failed", reason=f"its worker died {claim.retries} times (out of memory?)")
        try:
            known = self._reusable(key)
            return self._trained(claim, settings, key, observer) if known is None else _reused(known, observer)
        except PausedError:
            return _TrialEnd("interrupted", reason="interrupted")
        except RungError as error:
            return _TrialEnd("paused", reason=str(error))
        except PrunedError as error:
            return _TrialEnd("pruned", value=observer.last, reason=str(error))
        except TimedOutError:
            return _TrialEnd("failed", reason=f"timed out after {self.settings.trial_timeout_s:g} s")
        except (LostClaimError, OSError):
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a worker outlives any training
            return _TrialEnd("failed", reason=f"{type(error).__name__}: {error}")

    def _trained(self, claim: Claim, settings: TrainSettings, key: str, observer: Observer) -> _TrialEnd:
        on_epoch, checkpoints = self.interrupt.held_back(observer), self._checkpoints(claim.number)
        is_early = FIRST_LOOK in self.ladder.rungs and observer.awaits_look
        look = first_look(settings.total_epochs) if is_early else None
        with self.interrupt.allowed(self.settings.trial_timeout_s):
            hooks = {"look": Look(look, self.interrupt.held_back(observer.look))} if look else {}
            result = self.services.train(settings, on_epoch=on_epoch, checkpoints=checkpoints, **hooks)
            self.study.scores.save(key, self.services.score(result.model))
        facts = (result.objective("validation/loss"), result.model.weights_hash, result.epoch_of_weights)
        value = result.objective(self.study.plan.metric)
        return _TrialEnd("complete", value, facts=dict(zip(FACTS, facts, strict=True)))

    def _checkpoints(self, number: int) -> CheckpointStore:
        return CheckpointStore(self.study.trial_folder(number) / "checkpoints")


def _reused(known: ReusableResult, observer: Observer) -> _TrialEnd:
    for epoch, value in sorted(known.values.items()):
        observer.report(epoch, value)
        observer.judge(epoch)
    return _TrialEnd("complete", known.value, facts={**known.facts, "reused_from": known.source})
