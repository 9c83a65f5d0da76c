"""The settings of tracking, without mlflow, so that the help page answers at once."""

from dataclasses import dataclass

from mlpsweep import rules
from mlpsweep.rules import key, matching
from mlpsweep.schema import Settings

# MLflow refuses its old file store, ./mlruns, since 3.13.
URI = matching(
    r"(sqlite:///|https?://|postgresql(\+\w+)?://|mysql(\+\w+)?://|databricks)\S*[^\s/]",
    "a database or server, sqlite:///FILE or http://HOST:PORT (MLflow takes no folder any more)",
)
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
