"""The tracking store: where it is, how it is opened by many processes at once, which runs it holds."""

import functools
import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from ssl import SSLError
from typing import TYPE_CHECKING, Any, Self
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from mlpsweep.errors import SettingsError, StorageError, hide_passwords
from mlpsweep.files import locked
from mlpsweep.sqlite import check_sqlite
from mlpsweep.tracking.abandoned import close_abandoned
from mlpsweep.tracking.endings import is_finished
from mlpsweep.tracking.project import in_turn, project_tags, starting, work_tree
from mlpsweep.tracking.queue import DOCTOR, RecordQueue, RunHandle, answered
from mlpsweep.tracking.quiet import be_quiet
from mlpsweep.tracking.relocate import location_fault
from mlpsweep.tracking.run import Run, reopen
from mlpsweep.tracking.settings import TrackingSettings, is_lasting

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

PARENT_TAG = "mlflow.parentRunId"
NEWEST = "attributes.start_time DESC"
URI_VARIABLE, EXPERIMENT_VARIABLE = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"
# A server that does not answer this question in so many seconds is not there.
HELLO, HELLO_S = "/health", 5


def tracking_uri(settings: TrackingSettings) -> str:
    """Return the store's address: the setting, else ``MLFLOW_TRACKING_URI``, else the work tree's SQLite file.

    Raises
    ------
    SettingsError
        If the environment names a store that would be gone with the process.
    """
    named = os.environ.get(URI_VARIABLE)
    if not settings.uri and named and not is_lasting(named):
        raise SettingsError(f"{URI_VARIABLE}: {named!r} keeps nothing; expected sqlite:///FILE, or http://HOST:PORT")
    return settings.uri or named or f"sqlite:///{work_tree()}/mlflow.db"


def experiment_name(settings: TrackingSettings, dataset: str) -> str:
    """Return the experiment: the setting, else ``MLFLOW_EXPERIMENT_NAME``, else the data set's name."""
    return settings.experiment or os.environ.get(EXPERIMENT_VARIABLE) or dataset


@dataclass(frozen=True)
class Store:
    """An open tracking store and the one experiment that this process writes to.

    Parameters
    ----------
    client : MlflowClient
        Of the store.
    experiment_id : str
        Of the experiment.
    queue : RecordQueue
        What all its runs are written through; closed when the store's block ends.
    place_fault : str or None
        Why no run can be made: its files would not come into this project.
    """

    client: "MlflowClient"
    experiment_id: str
    queue: RecordQueue
    place_fault: str | None = None

    def start_run(
        self,
        name: str,
        *,
        tags: Mapping[str, str],
        params: Mapping[str, Any] | None = None,
        parent_id: str | None = None,
        start_time_ms: int | None = None,
    ) -> Run:
        """Create a run, RUNNING until its :meth:`Run.end`; its params are logged in the same breath."""
        parent = {PARENT_TAG: parent_id} if parent_id else {}
        run = self._run("")
        with answered(self.queue.where):
            self._create(run, name, {**tags, **parent}, start_time_ms)
        if params:
            run.log_params(params)
        return run

    def find_run(self, tags: Mapping[str, str]) -> Run | None:
        """Return the newest run that has all these tags."""
        return next((self._run(run.info.run_id) for run in self._newest(tags, 1)), None)

    def find_finished(self, tags: Mapping[str, str], but: Mapping[str, str] | None = None) -> Run | None:
        """Return the newest run with all these tags, and not all of ``but``, of a training that went to its end."""
        runs = filter(is_finished, self._newest(tags))
        others = (run for run in runs if not but or not but.items() <= run.data.tags.items())
        return next((self._run(run.info.run_id) for run in others), None)

    def _newest(self, tags: Mapping[str, str], page_size: int = 100) -> Iterator[Any]:
        words, token = " and ".join(f"tags.`{tag}` = '{quoted(value)}'" for tag, value in tags.items()), None
        while True:
            with answered(self.queue.where):
                page = self.client.search_runs(
                    [self.experiment_id], words, max_results=page_size, order_by=[NEWEST], page_token=token
                )
            yield from page
            token = page.token
            if not token:
                return

    def open_run(self, run_id: str) -> Run | None:
        """Return the run of this id, or None where this store has none; one deleted in MLflow's page is told of."""
        from mlflow.exceptions import MlflowException

        try:
            known = self.client.get_run(run_id)
        except MlflowException:
            return None
        if known.info.lifecycle_stage != "active":
            sys.stderr.write(f"note: {deleted_run(run_id)}. Until then it counts as absent.\n")
            return None
        return self._run(run_id)

    def end_children(self, parent_id: str) -> None:
        """End as KILLED what a launcher's processes left RUNNING below a parent: they were stopped without a word."""
        mine = f"tags.`{PARENT_TAG}` = '{parent_id}' and attributes.status = 'RUNNING'"
        with suppress(StorageError), answered(self.queue.where):
            for run in self.client.search_runs([self.experiment_id], mine):
                self._run(run.info.run_id).end("KILLED", "interrupted")

    def later_run(
        self,
        mine: Mapping[str, str],
        name: str,
        tags: Mapping[str, str],
        params: Mapping[str, Any],
        parent_id: str,
        is_ours: Callable[[], bool],
    ) -> Run:
        """Return a run that the queue creates, or finds again and sets RUNNING, by its tags ``mine``.

        A store that is away is waited for there. An answer that was lost makes no second run, nor does another process
        of this host that goes on with the work meanwhile, which ``is_ours`` tells.
        """
        run = self._run("")
        key = hashlib.sha256(repr(sorted(mine.items())).encode()).hexdigest()
        run.handle.turn, run.handle.is_ours = functools.partial(in_turn, key, work_tree()), is_ours

        def create() -> None:
            found = self.find_run(mine)
            if found is not None:
                run.handle.run_id, run.handle.needs_check = found.run_id, True
                run.hold()
                reopen(self.client, found.run_id)
                return
            self._create(run, name, {**mine, **tags, PARENT_TAG: parent_id})

        self.queue.put(run.handle, create)
        run.log_params(params)
        return run

    def _create(self, run: Run, name: str, tags: Mapping[str, str], start_time_ms: int | None = None) -> None:
        """Create a run in the store; it is at work here until its end is sent."""
        root = work_tree()
        if self.place_fault:
            raise StorageError(self.place_fault)
        with starting(root):
            created = self.client.create_run(
                self.experiment_id, start_time=start_time_ms, run_name=name, tags={**tags, **project_tags(root)}
            )
            run.handle.run_id = created.info.run_id
            run.hold()

    def _run(self, run_id: str) -> Run:
        return Run(self.client, RunHandle(run_id), self.queue)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.queue.close()


