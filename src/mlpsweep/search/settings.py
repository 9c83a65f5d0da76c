"""Settings of a search: the study, its budget, its space. The help page reads them, so Optuna is not imported."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mlpsweep import rules
from mlpsweep.errors import SettingsError
from mlpsweep.passwords import login_of, public
from mlpsweep.rules import Rule, key
from mlpsweep.schema import Settings
from mlpsweep.search.dimensions import Dimension
from mlpsweep.search.grammar import parse_dimensions
from mlpsweep.settings import MAX_TRIALS

METRICS = ("validation/accuracy", "validation/loss", "validation/balanced_accuracy", "validation/macro_f1")
"""Metrics that a search can optimise."""

SAMPLER_NAMES = ("tpe", "random", "qmc", "grid")
PRUNER_NAMES = ("promote", "asha", "median", "none")
MAX_NAME = 100
MAX_S = 10**8
"""Longest limit, seconds: three years. The clock of the operating system overflows beyond some more."""


def _study_name() -> Rule:
    # The name becomes a folder: no separators, nothing hidden, nothing that could leave mlruns/.
    known = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

    def parse(value: Any) -> str:
        if not isinstance(value, str) or len(value) > MAX_NAME or not known.fullmatch(value):
            raise ValueError(value)
        return value

    return Rule(f"at most {MAX_NAME} letters, digits, dots, dashes and underscores, a letter or digit first", parse)


def _storage() -> Rule:
    # One database file, or a server's database with a user, a port and a query if need be.
    known = re.compile(
        r"sqlite:///(?!:memory:|file:)[^?#]+|postgresql://([^\s/?#@]+@)?[^\s/?#@]*/[^\s/?#@]+(\?[^\s#@]+)?"
    )

    def parse(value: Any) -> str:
        if isinstance(value, str) and value.startswith("postgresql://") and _has_password(value):
            raise SettingsError(
                f"search.storage: {public(value)} was given with a password, which others can read; expected none. "
                "Put it in PGPASSWORD or in ~/.pgpass"
            )
        if not isinstance(value, str) or not known.fullmatch(value):
            raise ValueError(value)
        return value

    return Rule(
        "an address sqlite:///<file> or postgresql://<host>/<database>, a user and @ before the host if need be", parse
    )


def _has_password(address: str) -> bool:
    return ":" in login_of(address) or bool(re.search(r"[?&]\w*pass\w*=", address, re.IGNORECASE))


STORAGE_VARIABLE = "MLPSWEEP_STORAGE"
"""Environment variable with the address of the studies' database."""

STORAGE = _storage()


@dataclass(frozen=True, kw_only=True)
class SearchSettings(Settings):
    """A study, and how much work it gets."""

    study: str | None = key(
        rules.optional(_study_name()),
        "name; null: <data>-<digest of what defines it>",
        "mnist-wide",
        default=None,
        identity=False,
    )
    storage: str | None = key(
        rules.optional(STORAGE),
        "database of the study; null: MLPSWEEP_STORAGE or mlruns/optuna.db",
        "postgresql://host/studies",
        default=None,
        identity=False,
    )
    folder: str | None = key(
        rules.optional(rules.TEXT),
        "folder for checkpoints, shared by hosts if it can be; null: beside the database's file or in mlruns/",
        "/mnt/studies",
        default=None,
        identity=False,
    )
    metric: str = key(
        rules.one_of(METRICS),
        "metric to optimise in the last epoch",
        "validation/accuracy",
        default="validation/accuracy",
    )
    n_trials: int = key(
        rules.integer(1, MAX_TRIALS),
        "trials to reach; those of earlier commands count",
        "100",
        default=50,
        identity=False,
    )
    n_workers: int = key(rules.integer(1, 256), "worker processes on this machine", "2", default=1, identity=False)
    sampler: str = key(
        rules.one_of(SAMPLER_NAMES), "how configurations are proposed", "tpe", default="tpe", identity=False
    )
    pruner: str = key(
        rules.one_of(PRUNER_NAMES),
        "how hopeless trials are stopped; promote: they pause, the best go on",
        "asha",
        default="promote",
        identity=False,
    )
    enqueue: tuple[dict[str, Any], ...] = key(
        rules.list_of(rules.mapping_of(rules.ANYTHING), may_be_empty=True),
        "configurations to try first; what one leaves out is drawn",
        "[{activation: relu, hidden_sizes: [300, 100]}]",
        default=(),
        identity=False,
    )
    target: float | None = key(
        rules.optional(rules.real("to compare with search.metric", lambda value: True)),
        "value at which nothing more is started; if the trial that reported it ends below it, the search goes on",
        "0.98",
        default=None,
        identity=False,
    )
    patience: int | None = key(
        rules.optional(rules.integer(1, MAX_TRIALS)),
        "configurations without a better best value after which no more is started",
        "20",
        default=None,
        identity=False,
    )
    trial_timeout_s: float | None = key(
        rules.optional(rules.positive(MAX_S)),
        "seconds until a trial is given up as failed",
        "600",
        default=None,
        identity=False,
    )
    timeout_s: float | None = key(
        rules.optional(rules.positive(MAX_S)), "seconds until the search pauses", "3600", default=None, identity=False
    )
    max_retries: int = key(
        rules.integer(0, 1000), "retries of a trial whose worker died", "3", default=3, identity=False
    )
    lease_s: float = key(
        rules.positive(MAX_S),
        "seconds until a silent worker counts as dead, and a silent database as gone",
        "300",
        default=60.0,
        identity=False,
    )
    reuse: bool = key(
        rules.BOOLEAN, "take over the result of an equal finished training", "true", default=True, identity=False
    )
    dry_run: bool = key(rules.BOOLEAN, "show the plan and write nothing", "true", default=False, identity=False)


@dataclass(frozen=True, kw_only=True)
class WinnerSettings(Settings):
    """How the winner is chosen among the best trials."""

    top_k: int = key(rules.integer(1, 1000), "how many of the best configurations are trained again", "3", default=3)
    n_seeds: int = key(rules.integer(1, 1000), "how many seeds each of them is trained with", "3", default=3)


@dataclass(frozen=True, kw_only=True)
class SpaceSettings(Settings):
    """A search space: for each searched setting its range, and a bound on the network's size."""

    dimensions: dict[str, dict[str, Any]] = key(
        rules.mapping_of(rules.mapping_of(rules.ANYTHING)), "searched settings, each with its range", "{}"
    )
    max_parameters: int | None = key(
        rules.optional(rules.integer(1, 10**12)),
        "largest number of weights and biases of a network",
        "1000000",
        default=None,
    )

    def conflicts(self) -> Iterable[str]:
        """Return a message for each dimension that cannot be read."""
        if not self.dimensions:
            yield "dimensions: empty; expected a searched setting. Choose a file of conf/space/, as in space=card"
        try:
            self.parse()
        except ValueError as error:
            yield from (f"dimensions.{message}" for message in error.args)

    def parse(self) -> tuple[Dimension, ...]:
        """Return the dimensions, the groups first, then the others in the order of the file."""
        return parse_dimensions(self.dimensions)
