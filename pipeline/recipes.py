"""Train every recipe with every seed, measure each once, and write the page of results beside the published figures.

Reads data/prepared/mnist; writes one folder per recipe and seed into output_dir, and docs/results.md with its figures.
A job that fails stops no other. Exit codes: 2 configuration, 3 data, 5 a job failed.
"""

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.door import SEVERITY, Context, JobsFailed, Outcome, enter, guarded
from pipeline.settings import EvaluateJob, RecipesJob, TrainJob

if TYPE_CHECKING:
    from pipeline.results import Attempt

SETTINGS, CONFIG = RecipesJob, "recipes"
CHOSEN = ("recipe",)


def run(settings: RecipesJob, context: Context) -> None:
    """Train and evaluate all, then write the page."""
    from mlpsweep.tracking.lineage import origin
    from mlpsweep.tracking.store import open_store
    from pipeline.inputs import settled
    from pipeline.train import PARENT

    jobs = planned(settings)
    _, dataset = settled(next(iter(jobs.values())), Context(context.folder, chosen=CHOSEN))
    store = open_store(settings.tracking, dataset.manifest.dataset)
    with store.start_run("recipes", tags=origin()) as parent:
        os.environ[PARENT] = parent.run_id
        try:
            outcomes = train_all(settings, jobs)
        finally:
            del os.environ[PARENT]
        page = Path(settings.page)
        write_page(collected(settings, jobs, outcomes), page)
        parent.log_files([page])
        failed = [outcome.exit_code for outcome in outcomes.values() if outcome.exit_code]
        if failed:
            raise JobsFailed(len(failed), len(jobs), min(failed, key=SEVERITY.index))


def planned(settings: RecipesJob) -> dict[str, TrainJob]:
    """Return each job's settings by its folder's name, checked before anything runs."""
    from pipeline.compose import CONF, check

    names = settings.names or sorted(file.stem for file in (CONF / "recipe").glob("*.yaml"))
    words = [f"recipe={','.join(names)}", f"seed={','.join(map(str, settings.seeds))}"]
    folders = [f"{name}-{seed}" for name in names for seed in settings.seeds]
    jobs = [job.settings for job in check("train", TrainJob, words, multirun=True)]
    shared = {"paths": settings.paths, "tracking": settings.tracking, "reuse": settings.reuse}
    return {folder: replace(job, **shared) for folder, job in zip(folders, jobs, strict=True)}


def train_all(settings: RecipesJob, jobs: Mapping[str, TrainJob]) -> dict[str, Outcome]:
    """Run the jobs in processes; say of each how it ended."""
    context = multiprocessing.get_context("spawn")  # BLAS and SQLite do not survive a fork
    with ProcessPoolExecutor(settings.n_workers, mp_context=context) as pool:
        futures: dict[Future[Outcome], str] = {
            pool.submit(train_one, job, Path(settings.output_dir) / folder): folder for folder, job in jobs.items()
        }
        outcomes: dict[str, Outcome] = {}
        try:
            for future in as_completed(futures):
                folder = futures[future]
                outcomes[folder] = outcome = future.result()
                ended = "; ".join(outcome.messages) or "done"
                sys.stdout.write(f"{len(outcomes):>3} of {len(jobs)}  {folder:<24} {ended}\n")
                sys.stdout.flush()
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return outcomes


def train_one(job: TrainJob, folder: Path) -> Outcome:
    """Train and evaluate in this process, with what the doors print in a file beside the folder."""
    from pipeline import evaluate, train

    recipe = folder.name.rpartition("-")[0]
    measured = EvaluateJob(
        model_dir=str(folder), output_dir=None, register=False, paths=job.paths, tracking=job.tracking
    )

    def work() -> None:
        train.run(job, Context(folder, (f"recipe={recipe}",), CHOSEN))
        evaluate.run(measured, Context(folder))

    with printing_to(folder.with_name(f"{folder.name}.log")):
        return guarded(work)


@contextlib.contextmanager
def printing_to(path: Path) -> Iterator[None]:
    """Send standard output and error of this process to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", buffering=1) as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        yield


def collected(
    settings: RecipesJob, jobs: Mapping[str, TrainJob], outcomes: Mapping[str, Outcome]
) -> "dict[str, list[Attempt]]":
    """Return what the jobs that ended well reached, by recipe."""
    from mlpsweep.tracking.store import open_store
    from mlpsweep.training.folder import TrainingFolder
    from pipeline.results import load_attempt

    found: dict[str, list[Attempt]] = {}
    for name, job in jobs.items():
        if outcomes[name].exit_code == 0:
            folder = Path(settings.output_dir) / name
            record = TrainingFolder(folder).record()
            tracked = open_store(job.tracking, job.data.name).open_run(record.run_id) if record else None
            speed = tracked.metrics().get("samples_per_s") if tracked else None
            found.setdefault(name.rpartition("-")[0], []).append(load_attempt(folder, speed, job.batch_size))
    return found


def write_page(attempts: "Mapping[str, list[Attempt]]", page: Path) -> None:
    """Write the page and its figures, which lie in ``images/`` beside it."""
    from mlpsweep.figures.style import save_figure
    from mlpsweep.files import write_atomic
    from pipeline.results import figures, render_results

    drawn = figures(attempts)
    for name, figure in drawn.items():
        save_figure(figure, page.parent / "images" / name)
    write_atomic(page, render_results(attempts, [f"images/{name}" for name in drawn]).encode())
    sys.stdout.write(f"{page}\n")


if __name__ == "__main__":
    enter("pipeline.recipes")
