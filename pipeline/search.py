"""Search for the best configuration: start a study, join it, resume it or extend it, all with this one command.

Reads data/prepared/<name>; works until the study has search.n_trials trials; writes recipe/winner.yaml, summary.json
and trials.csv into output_dir. Exit codes: 2 configuration, 3 data, 4 study or tracking store, 5 no trial completed.
"""

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.door import Context, enter
from pipeline.settings import SearchJob

if TYPE_CHECKING:
    from mlpsweep.data.dataset import Dataset
    from mlpsweep.search.study import Study
    from mlpsweep.search.worker import Outcome
    from mlpsweep.tracking.run import Run
    from mlpsweep.tracking.store import Store

SETTINGS, CONFIG = SearchJob, "search"


def run(settings: SearchJob, context: Context) -> None:
    """Work on the study until its target, then write what was found."""
    from mlpsweep.tracking.store import open_store, work_tree
    from mlpsweep.tracking.trials import search_run
    from pipeline.prepare import settled

    fixed = held(settings, context)
    settings, dataset = settled(settings, context)
    study = open_study_of(settings, dataset, work_tree())
    store = open_store(settings.tracking, dataset.manifest.dataset)
    with search_run(store, study.name) as parent:
        outcome = work_on(study, settings, dataset, store, parent)
        if outcome.signal:
            sys.stderr.write(f"{len(study.counted())} of {settings.search.n_trials} trials; the same command goes on\n")
            signal.raise_signal(outcome.signal)
        write(study, fixed, context.folder)
        parent.log_files(path for path in sorted(context.folder.rglob("*")) if path.is_file())


def open_study_of(settings: SearchJob, dataset: "Dataset", root: Path) -> "Study":
    """Return the study that these settings define."""
    from mlpsweep.search.space import Space
    from mlpsweep.search.study import Plan, open_study
    from mlpsweep.training.identity import numeric_sources_digest

    manifest = dataset.manifest
    space = Space.build(settings.space, settings.training(), manifest.n_features, manifest.n_classes)
    plan = Plan(manifest.dataset, manifest.digest, numeric_sources_digest(), space, settings.search.metric)
    return open_study(plan, settings.search, root)


def work_on(study: "Study", settings: SearchJob, dataset: "Dataset", store: "Store", parent: "Run") -> "Outcome":
    """Do this process's share of the study's trials."""
    from mlpsweep.search.worker import Hands, work
    from mlpsweep.settings import TrainSettings
    from mlpsweep.tracking.lineage import origin
    from mlpsweep.tracking.trials import TrialRecorder
    from mlpsweep.training.identity import environment, run_key
    from mlpsweep.training.run import TrainingResult, run_training

    manifest = dataset.manifest
    tags = {**origin(), **environment()}
    recorder = TrialRecorder(store, study.name, parent.run_id, tags, manifest.n_features, manifest.n_classes)

    def train_one(settings: TrainSettings, **hooks: Any) -> TrainingResult:
        return run_training(settings, dataset, **hooks)

    return work(study, settings.search, Hands(train_one, recorder, lambda trial: run_key(trial, manifest.digest)))


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
