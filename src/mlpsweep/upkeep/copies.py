"""The store's copy of what folders record: a run for each training and trial, with its points, files and end."""

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from mlpsweep.errors import DataError
from mlpsweep.tables import counted
from mlpsweep.tracking.abandoned import is_at_work, is_of
from mlpsweep.tracking.endings import STATE, is_finished
from mlpsweep.tracking.lookup import Runs
from mlpsweep.tracking.model import lacks_model, log_model, store_model
from mlpsweep.tracking.points import Point, missing_points, recorded_points, send_points
from mlpsweep.tracking.project import project_id, project_tags
from mlpsweep.tracking.queue import answered
from mlpsweep.tracking.run import INCOMPLETE, REASON
from mlpsweep.tracking.store import PARENT_TAG, open_store
from mlpsweep.tracking.training_runs import RECORD, log_record, run_of
from mlpsweep.tracking.trial_record import NAME, TrialRecord, files_of
from mlpsweep.tracking.trial_runs import UID_TAG
from mlpsweep.training.folder import TrainingFolder
from mlpsweep.training.model import Model
from mlpsweep.upkeep.finding import FIX, MISSING, STALE, Finding
from mlpsweep.upkeep.project import Project, fault_of, record_of

RESTORED: Final = f"{FIX} makes one of what the folder has: without data sets and times; `evaluate` adds its figures"


@dataclass(frozen=True)
class Lack:
    """What a run lacks.

    Parameters
    ----------
    points : tuple
        Points of metrics.
    files : tuple of Path
        Files of the folder.
    model : Path or None
        Weights of the model that it should hold and does not.
    has_end : bool
        Whether it has the status and the trial's state that its folder tells, and is not marked as incomplete.
    """

    points: tuple[Point, ...]
    files: tuple[Path, ...]
    model: Path | None
    has_end: bool

    def __bool__(self) -> bool:
        return bool(self.points or self.files or self.model or not self.has_end)

    def __str__(self) -> str:
        parts = [counted(len(self.points), "point")] * bool(self.points)
        parts += [counted(len(self.files), "file")] * bool(self.files) + ["its model"] * bool(self.model)
        parts += ["its end"] * (not self.has_end)
        return f"its run lacks {', '.join(parts)}"


def missing_trainings(project: Project) -> Iterator[Finding]:
    """Yield trainings without a run in the store, and those whose run lacks something."""
    runs = project.runs()
    for folder in project.trainings():
        if fault_of(folder):
            continue  # told among the damaged ones
        record, place = record_of(folder), project.shown(folder.path)
        run = runs.get(record.run_id) if runs and record else None
        if run is None:
            key = folder.load()[0].metadata["run_key"]
            if runs is None or not any(map(is_finished, runs.with_tags({"run_key": key}))):
                mend = functools.partial(_restore, project, folder)
                yield Finding(MISSING, place, "the store has no run of this training", RESTORED, mend)
        elif runs and run.info.lifecycle_stage == "active" and not is_at_work(run, project.root):
            files = [file for file in (*folder.outputs, folder.record_file) if file.exists()]
            # A run that took an equal training's outputs has no model of its own.
            weights = None if record and record.reused_from else folder.weights
            yield from _incomplete(runs, run, folder, files, "FINISHED", place, weights=weights)


def missing_trials(project: Project) -> Iterator[Finding]:
    """Yield trials that ended and have no run in the store, or one that lacks something."""
    runs = project.runs()
    for path in project.trials():
        if not (path / NAME).exists():
            continue
        with contextlib.suppress(DataError):  # told among the damaged ones
            record, folder, place = TrialRecord.read(path), TrainingFolder(path), project.shown(path)
            found = runs.with_tags(record.mine) if runs else []
            if found and found[0].data.tags.get("project") not in (None, project_id(project.root)):
                continue  # another host went on with it
            if not found:
                mend = functools.partial(_create, project, folder, record)
                yield Finding(MISSING, place, "the store has no run of this trial", f"{FIX} makes one", mend)
            elif runs and found[0].info.lifecycle_stage == "active" and not is_at_work(found[0], project.root):
                yield from _duplicates(project, runs, found, record, place)
                tags = {name: value for name, value in record.tags.items() if name == STATE}
                # Without a history the record alone has figures.
                figures = {} if folder.histories() else record.metrics
                yield from _incomplete(
                    runs, found[0], folder, files_of(folder), record.status, place, record.reason, tags, figures=figures
                )


