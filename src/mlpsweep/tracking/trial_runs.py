"""A search's side of tracking: one parent run per study, one child per trial, each continued when its work is."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlpsweep.errors import StorageError
from mlpsweep.nn.network import n_parameters
from mlpsweep.settings import TrainSettings
from mlpsweep.tracking import lineage
from mlpsweep.tracking.endings import PAUSED, STATE, STATUSES
from mlpsweep.tracking.run import Run
from mlpsweep.tracking.store import PARENT_TAG, Store
from mlpsweep.tracking.trial_record import TrialRecord, figures_of, files_of, forget
from mlpsweep.training.folder import TrainingFolder

if TYPE_CHECKING:
    from mlpsweep.training.history import EpochRecord

SOURCE: Final = "pipeline.search"
UID_TAG: Final = "study_id"
# Facts of a trial that its run has as params or metrics; the others become tags.
TOLD, MEASURED = "seed", "epoch_of_weights"


def named(study: str, uid: str) -> dict[str, str]:
    """Return the tags that tell a study from all others: many may have the name that the same search gives them."""
    return {"study": study} | ({UID_TAG: uid} if uid else {})


@contextmanager
def search_run(
    store: Store, study: str, uid: str, alone: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator[Run]:
    """Yield the parent run of a study: a new one, or the same again when the study is joined or resumed.

    Inside a block of ``alone`` nobody else makes it: hosts that start at once have one.
    """
    mine = {**named(study, uid), "role": "search"}
    with alone():
        parent = store.find_run(mine)
        if parent is None:
            tags = {**mine, "sweep": study, **lineage.source(SOURCE), **lineage.origin()}
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
        Its run, open.
    folder : TrainingFolder
        Its folder in the study.
    record : TrialRecord
        What the folder keeps of the run when the trial has ended.
    """

    run: Run
    folder: TrainingFolder
    record: TrialRecord

    def log_epoch(self, record: "EpochRecord") -> None:
        """Log an epoch; one that the run of a continued trial holds already is passed over."""
        self.run.log_epoch(record)

    def leave(self) -> None:
        """Send nothing more: the run is another worker's now."""
        self.run.leave()

    def close(self, status: str, reason: str | None, facts: Mapping[str, Any]) -> None:
        """End the run with the trial's status, its facts and its history."""
        measured = {name: value for name, value in facts.items() if name.startswith("validation/")}
        metrics = {MEASURED: facts[MEASURED]} if MEASURED in facts else {}
        if status == PAUSED and not self.folder.histories():
            metrics = measured  # of a first look, which is no epoch's
        tags = {name: str(value) for name, value in facts.items() if name not in {TOLD, MEASURED, *measured}}
        tags |= {STATE: status, lineage.NOTE: f"{self.record.tags[lineage.NOTE]}: {reason or status}."}
        ended = replace(self.record, tags={**self.record.tags, **tags}, metrics={**self.record.metrics, **metrics})
        replace(ended, reason=reason, status=STATUSES[status]).save(self.folder.path)
        self.run.log_metrics(metrics)
        self.run.set_tags(tags)
        self.run.log_files(files_of(self.folder))
        if self.folder.histories():
            self.run.complete(self.folder)
        elif MEASURED in facts:  # taken from an equal training: no epoch was logged here
            self.run.log_metrics(measured, step=int(facts[MEASURED]))
        self.run.end(STATUSES[status], reason)


@dataclass(frozen=True)
class TrialRecorder:
    """Opens a run for each trial of a study.

    Parameters
    ----------
    store : Store
        Where the runs are logged.
    study, uid : str
        Name of the study, and its random id.
    parent_id : str
        Id of the study's run.
    made_with : mapping
        Versions, machine and commit of this process.
    n_features, n_classes : int
        Number of inputs and of outputs of every network.
    """

    store: Store
    study: str
    uid: str
    parent_id: str
    made_with: Mapping[str, str]
    n_features: int
    n_classes: int

    def open_trial(
        self, number: int, settings: TrainSettings, folder: Path, is_ours: Callable[[], bool] = lambda: True
    ) -> TrialRun:
        """Return the trial's run: a new one, or its former one, RUNNING again, if the trial is continued.

        A store that is away stops no trial: the trial's folder and the study hold what the store then lacks. Where
        ``is_ours`` says that another process has gone on with the trial, nothing late is sent.
        """
        return self._open({"trial": str(number), "role": "trial"}, f"{number}", settings, folder, is_ours)

    def open_finalist(
        self,
        trial: int,
        place: int,
        run_key: str,
        settings: TrainSettings,
        folder: Path,
        is_ours: Callable[[], bool] = lambda: True,
    ) -> TrialRun:
        """Return the run of a finalist's training, found again by its ``run_key``; as :meth:`open_trial` otherwise."""
        mine = {"role": "finalist", "run_key": run_key}
        return self._open(mine, f"{trial} seed {place + 1}", settings, folder, is_ours, finalist=str(trial))

    def _open(
        self,
        mine: Mapping[str, str],
        title: str,
        settings: TrainSettings,
        folder: Path,
        is_ours: Callable[[], bool],
        **tags: str,
    ) -> TrialRun:
        sizes = (self.n_features, *settings.hidden_sizes, self.n_classes)
        params = lineage.params(settings, n_parameters(sizes))
        shown = {name: fact for name, fact in self.made_with.items() if name in lineage.SHOWN}
        note = f"Trial {title} of the search {self.study}"
        described = {lineage.NOTE: note, **lineage.source(SOURCE), **shown}
        mine = {**named(self.study, self.uid), **mine}
        # Which epoch the weights are of is told anew at the end, and must not stand there twice.
        looked = {name: value for name, value in figures_of(folder, mine).items() if name != MEASURED}
        record = TrialRecord(
            mine=mine,
            name=f"{title}: {lineage.run_name(settings)}",
            tags={**tags, **described, "folder": str(folder), PARENT_TAG: self.parent_id},
            params={name: str(value) for name, value in params.items()},
            made_with=self.made_with,
            metrics=looked,
        )
        forget(folder)
        run = self.store.later_run(record.mine, record.name, record.tags, record.params, self.parent_id, is_ours)
        if looked:  # the store may lack it still
            run.log_metrics(looked)
        return TrialRun(run, TrainingFolder(folder), record)

    def find(self, run_key: str, metric: str) -> tuple[str, float, dict[str, Any]] | None:
        """Return an equal training outside the study: where, the metric of its weights' epoch, and its facts."""
        try:
            return self._find(run_key, metric)
        except StorageError:  # the queue tells of it
            return None

    def _find(self, run_key: str, metric: str) -> tuple[str, float, dict[str, Any]] | None:
        # One of the study itself is of a trial whose worker died before it could tell: that trial is continued.
        run = self.store.find_finished({"run_key": run_key}, but=named(self.study, self.uid))
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
