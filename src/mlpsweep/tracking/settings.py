"""Where runs are tracked; light enough for the help page, so mlflow is not imported here."""

from dataclasses import dataclass

from mlpsweep import rules
from mlpsweep.rules import key
from mlpsweep.settings import Settings


@dataclass(frozen=True, kw_only=True)
class TrackingSettings(Settings):
    """MLflow's store and experiment."""

    experiment: str | None = key(
        rules.optional(rules.TEXT), "experiment; null: the data set's name", "mnist", identity=False
    )
    uri: str | None = key(
        rules.optional(rules.TEXT),
        "tracking store; null: MLFLOW_TRACKING_URI or sqlite:///mlflow.db",
        "http://127.0.0.1:5000",
        identity=False,
    )