def deleted_run(run_id: str) -> str:
    """Return what to say of a run that was deleted in MLflow's page."""
    return f"run {run_id} is deleted; `mlflow runs restore --run-id {run_id}` brings it back"


def quoted(value: str) -> str:
    """Return a text as it stands between quotes in a question to the store."""
    return value.replace("'", "''")


def open_store(
    settings: TrackingSettings,
    dataset: str,
    *,
    stands_in: bool = False,
    adds_files: bool = True,
    remedy: str = DOCTOR,
) -> Store:
    """Open the tracking store, making its schema and the experiment if need be.

    Simultaneous first starts would each make the schema, and all but one die: so one process at a time.

    Parameters
    ----------
    settings : TrackingSettings
        Address and experiment.
    dataset : str
        The manifest's name of the data set: the experiment, unless the settings or the environment name one.
    stands_in : bool
        Whether the data stand in for another set: their runs are never among those of the set that was asked for.
    adds_files : bool
        Whether files go into runs that are there: into the right place, or not at all.
    remedy : str
        What sends later what the store does not take now.

    Raises
    ------
    StorageError
        If the store cannot be reached or is damaged, or the project lay elsewhere; names its address without a
        password.
    """
    uri, name = tracking_uri(settings), "digits" if stands_in else experiment_name(settings, dataset)
    where = hide_passwords(uri)
    reach_store(settings)
    check_sqlite(uri)
    with locked(work_tree() / "mlruns" / ".lock"), answered(where):
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(name) or _made(client, name, _artifacts(uri, name))
    if experiment.lifecycle_stage != "active":
        raise StorageError(
            f"tracking.experiment: {name!r} is deleted; expected an active one. "
            f"Run `mlflow experiments restore --experiment-id {experiment.experiment_id}`, or name another."
        )
    fault = location_fault(uri, name, experiment.artifact_location, work_tree())
    if fault and adds_files:
        raise StorageError(fault)
    with suppress(StorageError), answered(where):  # a store that has just answered is not waited for here
        close_abandoned(client, [experiment.experiment_id], work_tree())
    return Store(client, experiment.experiment_id, RecordQueue(client, where, remedy), fault)


def _made(client: "MlflowClient", name: str, location: str | None) -> "Experiment":
    """Return a new experiment, or the one that another host has made in this moment."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_experiment(client.create_experiment(name, artifact_location=location))
    except MlflowException:
        if (there := client.get_experiment_by_name(name)) is None:
            raise
        return there


def reach_store(settings: TrackingSettings) -> None:
    """Knock at a tracking server's door, so that one that is not there is known before anything is made for it.

    Raises
    ------
    StorageError
        If it does not answer within seconds.
    """
    uri = tracking_uri(settings)
    be_quiet()
    if uri.startswith("http"):
        with answered(hide_passwords(uri)):
            _knock(uri)


def _knock(uri: str) -> None:
    """Raise an OSError unless somebody answers at this address: a refusal is an answer, a strange certificate too."""
    parts = urlsplit(uri)
    # urllib takes no user and password in an address, and would show them.
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}{HELLO}"
    try:
        with urlopen(address, timeout=HELLO_S):  # noqa: S310 - http or https, as reach_store asks
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
