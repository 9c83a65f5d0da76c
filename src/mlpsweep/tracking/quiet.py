"""MLflow without its noise, and what opening a store imports; nothing heavy here, so that imports can begin at once."""

import logging
import os
from typing import Final

# MLflow's own settings: no telemetry, no addresses (with their passwords) on stdout, no bars for files of a few
# kilobytes, no four minutes of retries, and no waiting for as long as a server's Retry-After says.
QUIET: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "8",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
}


def be_quiet() -> None:
    """Set what the environment does not set of MLflow's own settings, and silence the migrations of its schema."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    for name in ("alembic", "mlflow.store.db.utils"):
        # What goes wrong in there comes as an exception too.
        logging.getLogger(name).setLevel(logging.CRITICAL)


def heavy() -> tuple[str, ...]:
    """Return the modules of other packages that opening a store imports, which are then quiet."""
    be_quiet()
    return ("mlflow", "mlflow.store.tracking.sqlalchemy_store")
