"""Train one network, or with -m one for each combination of values; every run is tracked by MLflow.

Reads data/prepared/<name>; writes model.npz, history.csv, config.yaml and curves.png into output_dir, and the run's
id beside it. Exit codes: 2 configuration, 3 data, 4 tracking store, 5 training diverged or a job of -m failed.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.door import PARENT, Context, Door, Sweep, enter, shown
from pipeline.settings import TrainJob

if TYPE_CHECKING:
    from mlpsweep.data.manifest import Manifest
    from mlpsweep.tracking.run import Run
    from mlpsweep.training.run import TrainingResult

OUTPUTS = ("model.npz", "history.csv", "config.yaml", "curves.png")


def run(settings: TrainJob, context: Context) -> None:
    """Train, write, track."""
    from mlpsweep.tracking import lineage
    from mlpsweep.tracking.store import open_store, reach_store
    from mlpsweep.training.identity import environment, run_key
    from mlpsweep.training.run import run_training
    from pipeline.prepare import settled
    from pipeline.progress import TrainBar

    reach_store(settings.tracking)
    settings, dataset = settled(settings, context)
    training = settings.training()
    manifest, name = dataset.manifest, lineage.run_name(settings)
    store = open_store(settings.tracking, manifest.dataset)
    made_with = {**lineage.origin(), **environment()}
    tags = {"run_key": run_key(training, manifest.digest), **made_with}
    tags |= dict(word.split("=") for word in context.overrides if word.startswith("recipe="))
    with store.start_run(name, tags=tags, parent_id=os.environ.get(PARENT)) as tracked:
        write_record(context.folder, tracked, name, made_with)
        # In a sweep an equal training is not done again; alone, whoever types the command wants it done.
        is_reusing = context.number is not None if settings.reuse is None else settings.reuse
        earlier = store.find_run({"run_key": tags["run_key"], "outputs": "true"}, "FINISHED") if is_reusing else None
        if earlier:
            line = reuse(earlier, tracked, context.folder)
        else:
            with TrainBar(name, settings.batch_size) as bar:
                result = run_training(training, dataset, on_epoch=tracked.log_epoch, on_progress=bar.update)
            save(result, settings, manifest, context.folder)
            track(tracked, result, settings, manifest, len(dataset.train), context.folder)
            write_record(context.folder, tracked, name, made_with, result)
            line = sentence(result)
    sys.stdout.write(f"{name}: {line}\n{shown(context.folder)}  MLflow run {tracked.run_id}\n")


def reuse(earlier: "Run", tracked: "Run", folder: Path) -> str:
    """Take the outputs and figures of an equal training; return what to say of it."""
    from mlpsweep.files import read_json, write_json

    earlier.copy_into(tracked, folder)
    known = read_json(record_of(folder))
    write_json(record_of(folder), {**known, "metrics": earlier.metrics(), "reused_from": earlier.run_id})
    return f"taken from the equal run {earlier.run_id}; train it again with reuse=false"


def sentence(result: "TrainingResult") -> str:
    """Return a training's figures as a line: ``train 94.61 %, validation 94.36 % (loss 0.1950), 2 epochs in 5.6 s``."""
    metrics = last_metrics(result)
    parts = [
        f"{split} {100 * metrics[f'{split}/accuracy']:.2f} % (loss {metrics[f'{split}/loss']:.4f})"
        for split in ("train", "validation", "test")
        if f"{split}/accuracy" in metrics
    ]
    return ", ".join([*parts, f"{len(result.history)} epochs in {result.seconds:.1f} s"])


def save(result: "TrainingResult", settings: TrainJob, manifest: "Manifest", folder: Path) -> None:
    """Write the training's outputs; equal trainings write equal bytes."""
    from mlpsweep import config
    from mlpsweep.figures.style import save_figure
    from mlpsweep.figures.training import curves
    from mlpsweep.files import write_atomic
    from mlpsweep.tracking.lineage import run_name

    result.model.save(folder / "model.npz")
    write_atomic(folder / "history.csv", result.history.to_csv().encode())
    write_atomic(folder / "config.yaml", config.to_yaml(settings.training()).encode())
    save_figure(curves(result.history, f"{manifest.title}: {run_name(settings)}"), folder / "curves.png")


