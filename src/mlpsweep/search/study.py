"""The study: what identifies it, where it lies, and how it is opened; claims and reports are in the ledger."""

import dataclasses
import hashlib
import json
import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from mlpsweep.config import flat
from mlpsweep.data.manifest import Manifest
from mlpsweep.errors import SettingsError, StorageError
from mlpsweep.metric import metric_named
from mlpsweep.search import database as databases
from mlpsweep.search.database import STORE, Database, address, database_errors, open_database
from mlpsweep.search.dimensions import Leaf, span
from mlpsweep.search.enqueue import enqueue, read_wanted
from mlpsweep.search.leases import STINTS
from mlpsweep.search.ledger import Ledger
from mlpsweep.search.proposals import build_proposer, derive_seed
from mlpsweep.search.rungs import rungs_of
from mlpsweep.search.scores import ScoreStore
from mlpsweep.search.settings import SearchSettings, SpaceSettings
from mlpsweep.search.space import Space
from mlpsweep.search.view import ENQUEUED, EXCESS, WORKER, introduce, is_paused
from mlpsweep.settings import TrainSettings
from mlpsweep.tables import counted
from mlpsweep.training.identity import identity_of, numeric_sources_digest

IDENTITY, UID = "identity", "uid"
FACTS: Final = MappingProxyType({"validation/loss": float | int, "weights_hash": str, "run_key": str, "seed": int})
"""What is known of each complete trial, and its type."""
UNSEEDED: Final = ("seed", "averaging")
"""Settings that a trial's seed does not depend on: what is only measured leaves the weights as they are."""


