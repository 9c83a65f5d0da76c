"""The tracked runs of a search: one parent run per study, one child run per trial."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpsweep.errors import StorageError
from mlpsweep.nn.network import n_parameters
from mlpsweep.settings import TrainSettings
from mlpsweep.tracking import lineage
from mlpsweep.tracking.run import Run, Status
from mlpsweep.tracking.store import Store
from mlpsweep.training.folder import TrainingFolder

if TYPE_CHECKING:
    from mlpsweep.training.history import EpochRecord

STATUSES: Mapping[str, Status] = {
    "complete": "FINISHED",
    "pruned": "KILLED",
    "failed": "FAILED",
    "interrupted": "KILLED",
}
# Facts of a trial that are numbers; the other facts become tags.
MEASURED = ("validation/loss", "epoch_of_weights")


@contextmanager
def search_run(store: Store, study: str) -> Iterator[Run]:
    """Yield the parent run of a study: a new run, or the existing one when the study is joined or resumed.

    Raises
    ------
    StorageError
        If the store does not answer.
    """
    parent = store.find_run({"study": study, "role": "search"})
    if parent is None:
        tags = {"study": study, "role": "search", "sweep": study, **lineage.origin()}
        parent = store.start_run(f"search {study}", tags=tags)
    else:
        parent.reopen()
    with parent:
        yield parent


@dataclass(frozen=True)
class TrialRun:
    """The record of one trial.

    Parameters
    ----------
    run : Run
        Open run of the trial.
    folder : Path
        Folder of the trial, in the study.
    logged : int
        Number of epochs that the run already holds. MLflow appends, so a continued trial must not log an epoch twice.
    """

    run: Run
    folder: Path
    logged: int

    def log_epoch(self, record: "EpochRecord") -> None:
        """Log an epoch, unless the run already holds it."""
        if record.epoch > self.logged:
            self.run.log_epoch(record)

    def close(self, status: str, reason: str | None, facts: Mapping[str, Any]) -> None:
        """End the run with the status, the facts and the history of the trial.

        Parameters
        ----------
        status : str
            A key of ``STATUSES``.
        reason : str or None
            Why the trial is not complete.
        facts : mapping
            Attributes of the trial by name, such as ``weights_hash``.
        """
        self.run.log_metrics({name: facts[name] for name in MEASURED if name in facts and name != "validation/loss"})
        tags = {name: str(value) for name, value in facts.items() if name not in MEASURED}
        self.run.set_tags({**tags, "trial_state": status})
        if history := TrainingFolder(self.folder).saved_history():
            self.run.log_files([history])
        self.run.end(STATUSES[status], reason)


@dataclass(frozen=True)
class TrialRecorder:
    """Opens a run for each trial of a study.

    Parameters
    ----------
    store : Store
        Store of the runs.
    study : str
        Name of the study.
    parent_id : str
        Id of the study's run.
    tags : mapping
        Tags that all trials share.
    n_features, n_classes : int
        Number of inputs and of outputs of every network.
    """

    store: Store
    study: str
    parent_id: str
    tags: Mapping[str, str]
    n_features: int
    n_classes: int

    def open_trial(self, number: int, settings: TrainSettings, folder: Path) -> TrialRun:
        """Return the run of a trial: a new run, or for a continued trial its former run, RUNNING again.

        A failing store stops no trial: the trial's folder and the study hold what the store then lacks.
        """
        return self._open({"trial": str(number), "role": "trial"}, f"{number}", settings, folder)

    def open_finalist(self, trial: int, place: int, run_key: str, settings: TrainSettings, folder: Path) -> TrialRun:
        """Return the run of a finalist's training, found by its ``run_key``; see :meth:`open_trial`."""
        mine = {"role": "finalist", "run_key": run_key}
        return self._open(mine, f"finalist {trial}, seed {place + 1}", settings, folder, finalist=str(trial))

    def _open(
        self, mine: Mapping[str, str], title: str, settings: TrainSettings, folder: Path, **tags: str
    ) -> TrialRun:
        try:
            return self._found_or_new({"study": self.study, **mine}, title, settings, folder, tags)
        except StorageError as error:
            self.store.breaker.tell(error)
            return TrialRun(self.store.no_run(), folder, 0)

    def _found_or_new(
        self, mine: Mapping[str, str], title: str, settings: TrainSettings, folder: Path, tags: Mapping[str, str]
    ) -> TrialRun:
        # The store sets the tags as it creates the run, so a worker killed right after leaves no run that nobody finds.
        run = self.store.find_run(mine)
        if run is not None:
            run.reopen()
            return TrialRun(run, folder, run.last_step("train/loss"))
        sizes = (self.n_features, *settings.hidden_sizes, self.n_classes)
        run = self.store.start_run(
            f"{title}: {lineage.run_name(settings)}",
            tags={**mine, **tags, "sweep": self.study, "folder": str(folder), **self.tags},
            params=lineage.params(settings, n_parameters(sizes)),
            parent_id=self.parent_id,
        )
        return TrialRun(run, folder, 0)

    def find(self, run_key: str, metric: str) -> tuple[str, float, dict[str, Any]] | None:
        """Return an equal training outside the study, or None if the store holds none or fails.

        Returns
        -------
        tuple of (str, float, dict) or None
            Name of the run, metric at the epoch of its weights, and facts of the training.
        """
        try:
            return self._find(run_key, metric)
        except StorageError as error:
            self.store.breaker.tell(error)
            return None

    def _find(self, run_key: str, metric: str) -> tuple[str, float, dict[str, Any]] | None:
        run = self.store.find_run({"run_key": run_key}, "FINISHED")
        if run is None:
            return None
        tags, metrics = run.tags(), run.metrics()
        if "weights_hash" not in tags or "epoch_of_weights" not in metrics:
            return None
        epoch = int(metrics["epoch_of_weights"])
        value, loss = run.value_at(metric, epoch), run.value_at("validation/loss", epoch)
        if value is None or loss is None:
            return None
        facts = {"validation/loss": loss, "weights_hash": tags["weights_hash"], "epoch_of_weights": epoch}
        return f"run {run.run_id}", value, facts
