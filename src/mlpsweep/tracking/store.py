"""The tracking store: its address, opening it from many processes at once, creating and finding its runs."""

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from ssl import SSLError
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from mlpsweep.errors import StorageError, hide_passwords
from mlpsweep.files import locked
from mlpsweep.tracking.breaker import CircuitBreaker, answered
from mlpsweep.tracking.run import Run
from mlpsweep.tracking.settings import TrackingSettings

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARENT_TAG = "mlflow.parentRunId"
# MLflow's own settings: no telemetry, no addresses (with their passwords) on stdout, no progress bars for files of a
# few kilobytes, no four minutes of retries, and no waiting for as long as a server's Retry-After says.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "8",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
}
# A server that does not answer at this path within HELLO_S seconds counts as unreachable.
HELLO, HELLO_S = "/health", 5


def work_tree(folder: Path | None = None) -> Path:
    """Return the folder that holds the stores: the current one, or the main tree of a DVC experiment's copy."""
    folder = (folder or Path.cwd()).resolve()
    parts = folder.parts
    for i in range(len(parts) - 1):
        if parts[i : i + 2] == (".dvc", "tmp"):
            return Path(*parts[:i])
    return folder


def tracking_uri(settings: TrackingSettings) -> str:
    """Return the store's address: the setting, else ``MLFLOW_TRACKING_URI``, else the work tree's SQLite file."""
    return settings.uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{work_tree()}/mlflow.db"


@dataclass(frozen=True)
class Store:
    """An open tracking store and the one experiment that this process writes to.

    Parameters
    ----------
    client : MlflowClient
        Client of the store.
    experiment_id : str
        Id of the experiment.
    breaker : CircuitBreaker
        Circuit breaker that all runs of the store share.
    """

    client: "MlflowClient"
    experiment_id: str
    breaker: CircuitBreaker

    def start_run(
        self,
        name: str,
        *,
        tags: Mapping[str, str],
        params: Mapping[str, Any] | None = None,
        parent_id: str | None = None,
        start_time_ms: int | None = None,
    ) -> Run:
        """Create a run with its parameters; it is RUNNING until its :meth:`Run.end`.

        Parameters
        ----------
        name : str
            Name for a person to read.
        tags : mapping
            Tags, set while the run is created.
        params : mapping, optional
            Parameters, logged right after.
        parent_id : str, optional
            Id of the parent run.
        start_time_ms : int, optional
            POSIX time of the start, milliseconds; by default, now.

        Raises
        ------
        StorageError
            If the store cannot create the run.
        """
        parent = {PARENT_TAG: parent_id} if parent_id else {}
        with answered(self.breaker.where):
            created = self.client.create_run(
                self.experiment_id, start_time=start_time_ms, run_name=name, tags={**tags, **parent}
            )
        run = Run(self.client, created.info.run_id, self.breaker)
        if params:
            run.log_params(params)
        return run

    def find_run(self, tags: Mapping[str, str], status: str | None = None) -> Run | None:
        """Return the newest run that has all these tags, and this status if one is given.

        Raises
        ------
        StorageError
            If the store does not answer.
        """
        words = [f"tags.`{tag}` = '{quoted(value)}'" for tag, value in tags.items()]
        words += [f"attributes.status = '{status}'"] if status else []
        with answered(self.breaker.where):
            runs = self.client.search_runs(
                [self.experiment_id], " and ".join(words), max_results=1, order_by=["attributes.start_time DESC"]
            )
        return Run(self.client, runs[0].info.run_id, self.breaker) if runs else None

    def open_run(self, run_id: str) -> Run | None:
        """Return the run of this id, or None if this store has no such run."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.get_run(run_id)
        except MlflowException:
            return None
        return Run(self.client, run_id, self.breaker)

    def end_children(self, parent_id: str) -> None:
        """End as KILLED the children of a parent that are still RUNNING, because their processes were killed."""
        mine = f"tags.`{PARENT_TAG}` = '{parent_id}' and attributes.status = 'RUNNING'"
        with suppress(StorageError), answered(self.breaker.where):
            for run in self.client.search_runs([self.experiment_id], mine):
                Run(self.client, run.info.run_id, self.breaker).end("KILLED", "interrupted")

    def no_run(self) -> Run:
        """Return a run that records nothing, for work that goes on while the store fails."""
        return Run(self.client, "", self.breaker)


def quoted(value: str) -> str:
    """Return a text escaped for quotes in a query to the store."""
    return value.replace("'", "''")


def _be_quiet() -> None:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    for name in ("alembic", "mlflow.store.db.utils"):
        # A failure of these libraries arrives as an exception, too.
        logging.getLogger(name).setLevel(logging.CRITICAL)


def open_store(settings: TrackingSettings, dataset: str) -> Store:
    """Open the tracking store; create its schema and the experiment if they are missing.

    A lock admits one process at a time: of several that create the schema at once, all but one would fail.

    Parameters
    ----------
    settings : TrackingSettings
        Address and experiment.
    dataset : str
        Name of the data set; it names the experiment, unless the settings do.

    Raises
    ------
    StorageError
        If the store cannot be reached or is damaged, or the experiment is deleted; the message shows no password.
    """
    uri, name = tracking_uri(settings), settings.experiment or dataset
    where = hide_passwords(uri)
    reach_store(settings)
    with locked(work_tree() / "mlruns" / ".lock"), answered(where):
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            created = client.create_experiment(name, artifact_location=_artifacts(uri, name))
            return Store(client, created, CircuitBreaker(where))
    if experiment.lifecycle_stage != "active":
        raise StorageError(
            f"tracking.experiment: {name!r} is deleted; expected an active one. "
            f"Run `mlflow experiments restore --experiment-id {experiment.experiment_id}`, or name another."
        )
    return Store(client, experiment.experiment_id, CircuitBreaker(where))


def reach_store(settings: TrackingSettings) -> None:
    """Check that a tracking server answers, before any work is done for it.

    Raises
    ------
    StorageError
        If the server does not answer within seconds.
    """
    uri = tracking_uri(settings)
    _be_quiet()
    if uri.startswith("http"):
        with answered(hide_passwords(uri)):
            _knock(uri)


def _knock(uri: str) -> None:
    """Raise an OSError unless a server answers at this address; an error status or a bad certificate is an answer."""
    parts = urlsplit(uri)
    # urllib takes no user and password in an address, and would show them.
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}{HELLO}"
    try:
        with urlopen(address, timeout=HELLO_S):
            return
    except HTTPError:
        return
    except URLError as error:
        if not isinstance(error.reason, SSLError):
            raise
    except HTTPException as error:
        raise OSError(f"no answer of a web server ({type(error).__name__})") from error


def _artifacts(uri: str, experiment: str) -> str | None:
    """Return the artifact folder of a new experiment; a server chooses its own."""
    local = uri.startswith("sqlite:")
    return str(work_tree() / "mlruns" / experiment.replace("/", "_")) if local else None
