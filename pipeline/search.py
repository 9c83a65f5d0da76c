"""Search for the best configuration: start a study, join it, resume it or extend it, all with this one command.

Reads data/prepared/<name>; works until the study has search.n_trials trials, then trains the best ones on further
seeds; writes recipe/winner.yaml, summary.json, trials.csv and figures into output_dir, times beside it.
Exit codes: 2 configuration, 3 data, 4 study or tracking store, 5 no trial completed.
"""

import dataclasses
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.door import Context, Door, Sweep, enter
from pipeline.settings import SearchJob

if TYPE_CHECKING:
    from mlpsweep.data.dataset import Dataset
    from mlpsweep.search.finalists import Finalist
    from mlpsweep.search.rows import Search
    from mlpsweep.search.study import Plan, Study
    from mlpsweep.search.worker import Outcome
    from mlpsweep.settings import TrainSettings
    from mlpsweep.tracking.run import Run


def run(settings: SearchJob, context: Context) -> None:
    """Work on the study until its target, then write what was found."""
    from mlpsweep.search.study import open_study
    from mlpsweep.tracking.store import open_store, reach_store, work_tree
    from mlpsweep.tracking.trial_runs import search_run
    from pipeline.prepare import settled

    if not settings.search.dry_run:
        reach_store(settings.tracking)
    fixed, prepared = held(settings), Path(settings.paths.prepared) / settings.data.name
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
        write(study, settings, fixed, folder)
        beside = (folder.with_name(f"{folder.name}.{name}") for name in ("times.csv", "timeline.png"))
        parent.log_files(path for path in (*sorted(folder.rglob("*")), *beside) if path.is_file())


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
    """Be one worker: open data, study and store, work until the target, then share in the finalists' trainings."""
    from mlpsweep.data.dataset import load_dataset
    from mlpsweep.search.finalists import FinalistHands, scores_of, train_finalists
    from mlpsweep.search.scores import row_scores
    from mlpsweep.search.study import open_study
    from mlpsweep.search.worker import Earlier, Hands, work
    from mlpsweep.tracking.lineage import origin
    from mlpsweep.tracking.store import open_store, work_tree
    from mlpsweep.tracking.trial_runs import TrialRecorder
    from mlpsweep.training.identity import environment
    from mlpsweep.training.model import Model
    from mlpsweep.training.run import TrainingResult, run_training

    dataset = load_dataset(prepared, settings.data)
    manifest, metric, key_of = dataset.manifest, settings.search.metric, run_keys(dataset)
    study = open_study(plan_of(settings, dataset), settings.search, work_tree())
    store, tags = open_store(settings.tracking, manifest.dataset), {**origin(), **environment()}
    recorder = TrialRecorder(store, study.name, parent_id, tags, manifest.n_features, manifest.n_classes)

    def train_one(settings: "TrainSettings", **hooks: Any) -> TrainingResult:
        return run_training(settings, dataset, **hooks)

    def score(model: Model) -> Any:
        return row_scores(model, dataset.validation, metric)

    def train_trial(settings: "TrainSettings", **hooks: Any) -> TrainingResult:
        result = train_one(settings, **hooks)
        scores_of(study).save(key_of(settings), score(result.model))
        return result

    def find(key: str) -> Earlier | None:
        found = recorder.find(key, metric)
        return found and Earlier(*found)

    outcome = work(study, settings.search, Hands(train_trial, recorder, key_of, find))
    if outcome.signal or outcome.timed_out:
        return outcome
    hands = FinalistHands(train_one, score, recorder, key_of, lambda line: sys.stderr.write(f"{line}\n"))
    return dataclasses.replace(outcome, signal=train_finalists(study, settings.winner, hands))


def run_keys(dataset: "Dataset") -> "Callable[[TrainSettings], str]":
    """Return the function that gives a training's ``run_key`` on this data."""
    from mlpsweep.training.identity import run_key

    return lambda settings: run_key(settings, dataset.manifest.digest)


def write(study: "Study", settings: SearchJob, fixed: Mapping[str, Any], folder: Path) -> None:
    """Write the study's outcome; equal studies write equal bytes. Then say where it is and what rebuilds it."""
    from rich.console import Console

    from mlpsweep.files import write_atomic, write_json
    from mlpsweep.report.search import finalists_table
    from mlpsweep.search import winner
    from mlpsweep.search.finalists import finalists
    from mlpsweep.search.rows import times_csv, trials_csv
    from mlpsweep.training.identity import run_key

    compared = finalists(study, settings.winner, lambda one: run_key(one, study.plan.data_digest))
    search = winner.search_of(study, compared)
    write_json(folder / "summary.json", winner.summary(study, compared))
    write_atomic(folder / "trials.csv", trials_csv(search.trials).encode())
    write_atomic(folder / "recipe" / "winner.yaml", winner.recipe(study, fixed, compared).encode())
    write_atomic(folder.with_name(f"{folder.name}.times.csv"), times_csv(search.trials).encode())
    draw(search, folder)
    if compared:
        Console(width=max(110, Console().width)).print(finalists_table(search, shows_seeds=False).to_rich())
    won = winner.winning_trial(study, compared)
    sys.stdout.write(
        f"study {study.name}: {len(study.counted())} trials; the winner is trial {won.number} with "
        f"{study.plan.metric} {won.value:.4f}{mean_of(compared)}\n{folder}  rebuild the winner: "
        f"python -m pipeline.train --config-dir {folder} recipe=winner\n"
    )


def mean_of(compared: "list[Finalist]") -> str:
    """Return the winner's mean as a remark."""
    won = [one for one in compared if one.is_winner and one.spread is not None]
    return "".join(f", {one.mean:.4f} ± {one.spread:.4f} over {len(one.values)} seeds" for one in won)


def draw(search: "Search", folder: Path) -> None:
    """Write the figures; the one with wall times in it beside the folder."""
    from mlpsweep.figures.search import draw_search
    from mlpsweep.figures.style import save_figure

    for name, figure in draw_search(search).items():
        beside = folder.with_name(f"{folder.name}.{name}.png")
        save_figure(figure, beside if name == "timeline" else folder / f"{name}.png")


def held(settings: SearchJob) -> dict[str, Any]:
    """Return what the search held fixed and ``train`` would not, as the beginning of the winner's recipe.

    The winner gets the data set's full budget, not a trial's, and learns from the validation rows too.
    """
    from mlpsweep.config import flat, plain
    from mlpsweep.settings import TrainSettings
    from pipeline.compose import check
    from pipeline.settings import TrainJob

    (job,) = check("train", TrainJob, [], multirun=False)
    parts = {field.name: getattr(settings, field.name) for field in dataclasses.fields(TrainSettings)}
    chosen = {name: part.name for name, part in parts.items() if hasattr(part, "name")}
    groups = [f"{name}={choice}" for name, choice in chosen.items() if getattr(job.settings, name).name != choice]
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


DOOR = Door(
    module="pipeline.search",
    text=__doc__,
    settings=SearchJob,
    config="search",
    run=run,
    around=around,
    # With -m worker=range(4) a launcher starts workers, which write the same outcome.
    shares_folder=True,
)

if __name__ == "__main__":
    enter("pipeline.search")
