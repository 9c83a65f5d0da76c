"""Reading stored runs: by their ids, or all jobs of a sweep."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlpsweep.errors import SettingsError, StorageError, hide_passwords
from mlpsweep.files import locked
from mlpsweep.schema import nearest
from mlpsweep.tracking.breaker import CircuitBreaker, answered
from mlpsweep.tracking.run import Run
from mlpsweep.tracking.settings import TrackingSettings
from mlpsweep.tracking.store import PARENT_TAG, quoted, reach_store, tracking_uri, work_tree

if TYPE_CHECKING:
    from mlflow import MlflowClient

PER_EPOCH: Final = ("train/loss", "train/accuracy", "validation/loss", "validation/accuracy")
"""Metrics of each epoch: where a run stopped early, its values at the epoch of its weights count, not the last ones."""

SQLITE: Final = "sqlite:///"
PAGE: Final = 1000


@dataclass(frozen=True)
class TrackedRun:
    """The stored record of one training.

    Parameters
    ----------
    run_id, name, status : str
        Id and name of the run, and how the run ended: ``FINISHED``, ``FAILED``, ``KILLED``.
    params : mapping of str to str
        Settings of the training, as texts.
    metrics : mapping of str to float
        Metrics of the epoch whose weights the training kept.
    """

    run_id: str
    name: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Runs:
    """All runs of a store.

    Parameters
    ----------
    client : MlflowClient
        Client of the store.
    experiment_ids : tuple of str
        Experiments to search.
    where : str
        The store's address, without a password.
    """

    client: "MlflowClient"
    experiment_ids: tuple[str, ...]
    where: str

    def of_ids(self, run_ids: Iterable[str]) -> list[TrackedRun]:
        """Return the runs of these ids.

        Raises
        ------
        SettingsError
            With one message for each id that the store does not hold.
        """
        found = {run_id: self._get(run_id) for run_id in run_ids}
        lost = [run_id for run_id, run in found.items() if run is None]
        if lost:
            raise SettingsError(*(f"run_ids: {one} is not in {self.where}; `mlflow ui` shows the ids" for one in lost))
        return [self._told(run) for run in found.values()]

    def of_sweep(self, name: str) -> list[TrackedRun]:
        """Return all jobs of a multirun, or all trials of a search, in order of their start.

        Parameters
        ----------
        name : str
            Folder of a multirun, name of a study, or name or id of the parent run; of equal names the newest counts.

        Raises
        ------
        SettingsError
            If no sweep has this name; the message names the nearest one.
        """
        parent = self._get(name) or self._parent(name)
        if parent is None:
            known = list(dict.fromkeys(run.data.tags["sweep"] for run in self._search("tags.sweep LIKE '%'")))
            latest = f", such as {known[-1]}" if known else ""
            raise SettingsError(
                f"sweep: {name!r} is not in {self.where}; expected a multirun's folder, a study's name or the "
                f"parent's run id{latest}{nearest(name, known)}. `mlflow ui` shows them all"
            )
        return [self._told(run) for run in self._search(f"tags.`{PARENT_TAG}` = '{parent.info.run_id}'")]

    def _parent(self, name: str) -> Any:
        words = [f"tags.sweep = '{quoted(one)}'" for one in dict.fromkeys((name, str(Path(name))))]
        words.append(f"attributes.run_name = '{quoted(name)}'")
        found = (run for word in words for run in self._search(word) if PARENT_TAG not in run.data.tags)
        return max(found, key=lambda run: int(run.info.start_time), default=None)

    def _get(self, run_id: str) -> Any:
        from mlflow.exceptions import MlflowException

        with answered(self.where):
            try:
                return self.client.get_run(run_id)
            except MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise

    def _search(self, words: str) -> Iterator[Any]:
        token = None
        while True:
            with answered(self.where):
                page = self.client.search_runs(
                    list(self.experiment_ids), words, max_results=PAGE, order_by=["start_time ASC"], page_token=token
                )
            yield from page
            token = page.token
            if not token:
                return

    def _told(self, run: Any) -> TrackedRun:
        metrics, params = dict(run.data.metrics), dict(run.data.params)
        if params.get("patience", "None") != "None" and "epoch_of_weights" in metrics:
            one, epoch = Run(self.client, run.info.run_id, CircuitBreaker(self.where)), int(metrics["epoch_of_weights"])
            kept = {name: one.value_at(name, epoch) for name in PER_EPOCH if name in metrics}
            metrics |= {name: value for name, value in kept.items() if value is not None}
        return TrackedRun(run.info.run_id, run.info.run_name, run.info.status, params, metrics)


def open_runs(settings: TrackingSettings) -> Runs:
    """Open an existing store for reading.

    Raises
    ------
    StorageError
        If the store does not exist, cannot be reached or is damaged.
    """
    uri = tracking_uri(settings)
    where, file = hide_passwords(uri), uri.removeprefix(SQLITE).partition("?")[0]
    if uri.startswith(SQLITE) and not Path(file).exists():
        raise StorageError(
            f"tracking.uri: {where} is not there; expected a store with runs. Run a sweep first, "
            "type the command in the folder that holds mlflow.db, or set tracking.uri."
        )
    reach_store(settings)
    with locked(work_tree() / "mlruns" / ".lock"), answered(where):
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=uri)
        experiments = [one for one in client.search_experiments() if settings.experiment in (None, one.name)]
        return Runs(client, tuple(one.experiment_id for one in experiments), where)
