"""Search for the best configuration: start a study, join it, resume it or extend it, all with this one command.

Reads data/prepared/<name>; works until the study has search.n_trials trials; writes recipe/winner.yaml, summary.json
and trials.csv into output_dir. Exit codes: 2 configuration, 3 data, 4 study or tracking store, 5 no trial completed.
"""

import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.door import Context, Sweep, enter
from pipeline.settings import SearchJob

if TYPE_CHECKING:
    from mlpsweep.data.dataset import Dataset
    from mlpsweep.search.study import Plan, Study
    from mlpsweep.search.worker import Hands, Outcome
    from mlpsweep.tracking.run import Run
    from mlpsweep.tracking.store import Store

SETTINGS, CONFIG = SearchJob, "search"
# With -m worker=range(4) a launcher starts workers; they write the same outcome.
SHARES_FOLDER = True


def run(settings: SearchJob, context: Context) -> None:
    """Work on the study until its target, then write what was found."""
    from mlpsweep.search.study import open_study
    from mlpsweep.tracking.store import open_store, reach_store, work_tree
    from mlpsweep.tracking.trials import search_run
    from pipeline.prepare import settled

    if not settings.search.dry_run:
        reach_store(settings.tracking)
    fixed, prepared = held(settings, context), Path(settings.paths.prepared) / settings.data.name
    settings, dataset = settled(settings, context)
    plan = plan_of(settings, dataset)
    if settings.search.dry_run:
        show_plan(plan, settings, dataset)
        return
    study = open_study(plan, settings.search, work_tree())
    with search_run(open_store(settings.tracking, dataset.manifest.dataset), study.name) as parent:
        outcome = search(study, settings, prepared, parent)
        if outcome.signal:
            sys.stderr.write(f"{outcome.n_counted} of {settings.search.n_trials} trials; the same command goes on\n")
            signal.raise_signal(outcome.signal)
        if outcome.timed_out:
            sys.stderr.write(f"search.timeout_s is over after {outcome.n_counted} trials; the same command goes on\n")
        folder = Path(settings.output_dir or context.folder)
        write(study, fixed, folder)
        parent.log_files(path for path in sorted(folder.rglob("*")) if path.is_file())


@contextmanager
def around(sweep: Sweep) -> Iterator[None]:
    """Fetch the data once, before a launcher's workers meet at the study."""
    from mlpsweep.tracking.store import reach_store
    from pipeline.prepare import settled

    reach_store(sweep.jobs[0].settings.tracking)
    settled(sweep.jobs[0].settings, Context(sweep.folder, chosen=sweep.jobs[0].chosen))
    yield


def plan_of(settings: SearchJob, dataset: "Dataset") -> "Plan":
    """Return all that defines the study."""
    from mlpsweep.search.space import Space
    from mlpsweep.search.study import Plan
    from mlpsweep.training.identity import numeric_sources_digest

    manifest = dataset.manifest
    space = Space.build(settings.space, settings.training(), manifest.n_features, manifest.n_classes)
    return Plan(manifest.dataset, manifest.digest, numeric_sources_digest(), space, settings.search.metric)


def show_plan(plan: "Plan", settings: SearchJob, dataset: "Dataset") -> None:
    """Print what a search would do; no study or run is opened."""
    from mlpsweep.search.preview import measure_epoch, preview

    for line in preview(plan, settings.search, measure_epoch(dataset)):
        sys.stdout.write(f"{line}\n")


def search(study: "Study", settings: SearchJob, prepared: Path, parent: "Run") -> "Outcome":
    """Work on the study in this process, or with several below it, and show how it goes."""
    from rich.console import Console

    from mlpsweep.search.live import watch
    from mlpsweep.search.supervisor import supervise

    console = Console(stderr=True)
    with watch(study, settings.search.n_trials, console):
        if settings.search.n_workers == 1:
            return work_as(settings, prepared, parent.run_id)
        return supervise(study, settings.search, work_as, (settings, prepared, parent.run_id), console.print)


def work_as(settings: SearchJob, prepared: Path, parent_id: str) -> "Outcome":
    """Be one worker: open data, study and store, and work until the target."""
    from mlpsweep.data.dataset import load_dataset
    from mlpsweep.search.study import open_study
    from mlpsweep.search.worker import work
    from mlpsweep.tracking.store import open_store, work_tree

    dataset = load_dataset(prepared, settings.data)
    study = open_study(plan_of(settings, dataset), settings.search, work_tree())
    store = open_store(settings.tracking, dataset.manifest.dataset)
    return work(study, settings.search, hands(study, store, parent_id, dataset))


def hands(study: "Study", store: "Store", parent_id: str, dataset: "Dataset") -> "Hands":
    """Return what the search cannot do itself: training, tracking, and finding equal trainings."""
    from mlpsweep.search.worker import Earlier, Hands
    from mlpsweep.settings import TrainSettings
    from mlpsweep.tracking.lineage import origin
    from mlpsweep.tracking.trials import TrialRecorder
    from mlpsweep.training.identity import environment, run_key
    from mlpsweep.training.run import TrainingResult, run_training

    manifest, metric = dataset.manifest, study.plan.metric
    tags = {**origin(), **environment()}
    recorder = TrialRecorder(store, study.name, parent_id, tags, manifest.n_features, manifest.n_classes)

    def train_one(settings: TrainSettings, **hooks: Any) -> TrainingResult:
        return run_training(settings, dataset, **hooks)

    def find(key: str) -> Earlier | None:
        found = recorder.find(key, metric)
        return found and Earlier(*found)

    return Hands(train_one, recorder, lambda settings: run_key(settings, manifest.digest), find)


def write(study: "Study", fixed: Mapping[str, Any], folder: Path) -> None:
    """Write the study's outcome; equal studies write equal bytes. Then say where it is and what rebuilds it."""
    from mlpsweep.files import write_atomic, write_json
    from mlpsweep.search import winner

    write_json(folder / "summary.json", winner.summary(study))
    write_atomic(folder / "trials.csv", winner.trials_csv(study).encode())
    write_atomic(folder / "recipe" / "winner.yaml", winner.recipe(study, fixed).encode())
    best = winner.best_trial(study)
    sys.stdout.write(
        f"study {study.name}: {len(study.counted())} trials; best is trial {best.number} with "
        f"{study.plan.metric} {best.value:.4f}\n{folder}  rebuild the winner: "
        f"python -m pipeline.train --config-dir {folder} recipe=winner\n"
    )


def held(settings: SearchJob, context: Context) -> dict[str, Any]:
    """Return what the search held fixed and ``train`` would not, as the beginning of the winner's recipe.

    The winner gets the data set's full budget, not a trial's, and learns from the validation rows too.
    """
    from mlpsweep.config import plain
    from mlpsweep.tracking.lineage import flat
    from pipeline.compose import check
    from pipeline.settings import TrainJob

    groups = [word for word in context.overrides if word.split("=")[0] in {"data", "optimizer", "schedule"}]
    (job,) = check("train", TrainJob, groups, multirun=False)
    default, searched = flat(plain(job.settings.training())), {"n_epochs", *settings.space.dimensions}
    recipe: dict[str, Any] = {
        "defaults": [{f"override /{name}": choice} for name, choice in (w.split("=") for w in groups)]
    }
    for name, value in flat(plain(settings.training())).items():
        if name not in searched and value != default.get(name):
            group, _, own = name.rpartition(".")
            (recipe.setdefault(group, {}) if group else recipe)[own] = value
    recipe.setdefault("data", {})["n_validation"] = 0
    return recipe | {"monitor": "none"}


if __name__ == "__main__":
    enter("pipeline.search")
