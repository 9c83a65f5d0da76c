"""The settings of tracking, without mlflow, so that the help page answers at once."""

from dataclasses import dataclass
from typing import Any

from mlpsweep import rules
from mlpsweep.rules import key, matching
from mlpsweep.schema import Settings

# MLflow refuses its old file store, ./mlruns, since 3.13.
_STORE = matching(
    r"(sqlite:///|https?://|postgresql(\+\w+)?://|mysql(\+\w+)?://|databricks)\S*[^\s/]",
    "a database or server, sqlite:///FILE or http://HOST:PORT (MLflow takes no folder any more)",
)


def is_lasting(uri: str) -> bool:
    """Return whether a store at this address outlives the process: SQLite's database in memory does not.

    Examples
    --------
    >>> [is_lasting(f"sqlite:///{name}") for name in ("", ":memory:", "?timeout=3", "mlflow.db")]
    [False, False, False, True]
    """
    dialect, _, rest = uri.partition("://")
    if dialect.lower().partition("+")[0] != "sqlite":
        return True
    file, _, query = rest.removeprefix("/").partition("?")
    is_in_memory = ":memory:" in file or "mode=memory" in query.lower().split("&")
    return not is_in_memory and bool(file.strip("/ ")) and file != "file:"


def _parse(value: Any) -> Any:
    if not is_lasting(_STORE.parse(value)):
        raise ValueError(value)
    return value


URI = rules.Rule(_STORE.expected, _parse)
NAME = matching(r"\S(.{0,248}\S)?", "a name of 1 to 250 characters in one line")


@dataclass(frozen=True, kw_only=True)
class TrackingSettings(Settings):
    """MLflow's store and experiment."""

    experiment: str | None = key(
        rules.optional(NAME), "experiment; null: the data set's name", "mnist", default=None, identity=False
    )
    uri: str | None = key(
        rules.optional(URI),
        "tracking store; null: MLFLOW_TRACKING_URI or sqlite:///mlflow.db",
        "http://127.0.0.1:5000",
        default=None,
        identity=False,
    )
