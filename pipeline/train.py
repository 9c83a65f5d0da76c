"""Train one network, or with -m one for each combination of values; every run is tracked by MLflow.

Reads data/prepared/<name>; writes model.npz, history.csv, config.yaml and curves.png into output_dir, and the run's
id beside it. Exit codes: 2 configuration, 3 data, 4 tracking store, 5 training diverged; with -m the worst job's.
"""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from mlpsweep.tables import counted
from pipeline.door import PARENT, Context, Door, Sweep, enter
from pipeline.settings import TrainJob
from pipeline.standing import shown

# So many epochs may pass before a training that learns nothing is spoken of.
HINT_AFTER = 3

if TYPE_CHECKING:
    from mlpsweep.data.dataset import Dataset
    from mlpsweep.report.sweep import FinishedJob
    from mlpsweep.settings import TrainSettings
    from mlpsweep.tracking.run import Run
    from mlpsweep.tracking.store import Store
    from mlpsweep.training.checkpoint import CheckpointStore
    from mlpsweep.training.folder import TrainingFolder
    from mlpsweep.training.history import EpochRecord
    from mlpsweep.training.run import TrainingResult
    from pipeline.kept import Kept


def run(settings: TrainJob, context: Context) -> None:
    """Train, write, track."""
    from mlpsweep.tracking import lineage
    from mlpsweep.tracking.pages import where_to_look
    from mlpsweep.tracking.project import place_of
    from mlpsweep.tracking.store import open_store, reach_store
    from mlpsweep.tracking.training_runs import log_record, log_start, take_equal
    from mlpsweep.training.folder import RunRecord, TrainingFolder
    from mlpsweep.training.identity import environment, run_key, settings_digest
    from pipeline.inputs import settled
    from pipeline.kept import kept

    reach_store(settings.tracking)
    settings, dataset = settled(settings, context)
    training, folder = settings.training(), TrainingFolder(context.folder)
    name, key = lineage.run_name(training), run_key(training, dataset.manifest.digest)
    digests = {"data_digest": dataset.manifest.digest, "settings_digest": settings_digest(training)}
    origin, title = lineage.origin(), dataset.manifest.title
    recipe = dict(word.split("=") for word in context.overrides if word.startswith("recipe="))
    store = open_store(settings.tracking, dataset.manifest.dataset, stands_in=bool(dataset.manifest.stands_in_for))
    again = f"`python -m pipeline.verify model_dir={shown(context.folder)}` trains it again and compares every bit."
    described = {**lineage.source(DOOR.module), **origin, **recipe, lineage.NOTE: f"{title}. {again}"}
    with (
        kept(key, training.total_epochs, resumes=settings.resume) as earlier,
        begun(store, earlier, name, {"run_key": key, "folder": place_of(folder.path), **described}) as tracked,
    ):
        record = RunRecord(tracked.run_id, name, {**origin, **environment(), **digests})
        log_record(tracked, folder, record)
        log_start(tracked, training, dataset, settings.paths.prepared)
        # reuse=null: take equal runs inside a multirun, always train for a single command.
        is_reusing = context.number is not None if settings.reuse is None else settings.reuse
        equal = take_equal(store, key, tracked, folder) if is_reusing else None
        if equal:
            record = replace(record, metrics=equal.metrics(), reused_from=equal.run_id)
            line = f"reused: taken from the equal run {equal.run_id}; train it again with reuse=false"
        else:
            earlier.announce()
            result = train(settings, dataset, folder, tracked, earlier.into(tracked))
            record = replace(record, seconds=result.seconds, metrics=result.metrics())
            line = f"{result}{f', {result.resumed_from} of them before' if result.resumed_from else ''}"
        log_record(tracked, folder, record)
        tracked.set_tags({lineage.NOTE: f"**{title}**: {line}.\n\n{again}"})
    sys.stdout.write(f"{name}: {line}\n{shown(context.folder)}  MLflow run {tracked.run_id}\n")
    if context.number is None:
        sys.stdout.write(f"{where_to_look(store.client, store.experiment_id)}\n")


def begun(store: "Store", earlier: "Kept", name: str, tags: dict[str, str]) -> "Run":
    """Return the run of a training: that of the interrupted one that goes on, or a new one."""
    from mlpsweep.tracking.store import PARENT_TAG

    parent_id = os.environ.get(PARENT)
    run = earlier.earlier_run(store)
    if run is None:
        return store.start_run(name, tags=tags, parent_id=parent_id)
    run.set_tags({**tags, PARENT_TAG: parent_id} if parent_id else tags)
    return run


def train(
    settings: TrainJob,
    dataset: "Dataset",
    folder: "TrainingFolder",
    tracked: "Run",
    checkpoints: "CheckpointStore | None",
) -> "TrainingResult":
    """Train one network, save it, and log it."""
    from mlpsweep.figures.style import png_bytes
    from mlpsweep.figures.training import curves
    from mlpsweep.tracking.lineage import run_name
    from mlpsweep.tracking.training_runs import log_training
    from mlpsweep.training.run import run_training
    from pipeline.inputs import say
    from pipeline.progress import TrainBar

    training = settings.training()
    name = run_name(training)
    with TrainBar(name, training.total_epochs, training.batch_size) as bar:

        def on_epoch(record: "EpochRecord") -> None:
            tracked.log_epoch(record)
            bar.epoch(record)
            if record.epoch == HINT_AFTER and is_at_chance(record, dataset):
                bar.say(hint(training, record))

        result = run_training(training, dataset, on_epoch=on_epoch, on_progress=bar.update, checkpoints=checkpoints)
    for message in result.passed_over:
        say(f"note: {message}")
    if settings.origin.study:
        result = replace(result, model=result.model.with_metadata(origin=asdict(settings.origin)))
    figure = curves(result.history, f"{dataset.manifest.title}: {name}")
    folder.save(result, training, png_bytes(figure))
    log_training(tracked, folder, result, dataset.train.images[dataset.train.rows[:1]])
    return result