def track(
    tracked: "Run", result: "TrainingResult", settings: TrainJob, manifest: "Manifest", n_train: int, folder: Path
) -> None:
    """Mirror the outputs into the tracked run."""
    from mlpsweep.tracking import lineage
    from mlpsweep.tracking.model import log_model

    model = result.model
    tracked.log_params(lineage.params(settings, model.n_parameters))
    tracked.log_dataset(manifest.dataset, manifest.digest, settings.paths.prepared, n_train, manifest.n_features)
    tracked.log_metrics({"samples_per_s": result.samples_per_s, "epoch_of_weights": result.epoch_of_weights})
    tracked.set_tags({"weights_hash": model.weights_hash})
    if tracked.log_files(folder / name for name in OUTPUTS):
        tracked.set_tags({"outputs": "true"})
    log_model(tracked, folder / "model.npz", manifest.n_features, manifest.n_classes)


def write_record(
    folder: Path, tracked: "Run", name: str, made_with: Mapping[str, str], result: "TrainingResult | None" = None
) -> None:
    """Write the run's id, and what differs from time to time, beside the outputs, which do not change."""
    from mlpsweep.files import write_json

    measured = {"seconds": result.seconds, "metrics": last_metrics(result)} if result else {}
    write_json(record_of(folder), {"run_id": tracked.run_id, "name": name, "made_with": made_with, **measured})


def last_metrics(result: "TrainingResult") -> dict[str, float]:
    """Return the metrics of the epoch whose weights the model has."""
    return result.history[result.epoch_of_weights - 1].metrics() if result.epoch_of_weights else {}


def record_of(folder: Path) -> Path:
    """Return the file beside a training's folder that names its run."""
    return folder.with_name(f"{folder.name}.run.json")


@contextmanager
def around(sweep: Sweep) -> Iterator[None]:
    """Open a parent run for the jobs, fetch their data once, and compare them at the end, however it ends."""
    from mlpsweep.tracking.lineage import origin
    from mlpsweep.tracking.store import open_store, reach_store
    from pipeline.prepare import settled

    reach_store(sweep.jobs[0].settings.tracking)
    for job in sweep.jobs:
        settings, dataset = settled(job.settings, Context(sweep.folder, chosen=job.chosen))
    store = open_store(settings.tracking, dataset.manifest.dataset)
    with store.start_run(f"sweep {sweep.title}", tags={**origin(), "sweep": str(sweep.folder)}) as parent:
        os.environ[PARENT] = parent.run_id
        try:
            yield
        finally:
            del os.environ[PARENT]
            store.end_children(parent.run_id)
            show(sweep)


def show(sweep: Sweep) -> None:
    """Print the comparison of a multirun's jobs, the failed ones too."""
    from rich.console import Console

    from mlpsweep.config import flat, plain
    from mlpsweep.figures.seeds import by_value, seeds_figure, seeds_table
    from mlpsweep.figures.style import save_figure
    from mlpsweep.files import read_json
    from mlpsweep.metric import metric_named
    from mlpsweep.tables import Column, Table, varying

    settings = [flat(plain(job.settings)) for job in sweep.jobs]
    rows = []
    for number, (values, outcome) in enumerate(zip(settings, sweep.outcomes(), strict=True)):
        file = record_of(sweep.folder / str(number))
        record = read_json(file) if file.exists() else {}
        ended = "; ".join(outcome.messages) if outcome.exit_code else "done"
        rows.append(
            {**values, "job": number, **record.get("metrics", {}), "seconds": record.get("seconds"), "ended": ended}
        )
    names = varying(settings, settings[0])
    measured = [
        name for name in ("train/loss", "validation/loss", "validation/accuracy") if any(name in row for row in rows)
    ]
    columns = [
        Column("job", "job"),
        *(Column(name, name) for name in names),
        *(Column(name, name, metric_named(name).kind) for name in measured),
        Column("seconds", "time", "seconds"),
        Column("ended", "ended"),
    ]
    table = Table(f"{len(rows)} jobs in {sweep.folder}; compare them in `mlflow ui`", tuple(columns), tuple(rows))
    # Without a terminal rich would squeeze the table into 80 columns.
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table.to_rich())
    if groups := by_value(rows, names):
        console.print(seeds_table(*groups).to_rich())
        save_figure(seeds_figure(*groups), sweep.folder / "seeds.png")


DOOR = Door(
    module="pipeline.train",
    text=__doc__,
    settings=TrainJob,
    config="train",
    run=run,
    around=around,
    makes_folder=True,
)

if __name__ == "__main__":
    enter("pipeline.train")
