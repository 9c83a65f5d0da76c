"""A search without networks: plans, a training that is a formula with real checkpoints, and a tracker in a dictionary.

The formula makes a study of a dozen trials take half a second, so that it can be killed at every point in turn.
"""

import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import yaml

from mlpsweep.errors import DivergenceError
from mlpsweep.files import read_json, write_json
from mlpsweep.search.ledger import Ledger
from mlpsweep.search.ownership import new_owner
from mlpsweep.search.rungs import FIRST_LOOK
from mlpsweep.search.services import Services
from mlpsweep.search.settings import SearchSettings, SpaceSettings
from mlpsweep.search.space import Space
from mlpsweep.search.study import Plan, Study, open_study
from mlpsweep.settings import TrainSettings
from mlpsweep.training.checkpoint import Checkpoint
from mlpsweep.training.history import EpochRecord, History

CONF = Path(__file__).parents[1] / "conf"
N_FEATURES, N_CLASSES, N_ROWS = 64, 10, 200
SEARCH: dict[str, Any] = {
    "study": None,
    "storage": None,
    "metric": "validation/accuracy",
    "n_trials": 12,
    "n_workers": 1,
    "sampler": "tpe",
    "pruner": "none",
    "trial_timeout_s": None,
    "timeout_s": None,
    "max_retries": 3,
    "lease_s": 60.0,
    "reuse": True,
    "dry_run": False,
}
# A database with all tables and no study, where a test would only wait for it to be made.
TABLES: bytes | None = None
# The committed space is tuned now and then; this one stays.
CARD: dict[str, Any] = {
    "dimensions": {
        "activation": {"type": "categorical", "choices": ["sigmoid", "tanh", "relu"]},
        "l2_lambda": {"type": "float", "low": 0.0, "high": 0.1},
        "learning_rate": {"type": "float", "low": 0.003, "high": 0.3, "log": True},
        "hidden_sizes": {
            "type": "widths",
            "depth": {"low": 1, "high": 3},
            "width": {"low": 32, "high": 512, "log": True},
        },
    },
    "max_parameters": None,
}
BASELINE = {"activation": "sigmoid", "hidden_sizes": [500, 250, 100], "learning_rate": 0.01, "l2_lambda": 0.0}


def search_settings(**changes: Any) -> SearchSettings:
    return SearchSettings.build({**SEARCH, **changes})


def base_settings(**changes: Any) -> TrainSettings:
    """conf/train.yaml on the digits, with a few epochs."""
    known = {field.name for field in dataclasses.fields(TrainSettings)}
    values = {name: value for name, value in yaml.safe_load((CONF / "train.yaml").read_text()).items() if name in known}
    data = yaml.safe_load((CONF / "data/digits.yaml").read_text())
    groups = {"data": data, "optimizer": {"name": "sgd"}, "schedule": {"name": "constant"}, "augment": {"name": "none"}}
    return TrainSettings.build({**values, **groups, **BASELINE, "n_epochs": 3, **changes})


def make_space(settings: dict[str, Any] | None = None, **base: Any) -> Space:
    return Space.build(SpaceSettings.build(settings or CARD), base_settings(**base), N_FEATURES, N_CLASSES)


def make_plan(
    settings: dict[str, Any] | None = None, metric: str = "validation/accuracy", *, n_updates: int = 0, **base: Any
) -> Plan:
    return Plan("digits", "d" * 64, "s" * 64, make_space(settings, **base), metric, n_updates)


def new_study(root: Path, plan: Plan | None = None, **search: Any) -> Study:
    file = root / "mlruns/optuna.db"
    if TABLES is not None and not search.get("storage") and not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(TABLES)
    return open_study(plan or make_plan(), search_settings(**search), root)


def an_owner(name: str, *, lives: bool = True) -> str:
    """A worker of this process, or one whose process is no more."""
    _, *machine, number, birth = new_owner().split(" ")
    return " ".join((name, *machine, number, birth if lives else "0"))


def rob(ledger: Ledger, slot: int, owner: str | None = None) -> None:
    """Take a slot from a worker that lives, as others do when its lease is over; the thief is dead by then."""
    thief = owner or an_owner("thief", lives=False)
    ledger.claims.run(lambda leases: leases.change(slot, owner=thief, token=leases.pass_gate()))


def fake_run_key(settings: TrainSettings) -> str:
    return hashlib.sha256(repr(settings).encode()).hexdigest()


def accuracy(settings: TrainSettings, epoch: int) -> float:
    """A learning curve: how high depends on the settings, how noisy on the seed."""
    distance = (
        abs(math.log10(settings.learning_rate / 0.1)) + 10 * settings.l2_lambda + 0.2 * len(settings.hidden_sizes)
    )
    noise = np.random.default_rng([settings.seed, epoch]).normal(scale=0.01)
    return float(np.clip(0.95 - 0.2 * distance - 0.5 * math.exp(-epoch) + noise, 0.0, 1.0))


def make_record(settings: TrainSettings, epoch: int) -> EpochRecord:
    value = accuracy(settings, epoch)
    return EpochRecord(
        epoch=epoch,
        update=epoch * 10,
        learning_rate=settings.learning_rate,
        train_loss=1 - value,
        train_penalty=0.0,
        train_accuracy=value,
        validation_loss=1.1 - value,
        validation_accuracy=value,
    )


