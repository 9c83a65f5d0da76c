"""The study's storage: each write is one transaction, and only these decide who may train what.

States of a trial::

    (none) --claim--> RUNNING, owned --tell--> COMPLETE | PRUNED | FAIL
                        |      ^
              interrupt |      | claim: adoption, same number, parameters and reported values
                        v      |
                     WAITING --+      RUNNING, its owner dead: adopted too, and that counts as a retry

Nothing in Optuna claims a trial atomically on SQLite, so a claim is a transaction that locks the database first.
"""

import contextlib
import functools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from mlpsweep.errors import StorageError
from mlpsweep.files import locked, storage_errors
from mlpsweep.sqlite import PATIENCE_S, PREFIX, check_sqlite

# A connection per transaction, and patience for other writers. The journal is SQLite's default, the rollback kind: its
# write-ahead log can corrupt a database in versions before 3.51.3.
ARGUMENTS: Final[Mapping[str, Any]] = {"poolclass": NullPool, "connect_args": {"timeout": PATIENCE_S}}
# Optuna reads constraints under this prefix. A trial that has it is over the bound: never trained nor counted.
EXCESS = "constraints:n_parameters"
# Where Optuna keeps what `study.enqueue_trial` was given.
ENQUEUED = "fixed_params"
# OWNER is cleared when a trial ends; WORKER remembers who ended it, for the timeline.
OWNER, RETRIES, WORKER = "owner", "retries", "worker"

database_errors = functools.partial(
    storage_errors,
    expected="a study database that can be read and written. "
    "Free space or restore the file, then start the same command again: it goes on where it was",
    # The last three are what Optuna says of values that it cannot have written.
    kinds=(SQLAlchemyError, StorageInternalError, ValueError, LookupError, TypeError),
)
"""Wraps each use of the database at an address, so that its exceptions become StorageError."""


@dataclass(frozen=True)
class Claim:
    """A trial that a worker owns.

    Parameters
    ----------
    trial_id, number : int
        Key of the trial in the database, and its number in the study.
    owner : str
        Name of the worker.
    retries : int
        How many workers died while they trained it.
    is_surplus : bool
        Whether the target is reached without it; the worker then leaves it as interrupted and trains nothing.
    """

    trial_id: int
    number: int
    owner: str
    retries: int = 0
    is_surplus: bool = False


@dataclass(frozen=True)
class Standing:
    """How many trials of a study count, and how many are in the hands of living workers."""

    n_counted: int
    n_running: int


class LostClaimError(Exception):
    """Another worker owns the trial now; this one's result is dropped."""


def database(url: str) -> Path:
    """Return the file of a storage."""
    return Path(url.removeprefix(PREFIX))