@dataclass(frozen=True)
class Plan:
    """All that defines a study; another plan is another study.

    Parameters
    ----------
    data : str
        Name of the data set, as the manifest has it.
    data_digest : str
        SHA-256 of the prepared data.
    sources_digest : str
        SHA-256 of the numeric sources.
    space : Space
        The searched settings, and the values of all others.
    metric : str
        Metric to optimise, one of ``METRICS``.
    n_updates : int
        Updates of an epoch with the largest batches of the space; 0 if unknown. It follows from the others.
    """

    data: str
    data_digest: str
    sources_digest: str
    space: Space
    metric: str
    n_updates: int = 0

    @classmethod
    def build(cls, space: SpaceSettings, base: TrainSettings, metric: str, manifest: Manifest) -> "Plan":
        """Return the plan of a search in ``space`` on prepared data.

        Raises
        ------
        SettingsError
            As :meth:`Space.build`.
        """
        built = Space.build(space, base, manifest.n_features, manifest.n_classes)
        n_rows = base.data.n_train or manifest.counts["train"] - base.data.n_validation
        n_updates = n_rows // built.largest_batch()
        return cls(manifest.dataset, manifest.digest, numeric_sources_digest(), built, metric, n_updates)

    def identity(self) -> dict[str, Any]:
        """Return the plan as plain values, flat, so that two can be compared key by key."""
        own, decided = identity_of(self.space.base), self.space.decides
        fixed = flat({name: value for name, value in own.items() if name not in decided})
        described = self.space.describe()
        leaves = {f"space.{name}": leaf for name, leaf in described["leaves"].items()}
        leaves["space.max_parameters"] = described["max_parameters"]
        digests = {"data": self.data_digest, "numeric sources": self.sources_digest}
        return dict(json.loads(json.dumps({**digests, "metric": self.metric, **fixed, **leaves})))

    @property
    def name(self) -> str:
        """The study's name: the data set, and eight digits of the identity."""
        text = json.dumps(self.identity(), sort_keys=True)
        return f"{self.data}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def description(self) -> str:
        """Return in Markdown what is searched, for Optuna's dashboard."""
        leaves = "\n".join(f"- `{name}`: {span(leaf)}" for name, leaf in self.space.leaves().items())
        budget = counted(self.space.base.total_epochs, "epoch")
        return f"{self.metric} of {self.data} after {budget}, over\n\n{leaves}"

    @property
    def rungs(self) -> tuple[int, ...]:
        """Where trials pause. Without averaged weights a trial tells too little before some epochs are over."""
        base = self.space.base
        return rungs_of(base.total_epochs, 0 if base.averaging is None else self.n_updates)

    @property
    def sign(self) -> float:
        """1 if the metric is to be high, -1 if low."""
        return metric_named(self.metric).sign

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Optuna's word for the metric's direction: ``maximize`` or ``minimize``."""
        return "maximize" if metric_named(self.metric).maximize else "minimize"

    def trial_settings(self, params: Mapping[str, Any]) -> TrainSettings:
        """Return the settings a trial trains with; equal parameters give an equal seed, and so equal weights."""
        settings = self.space.settings(params)
        identity = {name: value for name, value in identity_of(settings).items() if name not in UNSEEDED}
        return dataclasses.replace(settings, seed=derive_seed(settings.seed, identity))


@dataclass(frozen=True)
class Study:
    """An open study.

    Parameters
    ----------
    plan : Plan
        What defines it.
    ledger : Ledger
        Where its trials are kept.
    folder : Path
        Folder with the trials' folders: checkpoints of this host, or of all hosts that share it.
    uid : str
        Random: another study of the same name has another. Empty for studies of earlier times.
    sound : dict of int to FrozenTrial
        What was found to be what a search writes, so that it need not be looked at again.
    """

    plan: Plan
    ledger: Ledger
    folder: Path
    uid: str = ""
    sound: dict[int, FrozenTrial] = dataclasses.field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The study's name."""
        return self.ledger.name

    @property
    def scores(self) -> ScoreStore:
        """What each training scores on each validation row."""
        return ScoreStore(self.ledger.database, self.ledger.key)

    def trial_folder(self, number: int) -> Path:
        """Return the folder of a trial."""
        return self.folder / "trials" / f"{number:04d}"

    def trials(self) -> list[FrozenTrial]:
        """Return every trial that was or will be trained, by number.

        Raises
        ------
        StorageError
            If a trial holds what no search has written.
        """
        trials = [trial for trial in self.ledger.trials() if EXCESS not in trial.system_attrs]
        leaves = self.plan.space.leaves()
        for trial in (one for one in trials if self.sound.get(one.number) is not one):
            if fault := next(_faults(trial, leaves, self.plan.space), None):
                raise StorageError(
                    f"{self.ledger.database.url}: trial {trial.number} of {self.name} {fault}; expected what a search "
                    "wrote. Put a backup of the file in its place, or take another search.study"
                )
            self.sound[trial.number] = trial
        return trials

    def counted(self, trials: Sequence[FrozenTrial] | None = None) -> list[FrozenTrial]:
        """Return the trials, read before or now, that count towards the target: those that ended or paused."""
        return [one for one in trials or self.trials() if one.state.is_finished() or is_paused(one)]

    def trained(self, run_key: str) -> FrozenTrial | None:
        """Return the first trial that was trained to its end under ``run_key``."""
        return next(iter(self.ledger.complete_with("run_key", run_key)), None)

    def complete(self, trials: Sequence[FrozenTrial] | None = None) -> list[FrozenTrial]:
        """Return the trials, read before or now, that were trained to their end: best, least loss, first number."""

        def rank(trial: FrozenTrial) -> tuple[float, float, int]:
            assert trial.value is not None
            # A trial that somebody added has no loss: the last of its equals.
            return -self.plan.sign * trial.value, trial.user_attrs.get("validation/loss", math.inf), trial.number

        return sorted((one for one in trials or self.trials() if one.state == TrialState.COMPLETE), key=rank)


def n_counted(plan: Plan, settings: SearchSettings, root: Path) -> int:
    """Return how many trials of the study count already, 0 if there is none; none is made. Raises as `open_study`."""
    url = address(settings.storage, root)
    if not databases.may_hold_studies(url):
        return 0
    database = open_database(url, root / STORE / ".lock", settings.lease_s)
    names = database.patiently(lambda: optuna.get_all_study_names(database.storage))
    settings = dataclasses.replace(settings, enqueue=())
    return len(open_study(plan, settings, root).counted()) if (settings.study or plan.name) in names else 0


