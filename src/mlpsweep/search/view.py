"""A study as Optuna and its dashboard see it: told of each slot after its row, through public calls only."""

import contextlib
import math
import warnings
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from mlpsweep.search.database import Database
from mlpsweep.search.leases import COMPLETE, ENDED, FAILED, PAUSED, PRUNED, REFUSED, RUNNING, WAITING, Row
from mlpsweep.search.rungs import where

# Optuna reads constraints under this prefix. A trial that has it is over the bound: never trained nor counted.
EXCESS: Final = "constraints:n_parameters"
# Where Optuna keeps what `study.enqueue_trial` was given.
ENQUEUED: Final = "fixed_params"
# RETRIES counts dead workers; WORKER remembers who ended a trial of earlier times; STRAY marks a trial of no slot.
SLOT, RETRIES, WORKER, STRAY = "slot", "retries", "worker", "stray"
SHOWN: Final = frozenset({SLOT, RETRIES, "validation/loss", "reason", "reused_from"})
"""What the dashboard tells of a trial, a transaction each; the other facts are in its row."""
NOTE, NOTE_VERSION = "dashboard:note_str:0", "dashboard:note_ver"
"""Where optuna-dashboard, which need not be installed, looks for a study's description; a test asks it."""
FEW: Final = 10
"""Trials that are read one by one; of more, all are read at once."""
MAX_NOTE: Final = 2045
"""Characters that it keeps under one key."""
TRIAL_STATE: Final = "trial_state"
"""Tells a trial that paused from one that was interrupted: both are WAITING to Optuna."""
FORMER_OWNER: Final = "owner"
"""Attribute that a trial at work had before there were leases."""
STATES: Final[Mapping[str, TrialState]] = {
    RUNNING: TrialState.RUNNING,
    WAITING: TrialState.WAITING,
    PAUSED: TrialState.WAITING,  # public and reversible: what is PRUNED can never be written again
    COMPLETE: TrialState.COMPLETE,
    PRUNED: TrialState.PRUNED,
    FAILED: TrialState.FAIL,
    REFUSED: TrialState.PRUNED,
}


class View:
    """One study in Optuna's tables.

    Parameters
    ----------
    database : Database
        Open.
    name : str
        The study's name.
    kinds : mapping
        Distribution of each parameter.
    """

    def __init__(self, database: Database, name: str, kinds: Mapping[str, BaseDistribution]) -> None:
        self.database, self.kinds = database, kinds
        self.study_id = database.patiently(lambda: database.storage.get_study_id_from_name(name))
        self._cached = optuna.storages.get_storage(database.storage)
        self._ids: dict[int, int] = {}

    def trials(self) -> list[FrozenTrial]:
        """Return what Optuna holds; ended trials are read once."""
        return self.database.patiently(lambda: list(self._cached.get_all_trials(self.study_id, deepcopy=False)))

    def unknown(self, first: int, known: Set[int]) -> list[int]:
        """Return the numbers from ``first`` on that are there and not ``known``; of many, not all."""
        last, new, number = max(known, default=-1), list[int](), first
        while len(new) <= FEW and (number <= last or self._is_there(number)):  # numbers have no gaps
            if number not in known:
                new.append(number)
            number += 1
        return new

    def slots(self, numbers: Sequence[int]) -> dict[int, Any]:
        """Return which slot each of some trials was made for, None if for none."""
        storage, ids = self.database.storage, {number: self._id(number) for number in numbers}
        read = storage.get_trial_user_attrs  # a statement; the whole trial takes seven
        return self.database.patiently(lambda: {number: read(one).get(SLOT) for number, one in ids.items()})

    def frozen(self, row: Row, reports: Mapping[int, float]) -> FrozenTrial:
        """Return a slot as a trial, whose number is the slot."""
        began, ended = (None if at is None else datetime.fromtimestamp(at) for at in (row.began, row.ended))
        params, system = dict(row.params or {}), {EXCESS, ENQUEUED} & row.notes.keys()
        told: dict[str, Any] = {RETRIES: row.retries} if row.retries else {}
        if row.state == PAUSED:
            told |= {TRIAL_STATE: PAUSED, "reason": f"paused {where(row.rung or 0)}"}
        return FrozenTrial(
            number=row.slot,
            trial_id=row.slot,
            state=STATES[row.state],
            value=row.value,
            datetime_start=began,
            datetime_complete=ended if row.state in ENDED else None,
            params=params,
            distributions={name: self.kinds[name] for name in params if name in self.kinds},
            user_attrs={name: note for name, note in row.notes.items() if name not in system} | told,
            system_attrs={name: row.notes[name] for name in system},
            intermediate_values=dict(reports),
        )

    def can_tell(self, row: Row) -> bool:
        """Return whether a slot can be told: who knows no distributions leaves that to the next search."""
        return (row.params or {}).keys() <= self.kinds.keys()

    def add(self, row: Row, reports: Mapping[int, float]) -> int:
        """Make a trial of a slot, in one transaction, and return its number in Optuna.

        One that has ended is at work there until it is bound: of two that show a slot, one is set aside.
        """
        row = replace(row, state=RUNNING, value=None) if row.state in ENDED else row
        storage, template = self.database.storage, self.frozen(row, reports)
        template.user_attrs = {**_shown(template), SLOT: row.slot}

        def added() -> int:
            trial_id = storage.create_new_trial(self.study_id, template)
            number = storage.get_trial_number_from_id(trial_id)
            self._ids[number] = trial_id
            return number

        return self.database.patiently(added)

    def report(self, number: int, epoch: int, value: float) -> None:
        """Add a value."""
        trial_id, storage = self._id(number), self.database.storage
        with contextlib.suppress(UpdateFinishedTrialError):
            self.database.patiently(lambda: storage.set_trial_intermediate_value(trial_id, epoch, value))

    def bring_up(self, row: Row, reports: Mapping[int, float]) -> None:
        """Tell whatever Optuna lacks of a slot that it shows; what has ended there stays as it is."""
        assert row.shown is not None
        wanted, trial_id, storage = self.frozen(row, reports), self._id(row.shown), self.database.storage

        def told() -> None:
            there = storage.get_trial(trial_id)
            for name, value in wanted.params.items():
                if name not in there.params and name in self.kinds:
                    kind = self.kinds[name]
                    storage.set_trial_param(trial_id, name, kind.to_internal_repr(value), kind)
            for epoch, value in wanted.intermediate_values.items():
                if epoch not in there.intermediate_values:
                    storage.set_trial_intermediate_value(trial_id, epoch, value)
            for name, note in {**_shown(wanted), SLOT: row.slot}.items():
                if row.state != PAUSED and there.user_attrs.get(name) != note:
                    storage.set_trial_user_attr(trial_id, name, note)
            for name in wanted.system_attrs.keys() - there.system_attrs.keys():
                storage.set_trial_system_attr(trial_id, name, wanted.system_attrs[name])
            if there.state != wanted.state:
                storage.set_trial_state_values(trial_id, wanted.state, wanted.values)

        with contextlib.suppress(UpdateFinishedTrialError):
            self.database.patiently(told)

    def set_aside(self, number: int) -> None:
        """End a trial that shows no slot: its worker lost the slot before the trial was bound to it."""
        trial_id, storage = self._id(number), self.database.storage
        with contextlib.suppress(UpdateFinishedTrialError):
            self.database.patiently(lambda: storage.set_trial_user_attr(trial_id, STRAY, True))
            self.database.patiently(lambda: storage.set_trial_state_values(trial_id, TrialState.PRUNED))

    def _is_there(self, number: int) -> bool:
        find = self.database.storage.get_trial_id_from_study_id_trial_number

        def found() -> int | None:
            with contextlib.suppress(KeyError):
                return find(self.study_id, number)
            return None

        trial_id = self.database.patiently(found)
        if trial_id is not None:
            self._ids[number] = trial_id
        return trial_id is not None

    def _id(self, number: int) -> int:
        if number not in self._ids:
            find = self.database.storage.get_trial_id_from_study_id_trial_number
            self._ids[number] = self.database.patiently(lambda: find(self.study_id, number))
        return self._ids[number]