def open_storage(url: str, lock: Path) -> RDBStorage:
    """Return the storage at ``url``, its tables made if need be; one process at a time, held by ``lock``.

    Raises
    ------
    StorageError
        If the database cannot be opened, is damaged, or is of another version. Its file is left as it is.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    database(url).parent.mkdir(parents=True, exist_ok=True)
    try:
        with locked(lock), database_errors(url):
            check_sqlite(url)
            return RDBStorage(url, engine_kwargs=dict(ARGUMENTS))
    except RuntimeError as error:
        raise StorageError(
            f"{url}: made by another Optuna ({error}). Move the file away, or use that version"
        ) from error


class Ledger:
    """One study in a storage.

    Parameters
    ----------
    storage : RDBStorage
        From :func:`open_storage`.
    name : str
        Name of a study that exists.
    """

    def __init__(self, storage: RDBStorage, name: str) -> None:
        self.storage, self.name = storage, name
        self.study_id = storage.get_study_id_from_name(name)
        self._cached = optuna.storages.get_storage(storage)

    def study(self, sampler: optuna.samplers.BaseSampler | None = None) -> optuna.Study:
        """Return Optuna's view of the study; a new one has not yet cached any trial."""
        with database_errors(self.storage.url):
            return optuna.load_study(study_name=self.name, storage=self._cached, sampler=sampler)

    def trials(self) -> list[FrozenTrial]:
        """Return all trials by number."""
        with database_errors(self.storage.url):
            return self._cached.get_all_trials(self.study_id, deepcopy=False)

    def trial(self, claim: Claim) -> FrozenTrial:
        """Return a claimed trial as it is stored."""
        with database_errors(self.storage.url):
            return self.storage.get_trial(claim.trial_id)

    def claim(
        self, owner: str, target: int, limit: int | None, is_alive: Callable[[str | None], bool]
    ) -> Claim | Standing:
        """Return a trial that ``owner`` has from now on: an orphan, else a new one; the standing if there is none.

        Parameters
        ----------
        owner : str
            Name of the worker; it holds its lock.
        target : int
            Number of trials that shall count in the end.
        limit : int or None
            Number of trials that the sampler can propose in all; None if there is no end.
        is_alive : callable
            Returns whether an owner still lives.
        """
        with self._transaction() as session:
            query = select(models.TrialModel).filter_by(study_id=self.study_id).order_by(models.TrialModel.number)
            trials = list(session.scalars(query))
            unfinished = [(trial, _notes(trial)) for trial in trials if not trial.state.is_finished()]
            orphans = [(trial, notes) for trial, notes in unfinished if not is_alive(notes.get(OWNER))]
            n_running = len(unfinished) - len(orphans)
            excess = session.scalars(select(models.TrialSystemAttributeModel.trial_id).filter_by(key=EXCESS))
            n_counted = len(trials) - len(unfinished) - len({trial.trial_id for trial in trials} & set(excess))
            is_reached = n_counted + n_running >= target
            for trial, notes in orphans:
                if not is_reached or trial.state == TrialState.RUNNING:
                    return self._adopt(session, trial, owner, notes.get(RETRIES, 0), is_reached)
            if is_reached or (limit is not None and len(trials) >= limit):
                return Standing(n_counted, n_running)
            new: Any = self.storage._get_prepared_new_trial(self.study_id, None, session)
            self._note(session, new.trial_id, {OWNER: owner})
            return Claim(new.trial_id, new.number, owner)

    def deserted(self, is_alive: Callable[[str | None], bool]) -> list[int]:
        """Return the numbers of trials that are RUNNING and whose owner does not live."""
        running = (trial for trial in self.trials() if trial.state == TrialState.RUNNING)
        return [trial.number for trial in running if not is_alive(trial.user_attrs.get(OWNER))]

    def leave(self, is_alive: Callable[[str | None], bool]) -> None:
        """Leave deserted trials WAITING for the next worker; each has then lost one more worker."""
        with self._transaction() as session:
            query = select(models.TrialModel).filter_by(study_id=self.study_id, state=TrialState.RUNNING)
            trials: list[Any] = list(session.scalars(query))
            for trial in trials:
                notes = _notes(trial)
                if not is_alive(notes.get(OWNER)):
                    trial.state = TrialState.WAITING
                    self._note(session, trial.trial_id, {OWNER: None, RETRIES: notes.get(RETRIES, 0) + 1})

    def _adopt(self, session: Session, trial: Any, owner: str, retries: int, is_surplus: bool) -> Claim:
        # A trial that was interrupted lies WAITING; one that is still RUNNING lost its worker.
        retries += trial.state == TrialState.RUNNING
        trial.state = TrialState.RUNNING
        self._note(session, trial.trial_id, {OWNER: owner, RETRIES: retries})
        return Claim(trial.trial_id, trial.number, owner, retries, is_surplus)

    def propose(self, claim: Claim, params: Mapping[str, Any], kinds: Mapping[str, BaseDistribution]) -> None:
        """Store a trial's parameters, all or none."""
        with self._owned(claim) as (session, _):
            self._set_params(session, claim, params, kinds)

    def refuse(
        self, claim: Claim, params: Mapping[str, Any], kinds: Mapping[str, BaseDistribution], excess: float
    ) -> None:
        """Store parameters that break the bound, and how far they break it, and end the trial."""
        with self._owned(claim) as (session, trial):
            self._set_params(session, claim, params, kinds)
            attributes = models.TrialSystemAttributeModel
            self.storage._set_trial_attr_without_commit(session, attributes, claim.trial_id, EXCESS, excess)
            self._finish(session, trial, TrialState.PRUNED, None)

    def report(self, claim: Claim, epoch: int, value: float) -> None:
        """Store the objective after an epoch; the same report twice is one."""
        with self._owned(claim) as (session, _):
            self.storage._set_trial_intermediate_value_without_commit(session, claim.trial_id, epoch, value)

    def values_at(self, epoch: int) -> dict[int, float]:
        """Return, by trial number, what every trial that reached ``epoch`` reported there."""
        report, trial = models.TrialIntermediateValueModel, models.TrialModel
        query = select(trial.number, report.intermediate_value).join(trial)
        query = query.filter(trial.study_id == self.study_id, report.step == epoch)
        with database_errors(self.storage.url), Session(self.storage.engine) as session:
            return {number: value for number, value in session.execute(query) if value is not None}

    def tell(self, claim: Claim, state: TrialState, value: float | None, notes: Mapping[str, Any]) -> None:
        """End a trial."""
        with self._owned(claim) as (session, trial):
            known = {name: note for name, note in notes.items() if note is not None}
            self._note(session, claim.trial_id, {WORKER: claim.owner, **known})
            self._finish(session, trial, state, value)

    def release(self, claim: Claim) -> None:
        """Leave a trial to whoever comes next; it does not count until it is ended."""
        with self._owned(claim) as (session, trial):
            self._note(session, claim.trial_id, {OWNER: None})
            trial.state = TrialState.WAITING

    def _set_params(
        self, session: Session, claim: Claim, params: Mapping[str, Any], kinds: Mapping[str, BaseDistribution]
    ) -> None:
        for name, value in params.items():
            number = kinds[name].to_internal_repr(value)
            self.storage._set_trial_param_without_commit(session, claim.trial_id, name, number, kinds[name])

    def _finish(self, session: Session, trial: Any, state: TrialState, value: float | None) -> None:
        if value is not None:
            self.storage._set_trial_value_without_commit(session, trial, 0, value)
        self._note(session, trial.trial_id, {OWNER: None})
        trial.state, trial.datetime_complete = state, datetime.now()

    def _note(self, session: Session, trial_id: int, notes: Mapping[str, Any]) -> None:
        for name, value in notes.items():
            self.storage._set_trial_attr_without_commit(session, models.TrialUserAttributeModel, trial_id, name, value)

    @contextlib.contextmanager
    def _owned(self, claim: Claim) -> Iterator[tuple[Session, Any]]:
        with self._transaction() as session:
            trial = session.get_one(models.TrialModel, claim.trial_id)
            if _notes(trial).get(OWNER) != claim.owner:
                raise LostClaimError(f"trial {claim.number}")
            yield session, trial

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Session]:
        with database_errors(self.storage.url), Session(self.storage.engine, expire_on_commit=False) as session:
            # The first statement takes the write lock: what is read after it stays true until the commit.
            session.connection().exec_driver_sql("BEGIN IMMEDIATE")
            yield session
            session.commit()


def _notes(trial: Any) -> dict[str, Any]:
    return {row.key: json.loads(row.value_json) for row in trial.user_attributes}
