"""Finding runs that are there: by their ids, or all jobs of a sweep; nothing is written into the store."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlpsweep.errors import SettingsError, StorageError, hide_passwords
from mlpsweep.files import locked
from mlpsweep.schema import nearest
from mlpsweep.sqlite import check_sqlite
from mlpsweep.tracking.endings import ended
from mlpsweep.tracking.lineage import all_params
from mlpsweep.tracking.project import work_tree
from mlpsweep.tracking.queue import RecordQueue, RunHandle, answered
from mlpsweep.tracking.relocate import store_file
from mlpsweep.tracking.run import Run
from mlpsweep.tracking.settings import TrackingSettings
from mlpsweep.tracking.store import PARENT_TAG, deleted_run, quoted, reach_store, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

PER_EPOCH: Final = ("train/loss", "train/accuracy", "validation/loss", "validation/accuracy")
"""Metrics of which a run that stopped early shows the epoch that its weights are of, not the last one."""

NO_CHILD: Final = f"tags.`{PARENT_TAG}` IS NULL"
"""What tells a parent from its jobs, which bear its name: a store may have thousands of them."""

PAGE: Final = 1000


@dataclass(frozen=True)
class TrackedRun:
    """What the store knows of one training.

    Parameters
    ----------
    run_id, name, status : str
        Its identity, and how it ended: MLflow's word, ``pruned`` or ``diverged``.
    params : mapping of str to str
        Its settings, as texts; a run of earlier times that failed has none.
    metrics : mapping of str to float
        Its figures, those of the epoch whose weights it kept.
    is_training : bool
        Whether it is known as one even without settings.
    """

    run_id: str
    name: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    is_training: bool = False


@dataclass(frozen=True)
class Runs:
    """All runs of a store.

    Parameters
    ----------
    client : MlflowClient
        Of the store.
    experiment_ids : tuple of str
        Where to look.
    where : str
        The store's address, fit to be shown.
    """

    client: "MlflowClient"
    experiment_ids: tuple[str, ...]
    where: str

    def get(self, run_id: str) -> Any:
        """Return a run as the store tells it, a deleted one too, or None where there is none of this id."""
        from mlflow.exceptions import MlflowException

        with answered(self.where):
            try:
                return self.client.get_run(run_id)
            except MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise

    def with_tags(self, tags: Mapping[str, str]) -> list[Any]:
        """Return all runs with these tags as the store tells them, the newest first, deleted ones last."""
        words = " and ".join(f"tags.`{name}` = '{quoted(value)}'" for name, value in tags.items())
        there, deleted = (list(self._search(words, is_deleted=is_deleted)) for is_deleted in (False, True))
        return [*reversed(there), *reversed(deleted)]

    def experiments(self) -> list[Any]:
        """Return the experiments as the store tells them."""
        with answered(self.where):
            return [self.client.get_experiment(number) for number in self.experiment_ids]

    def of_ids(self, run_ids: Iterable[str]) -> list[TrackedRun]:
        """Return the runs of these ids.

        Raises
        ------
        SettingsError
            With one message for each id that is not there, or was deleted.
        """
        found = {run_id: self.get(run_id) for run_id in run_ids}
        faults = [f"run_ids: {fault}" for run_id, run in found.items() if (fault := self._fault(run_id, run))]
        if faults:
            raise SettingsError(*faults)
        return [self._told(run) for run in found.values()]

    def _fault(self, run_id: str, run: Any) -> str | None:
        if run is None:
            return (
                f"{run_id} is not in {self.where}; `mlflow ui` shows the ids, and `python -m pipeline.doctor` what the "
                "store lacks"
            )
        return deleted_run(run_id) if _is_deleted(run) else None

    def of_sweep(self, name: str) -> list[TrackedRun]:
        """Return all jobs of a multirun, or all trials of a search, in order of their start.

        Parameters
        ----------
        name : str
            A multirun's folder, a study's name, or the parent's run name or id; the newest, if several are called so.

        Raises
        ------
        SettingsError
            If there is none of this name; tells the nearest one.
        """
        parent = self.get(name) or self._parent(name)
        if parent is None and (deleted := self._parent(name, is_deleted=True)):
            parent = deleted
        if parent is not None and _is_deleted(parent):
            raise SettingsError(f"sweep: {name!r}: {deleted_run(parent.info.run_id)}")
        if parent is None:
            parents = self._search(f"tags.sweep LIKE '%' and {NO_CHILD}")
            known = list(dict.fromkeys(run.data.tags["sweep"] for run in parents))
            latest = f", such as {known[-1]}" if known else ""
            raise SettingsError(
                f"sweep: {name!r} is not in {self.where}; expected a multirun's folder, a study's name or the "
                f"parent's run id{latest}{nearest(name, known)}. `mlflow ui` shows them all, and "
                "`python -m pipeline.doctor` what the store lacks"
            )
        return [self._told(run) for run in self._search(f"tags.`{PARENT_TAG}` = '{parent.info.run_id}'")]

    def _parent(self, name: str, *, is_deleted: bool = False) -> Any:
        words = [f"tags.sweep = '{quoted(one)}'" for one in dict.fromkeys((name, str(Path(name))))]
        words.append(f"attributes.run_name = '{quoted(name)}'")
        found = (run for word in words for run in self._search(f"{word} and {NO_CHILD}", is_deleted=is_deleted))
        return max(found, key=lambda run: int(run.info.start_time), default=None)

    def _search(self, words: str, *, is_deleted: bool = False) -> Iterator[Any]:
        from mlflow.entities import ViewType

        view, token = ViewType.DELETED_ONLY if is_deleted else ViewType.ACTIVE_ONLY, None
        while True:
            with answered(self.where):
                page = self.client.search_runs(
                    list(self.experiment_ids), words, view, PAGE, order_by=["start_time ASC"], page_token=token
                )
            yield from page
            token = page.token
            if not token:
                return

    def _told(self, run: Any) -> TrackedRun:
        metrics, params = dict(run.data.metrics), all_params(run.data.params)
        if params.get("patience", "None") != "None" and "epoch_of_weights" in metrics:
            one, epoch = (
                Run(self.client, RunHandle(run.info.run_id), RecordQueue(self.client, self.where)),
                int(metrics["epoch_of_weights"]),
            )
            kept = {name: one.value_at(name, epoch) for name in PER_EPOCH if name in metrics}
            metrics |= {name: value for name, value in kept.items() if value is not None}
        info, is_training = run.info, "run_key" in run.data.tags
        return TrackedRun(info.run_id, info.run_name, ended(run), params, metrics, is_training=is_training)


def _is_deleted(run: Any) -> bool:
    return bool(run.info.lifecycle_stage != "active")


def open_runs(settings: TrackingSettings) -> Runs:
    """Open a store that is there, to read it.

    Raises
    ------
    StorageError
        If it is not there, cannot be reached or is damaged.
    """
    uri = tracking_uri(settings)
    where, file = hide_passwords(uri), store_file(uri)
    if file is not None and not file.exists():
        raise StorageError(
            f"tracking.uri: {where} is not there; expected a store with runs. Run a sweep first, "
            "type the command in the folder that holds mlflow.db, or set tracking.uri."
        )
    reach_store(settings)
    check_sqlite(uri)
    with locked(work_tree() / "mlruns" / ".lock"), answered(where):
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=uri)
        experiments = [one for one in client.search_experiments() if settings.experiment in (None, one.name)]
        return Runs(client, tuple(one.experiment_id for one in experiments), where)