def _shown(trial: FrozenTrial) -> dict[str, Any]:
    return {name: note for name, note in trial.user_attrs.items() if name in SHOWN}


def introduce(storage: RDBStorage, study: optuna.Study, metric: str, description: str) -> None:
    """Name the metric of a new study, and describe it in Markdown; a person may write another description."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names([metric])
    study_id = storage.get_study_id_from_name(study.study_name)
    storage.set_study_system_attr(study_id, NOTE, description[:MAX_NOTE])
    storage.set_study_system_attr(study_id, NOTE_VERSION, 1)


def _row_of(trial: FrozenTrial, slot: int) -> Row | None:
    """Return the row of a trial that has none: of an earlier version, or one that somebody enqueued or added.

    One that is somebody's at work has none yet.
    """
    attrs, fixed = dict(trial.user_attrs), trial.system_attrs.get(ENQUEUED)
    if trial.state == TrialState.RUNNING and FORMER_OWNER not in attrs:
        return None
    for name in (FORMER_OWNER, SLOT):
        attrs.pop(name, None)
    row = Row(
        slot=int(trial.user_attrs.get(SLOT, slot)),
        state=next((word for word in ENDED if STATES[word] == trial.state), WAITING),
        retries=int(attrs.pop(RETRIES, 0)) + (trial.state == TrialState.RUNNING),
        shown=trial.number,
        params=dict(trial.params) or None,
        value=trial.values[0] if trial.values else None,
        notes=attrs,
        began=_seconds(trial.datetime_start),
        ended=_seconds(trial.datetime_complete),
    )
    if EXCESS in trial.system_attrs:
        return replace(row, state=REFUSED, notes={**attrs, EXCESS: trial.system_attrs[EXCESS]})
    if row.state == WAITING and fixed is not None:
        # What a worker has written of the others' proposal before it died is kept, too.
        return replace(row, params=None, notes={**attrs, ENQUEUED: {**fixed, **trial.params}})
    return row


def rows_of(
    foreign: list[FrozenTrial], slots: set[int], shown: set[Any]
) -> tuple[list[Row], dict[int, dict[int, float]]]:
    """Return the rows of trials that have none, after those that there are, and what the trials reported."""
    rows: dict[int, Row] = {}
    reports: dict[int, dict[int, float]] = {}
    free = max(slots, default=-1) + 1
    for trial in foreign:
        # A trial of a slot that has a row waits to be bound, or lost its slot; in a copied study it has none.
        row = None if trial.number in shown or trial.user_attrs.get(SLOT) in slots else _row_of(trial, free)
        if row is not None and row.slot not in rows:
            rows[row.slot], reports[row.slot] = row, _reports_of(trial)
            free = max(free, row.slot + 1)
    return list(rows.values()), reports


def is_paused(trial: FrozenTrial) -> bool:
    """Return whether a trial waits at a rung."""
    return trial.user_attrs.get(TRIAL_STATE) == PAUSED


def _reports_of(trial: FrozenTrial) -> dict[int, float]:
    """Return the finite values that a trial reported."""
    return {epoch: value for epoch, value in trial.intermediate_values.items() if math.isfinite(value)}


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()