def make_result(settings: TrainSettings, records: list[EpochRecord]) -> Any:
    digest = hashlib.sha256(json.dumps([record.to_dict() for record in records]).encode()).hexdigest()
    return SimpleNamespace(
        history=History(tuple(records)),
        epoch_of_weights=len(records),
        model=SimpleNamespace(weights_hash=digest, n_right=round(N_ROWS * records[-1].validation_accuracy)),
        objective=lambda metric: records[-1].metrics()[metric],
    )


def make_trainer(
    on_start: Callable[[TrainSettings], None] = lambda settings: None,
    diverge_above: float = 1e9,
    epoch_s: float = 0.0,
) -> Callable[..., Any]:
    """Return a training that takes no time: restores, reports again, checkpoints and reports as run_training does."""

    def train(settings: TrainSettings, *, on_epoch: Any, checkpoints: Any, look: Any = None) -> Any:
        on_start(settings)
        key = fake_run_key(settings)
        found, _ = checkpoints.load(key)
        records = [EpochRecord.from_dict(values) for values in found.values["records"]] if found else []
        for record in records[:]:
            on_epoch(record)
        if look is not None and not records:
            look.on_look(make_record(settings, FIRST_LOOK).metrics())
        for epoch in range(len(records) + 1, settings.total_epochs + 1):
            if settings.learning_rate > diverge_above:
                raise DivergenceError(epoch, 1, settings.learning_rate, math.nan)
            time.sleep(epoch_s)
            records.append(make_record(settings, epoch))
            values = {"records": [record.to_dict() for record in records]}
            checkpoints.save(Checkpoint(key, epoch, values, {"epoch": np.array([epoch])}))
            on_epoch(records[-1])
        return make_result(settings, records)

    return train


class Book:
    """A tracker: per trial folder its status, its epochs, and how it was closed."""

    def __init__(self, runs: dict[str, dict[str, Any]] | None = None) -> None:
        self.runs = runs or {}

    def open_trial(self, number: int, settings: TrainSettings, folder: Path, is_ours: Callable[[], bool]) -> Any:
        run = self.runs.setdefault(folder.name, {"number": number, "epochs": []})
        run |= {"status": "RUNNING"}
        return Page(run)

    def open_finalist(self, trial: int, place: int, run_key: str, settings: TrainSettings, *_: Any) -> "Page":
        run = self.runs.setdefault(run_key, {"trial": trial, "place": place, "epochs": [], "settings": settings})
        run |= {"status": "RUNNING"}
        return Page(run)


class Page:
    def __init__(self, run: dict[str, Any]) -> None:
        self.run = run

    def log_epoch(self, record: EpochRecord) -> None:
        if record.epoch > len(self.run["epochs"]):
            self.run["epochs"].append(record)

    def leave(self) -> None:
        self.run["left"] = self.run.get("left", 0) + 1

    def close(self, status: str, reason: str | None, facts: Any) -> None:
        self.run |= {"status": status, "reason": reason, "facts": dict(facts)}


class DiskBook(Book):
    """The same tracker in a file beside each trial, for workers that are processes; finalists stay in memory."""

    def open_trial(self, number: int, settings: TrainSettings, folder: Path, is_ours: Callable[[], bool]) -> Any:
        file = folder / "run.json"
        run = read_json(file) if file.exists() else {"number": number, "epochs": []}
        return DiskPage(file, run | {"status": "RUNNING"})


class DiskPage:
    def __init__(self, file: Path, run: dict[str, Any]) -> None:
        self.file, self.run = file, run
        write_json(file, run)

    def log_epoch(self, record: EpochRecord) -> None:
        if record.epoch > len(self.run["epochs"]):
            self.run["epochs"].append(record.epoch)
            write_json(self.file, self.run)

    def leave(self) -> None:
        self.run["left"] = self.run.get("left", 0) + 1

    def close(self, status: str, reason: str | None, facts: Any) -> None:
        self.run |= {"status": status, "reason": reason, "facts": dict(facts)}
        write_json(self.file, self.run)


def score(model: Any) -> Any:
    """What a model scores on each validation row: the mean is the accuracy of its training."""
    return (np.arange(N_ROWS) < model.n_right).astype(np.float32)


def make_services(train: Callable[..., Any] | None = None, book: Any = None, **others: Any) -> Services:
    book = book or Book()
    asked: dict[str, Any] = {
        "train": train or make_trainer(),
        "score": score,
        "run_key": fake_run_key,
        "open_trial": book.open_trial,
        "open_finalist": book.open_finalist,
    }
    return Services(**{**asked, **others})


def outcome(study: Study) -> list[dict[str, Any]]:
    """Everything about every trial that a kill must not change: no times, owners or retries."""
    kept = ("run_key", "seed", "weights_hash", "validation/loss", "reason", "reused_from")
    return [
        {
            "number": trial.number,
            "state": trial.state.name,
            "params": trial.params,
            "value": trial.value,
            "reported": trial.intermediate_values,
            **{name: trial.user_attrs.get(name) for name in kept},
        }
        for trial in study.ledger.trials()
    ]