def is_at_chance(record: "EpochRecord", dataset: "Dataset") -> bool:
    """Return whether an epoch decided hardly better than one who always names the most frequent class."""
    import numpy as np

    labels = dataset.train.labels[dataset.train.rows]
    most = int(np.bincount(labels).max())
    return record.measured_accuracy()[1] <= 1.2 * most / len(labels)


def hint(training: "TrainSettings", record: "EpochRecord") -> str:
    """Return what to try for a training that has learned nothing yet."""
    name, share = record.measured_accuracy()
    other = " activation=relu or tanh," if "sigmoid" in training.activations else ""
    return (
        f"hint: {name} accuracy is {100 * share:.2f} % after {counted(record.epoch, 'epoch')}, no better than chance. "
        f"Try{other} another learning_rate than {training.learning_rate:g}, or another initializer than "
        f"{training.initializer}."
    )


@contextmanager
def around(sweep: Sweep) -> Iterator[None]:
    """Open a parent run for the jobs, fetch their data once, and compare them at the end, however it ends."""
    from mlpsweep.errors import hide_passwords
    from mlpsweep.tracking.lineage import origin, source
    from mlpsweep.tracking.pages import where_to_look
    from mlpsweep.tracking.parents import log_known
    from mlpsweep.tracking.store import open_store, reach_store
    from pipeline.inputs import settled

    reach_store(sweep.jobs[0].settings.tracking)
    for job in sweep.jobs:
        settings, dataset = settled(job.settings, Context(sweep.folder, job.overrides, job.chosen))
    store = open_store(settings.tracking, dataset.manifest.dataset, stands_in=bool(dataset.manifest.stands_in_for))
    tags = {**source(DOOR.module), **origin(), "sweep": str(sweep.folder)}
    words = (hide_passwords(word).partition("=") for word in sweep.varied())
    with store.start_run(f"sweep {sweep.title}", tags=tags) as parent:
        log_known(parent, {f"sweep.{name}": values for name, _, values in words})
        os.environ[PARENT] = parent.run_id
        try:
            yield
        finally:
            del os.environ[PARENT]
            store.end_children(parent.run_id)
            log_outcome(parent, sweep, summarize(sweep))
            sys.stdout.write(f"{where_to_look(store.client, store.experiment_id)}\n")


def log_outcome(parent: "Run", sweep: Sweep, jobs: "list[FinishedJob]") -> None:
    """Give the parent what its jobs found, in figures, in words and as a page."""
    from mlpsweep.errors import hide_passwords
    from mlpsweep.report.notes import parent_of_sweep
    from mlpsweep.report.page import Command
    from mlpsweep.report.sweep import METRIC
    from mlpsweep.tables import counted
    from mlpsweep.tracking.parents import PAGE, log_summary

    line = hide_passwords(f"python -m {DOOR.module} -m {shlex.join(sweep.words)}")
    compare = f"python -m pipeline.compare sweep={shlex.quote(str(shown(sweep.folder)))}"
    commands = (Command("the sweep again", line), Command("compare its runs", compare))
    told = parent_of_sweep(jobs, counted(len(jobs), "job"), commands)
    pictures = {file.stem: file.read_bytes() for file in (sweep.folder / "seeds.png",) if file.exists()}
    log_summary(parent, METRIC, told.best, told.metrics, told.note())
    parent.log_text(PAGE, told.page(f"Sweep {sweep.title}", pictures))


def summarize(sweep: Sweep) -> "list[FinishedJob]":
    """Print the comparison of a multirun's jobs, the failed ones too, and return them."""
    from mlpsweep.config import flat, plain
    from mlpsweep.figures.seeds import seeds_figure
    from mlpsweep.figures.style import save_figure
    from mlpsweep.report.sweep import FinishedJob, by_value, jobs_table, seeds_table
    from mlpsweep.training.folder import TrainingFolder
    from pipeline.screen import show

    outcomes = sweep.outcomes()
    jobs = [
        FinishedJob(flat(plain(job.settings)), TrainingFolder(sweep.folder / str(number)).record(), ended.word)
        for number, (job, ended) in enumerate(zip(sweep.jobs, outcomes, strict=True))
    ]
    faults: dict[str, list[str]] = {}
    for number, ended in enumerate(outcomes):
        for message in [told for told in ended.messages if told != ended.word]:
            faults.setdefault(message, []).append(str(number))
    notes = [f"job{'s' * (len(of) > 1)} {', '.join(of)}: {message}" for message, of in faults.items()]
    show(jobs_table(jobs, f"{counted(len(jobs), 'job')} in {shown(sweep.folder)}; compare them in `mlflow ui`"), *notes)
    if groups := by_value(jobs):
        show(seeds_table(*groups))
        save_figure(seeds_figure(*groups), sweep.folder / "seeds.png")
    return jobs


DOOR = Door(
    module="pipeline.train",
    text=__doc__,
    settings=TrainJob,
    config="train",
    run=run,
    around=around,
    makes_folder=True,
    writes_folder=True,
    examples=(
        'activation=relu "hidden_sizes=[300,100]"  # one network',
        "-m activation=sigmoid,tanh,relu seed=0,1,2  # a sweep: nine jobs",
        "resume=true activation=relu  # go on with an interrupted training",
    ),
)

if __name__ == "__main__":
    enter("pipeline.train")