def open_study(plan: Plan, settings: SearchSettings, root: Path) -> Study:
    """Return the study of ``plan``, new or joined.

    Parameters
    ----------
    plan : Plan
        What shall be searched.
    settings : SearchSettings
        Name and storage, where they are not the default.
    root : Path
        Folder of the project's main work tree; the store is ``mlruns/`` in it.

    Raises
    ------
    SettingsError
        If a study of this name searches something else, with the difference; if the sampler cannot sample the space,
        or the space does not hold what shall be enqueued.
    StorageError
        If the database cannot be used, or holds what no search has written.
    """
    build_proposer(settings.sampler, plan.space, plan.metric)
    wanted = read_wanted(plan.space, settings.enqueue)
    url, name, lock = address(settings.storage, root), settings.study or plan.name, root / STORE / ".lock"
    database = open_database(url, lock, settings.lease_s)
    with database_errors(url), database.alone():
        known, uid = _joined(database, name, plan)
    if not isinstance(known, dict | None):
        raise StorageError(
            f"{url}: the {IDENTITY} of study {name} is {known!r}; expected a mapping. "
            "Put a backup of the file in its place, or take another search.study"
        )
    if known is not None and (difference := list(_difference(known, plan.identity()))):
        raise SettingsError(
            f"search.study: {name!r} searches something else: {'; '.join(difference)}. "
            "Take another name, or search.study=null for one made of what is searched"
        )
    ledger = Ledger(database, name, uid, settings.lease_s, plan.space.distributions())
    ledger.make_gates()
    study = Study(plan, ledger, databases.studies_folder(url, root, settings.folder) / name, uid)
    study.trials()
    with database.alone():
        enqueue(database, name, wanted)
    return study


def _joined(database: Database, name: str, plan: Plan) -> tuple[Any, str]:
    """Return the identity that a study has, None if it is made now, and its random id."""

    def joined() -> tuple[Any, str]:
        opened = optuna.create_study(
            study_name=name, storage=database.storage, direction=plan.direction, load_if_exists=True
        )
        known = opened.user_attrs.get(IDENTITY)
        if known is None:
            opened.set_user_attr(UID, uuid.uuid4().hex)
            opened.set_user_attr(IDENTITY, plan.identity())
            introduce(database.storage, opened, plan.metric, plan.description())
        return known, str(opened.user_attrs.get(UID, ""))

    return database.patiently(joined)


def _faults(trial: FrozenTrial, leaves: Mapping[str, Leaf], space: Space) -> Iterator[str]:
    """Yield what is strange about a trial: values outside the space or missing, facts missing or of another type."""
    if not isinstance(trial.number, int):  # SQLite keeps any type in any column
        yield "has a number that is none of a trial"
    for name, value in [*trial.params.items(), *trial.system_attrs.get(ENQUEUED, {}).items()]:
        if name not in leaves or not leaves[name].contains(value):
            yield f"has {name} = {value!r}"
            return
    if trial.params and (lost := space.lacking(trial.params)):
        yield f"has no {lost}"
    if not _are_stints(stints := trial.user_attrs.get(STINTS, [])):
        yield f"has {STINTS} = {stints!r}"
    if trial.state != TrialState.COMPLETE:
        return
    if not all(map(math.isfinite, trial.values or [math.nan])):
        yield "is complete without a finite value"
    told = trial.user_attrs
    is_ours = bool({WORKER, STINTS} & told.keys())  # it has all the facts
    wrong = [name for name, kind in FACTS.items() if is_ours and not isinstance(told.get(name), kind)]
    yield from (f"has {name} = {told.get(name)!r}" for name in wrong)


def _are_stints(stints: Any) -> bool:
    def is_one(stint: Any) -> bool:
        is_whole = isinstance(stint, list) and len(stint) == 3 and isinstance(stint[0], str)
        return is_whole and all(isinstance(at, int | float) and math.isfinite(at) for at in stint[1:])

    return isinstance(stints, list) and all(map(is_one, stints))


def _difference(known: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(known.keys() | wanted.keys()):
        there, here = known.get(key, "absent"), wanted.get(key, "absent")
        if there != here:
            yield f"{key} is {there} there and {here} here"