def _duplicates(
    project: Project, runs: Runs, found: Sequence[Any], record: TrialRecord, place: str
) -> Iterator[Finding]:
    """Yield a trial with several runs, which two workers could make that both waited for a server."""
    if UID_TAG not in record.mine:
        return  # another study may have had the name, and the run be its trial's
    active = [run for run in found[1:] if run.info.lifecycle_stage == "active"]
    others = [run for run in active if is_of(run, project.root) and not is_at_work(run, project.root)]

    def delete() -> None:
        with answered(runs.where):
            for run in others:
                runs.client.delete_run(run.info.run_id)

    if others:
        what = f"the store has {len(others) + 1} runs of this trial"
        yield Finding(STALE, place, what, f"{FIX} deletes all but the newest", delete)


def _incomplete(
    runs: Runs,
    run: Any,
    folder: TrainingFolder,
    files: Sequence[Path],
    status: str,
    place: str,
    reason: str | None = None,
    tags: Mapping[str, str] | None = None,
    weights: Path | None = None,
    figures: Mapping[str, float] = MappingProxyType({}),
) -> Iterator[Finding]:
    """Yield a run that lacks something, with what sends it."""
    points = recorded_points(folder) if folder.histories() else []
    points += [(name, value, 0, run.info.start_time) for name, value in figures.items()]
    lack = _lack(runs, run, points, files, tags or {}, status, weights)
    if lack:
        state = MISSING if lack.points or lack.files or lack.model else STALE
        mend = functools.partial(_send, runs, run.info.run_id, lack, status, reason, tags or {})
        yield Finding(state, place, str(lack), f"{FIX} sends it", mend)


def _lack(
    runs: Runs,
    run: Any,
    points: list[Point],
    files: Sequence[Path],
    tags: Mapping[str, str],
    status: str,
    weights: Path | None,
) -> Lack:
    run_id = run.info.run_id
    with answered(runs.where):
        there = {file.path for file in runs.client.list_artifacts(run_id)}
        missing = missing_points(runs.client, run_id, points)
        model = weights if weights and lacks_model(runs.client, run) else None
    has_end = run.info.status == status and INCOMPLETE not in run.data.tags and tags.items() <= run.data.tags.items()
    return Lack(tuple(missing), tuple(file for file in files if _stored_as(file) not in there), model, has_end)


def _stored_as(file: Path) -> str:
    """Return a file's name in its run: a training's record lies beside the folder, named after it."""
    return RECORD if file.name.endswith(f".{RECORD}") else file.name


def _send(runs: Runs, run_id: str, lack: Lack, status: str, reason: str | None, tags: Mapping[str, str]) -> None:
    """Send what a run lacks, its end last."""
    client = runs.client
    with answered(runs.where):
        send_points(client, run_id, list(lack.points))
        for file in lack.files:
            if _stored_as(file) == file.name:
                client.log_artifact(run_id, str(file))
            else:
                client.log_text(run_id, file.read_text(), _stored_as(file))
        known = client.get_run(run_id)
        if lack.model:
            store_model(client, known, lack.model, Model.load(lack.model))
        for name, value in ({REASON: reason} if reason else {}).items() | tags.items():
            client.set_tag(run_id, name, value)
        for name in ([] if reason else [REASON]) + [INCOMPLETE]:
            if name in known.data.tags:
                client.delete_tag(run_id, name)
        if known.info.status != status:
            client.set_terminated(run_id, status)


def _restore(project: Project, folder: TrainingFolder) -> None:
    """Make a run of a training whose folder is whole."""
    model, settings = folder.load()
    dataset, wanted = str(model.metadata["dataset"]), model.metadata.get("stands_in_for")
    with open_store(project.tracking, dataset, stands_in=bool(wanted)) as store:
        run = run_of(store, folder, model, settings)
        run.queue.put_points(run.handle, recorded_points(folder))
        record = record_of(folder)
        if not (record and record.reused_from):
            log_model(run, folder.weights, model)
        if record:
            log_record(run, folder, replace(record, run_id=run.run_id))


def _create(project: Project, folder: TrainingFolder, record: TrialRecord) -> None:
    """Make the run of a trial that ended."""
    with open_store(project.tracking, record.params["data.name"]) as store, answered(store.queue.where):
        parent, runs, at_ms = None, project.runs(), folder.written_ms()
        if runs and PARENT_TAG in record.tags:
            parent = runs.get(record.tags[PARENT_TAG])
        experiment_id = parent.info.experiment_id if parent else store.experiment_id
        run_id = record.create(store.client, experiment_id, at_ms, project_tags(project.root))
        send_points(store.client, run_id, recorded_points(folder) if folder.histories() else [])
        for file in files_of(folder):
            store.client.log_artifact(run_id, str(file))
        store.client.set_terminated(run_id, record.status, at_ms)
