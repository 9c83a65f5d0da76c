"""Search for the best configuration: start a study, join it, resume it or extend it, all with this one command.

Reads data/prepared/<name>; works until the study has search.n_trials trials, then trains the best ones on further
seeds; writes recipe/winner.yaml, summary.json, trials.csv and figures into output_dir, times beside it.
Exit codes: 2 configuration, 3 data, 4 study or tracking store, 5 no trial completed.
"""

import shlex
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.door import Context, Door, Sweep, enter
from pipeline.process import Terminated
from pipeline.settings import SearchJob
from pipeline.standing import shown

if TYPE_CHECKING:
    from mlpsweep.data.manifest import Manifest
    from mlpsweep.search.folder import SearchFolder
    from mlpsweep.search.rows import Search
    from mlpsweep.search.study import Plan, Study
    from mlpsweep.search.worker import SearchEnd
    from mlpsweep.settings import DataSettings, TrainSettings
    from mlpsweep.tracking.run import Run

MORE = 20


def run(settings: SearchJob, context: Context) -> None:
    """Work on the study until its target, then write what was found."""
    warm_up_workers(settings)
    from mlpsweep.config import to_yaml
    from mlpsweep.data.specs import Size
    from mlpsweep.files import write_atomic
    from mlpsweep.search.folder import SearchFolder
    from mlpsweep.search.preview import measure_epoch, preview, told
    from mlpsweep.search.recipe import fixed_deltas
    from mlpsweep.search.run import conclude, search
    from mlpsweep.search.study import n_counted, open_study
    from mlpsweep.tracking.pages import where_to_look
    from mlpsweep.tracking.parents import log_known
    from mlpsweep.tracking.project import work_tree
    from mlpsweep.tracking.store import open_store, reach_store
    from mlpsweep.tracking.trial_runs import search_run
    from pipeline.compose import CONF
    from pipeline.inputs import settled
    from pipeline.limits import oversized

    if not settings.search.dry_run:
        reach_store(settings.tracking)
    asked = settings.data
    own = None if (CONF / "data" / f"{asked.name}.yaml").is_file() else asked  # a set of --config-dir
    prepared = Path(settings.paths.prepared) / settings.data.name
    settings, dataset = settled(settings, context)
    plan, size = plan_of(settings, dataset.manifest), Size.of(dataset.manifest)
    if settings.search.dry_run:
        n_done = n_counted(plan, settings.search, work_tree())
        sys.stdout.writelines(f"{line}\n" for line in preview(plan, settings.search, measure_epoch(dataset), n_done))
        return
    study = open_study(plan, settings.search, work_tree())
    store = open_store(settings.tracking, dataset.manifest.dataset, stands_in=bool(dataset.manifest.stands_in_for))
    with search_run(store, study.name, study.uid, study.ledger.database.alone) as parent:
        log_known(parent, told(plan, settings.search, settings.winner))
        end = search(study, settings.search, work_as, (settings, prepared, parent.run_id))
        sys.stderr.write(end.remark(settings.search.n_trials))
        if end.signal:
            signal.raise_signal(end.signal)
            raise Terminated  # where a launcher's handler lets it pass
        folder = SearchFolder(Path(settings.output_dir or context.folder))

        def deltas(won: "TrainSettings") -> Mapping[str, object]:
            # The data set that was asked for: a stand-in is none that a recipe chooses.
            return fixed_deltas(replace(won, data=asked), partial(training_defaults, own=own), plan.space.decides)

        found = conclude(study, settings.winner, deltas, folder, lambda one: not any(oversized(one, size)))
        if own is not None:  # the winner's recipe chooses it by name
            write_atomic(folder.path / "data" / f"{own.name}.yaml", to_yaml(own).encode())
        tell(study, found, folder)
        log_outcome(parent, found, folder, context)
    sys.stdout.write(f"{where_to_look(store.client, store.experiment_id)}\n")


def warm_up_workers(settings: SearchJob) -> None:
    """Let what workers import be imported while this process makes everything ready."""
    from mlpsweep.search.forks import warm_up
    from mlpsweep.tracking.quiet import heavy

    if settings.search.n_workers > 1 and not settings.search.dry_run:
        warm_up(heavy())


def log_outcome(parent: "Run", found: "Search", folder: "SearchFolder", context: Context) -> None:
    """Give the study's run what was found, in figures, in words, as a page and as files."""
    from mlpsweep.errors import hide_passwords
    from mlpsweep.figures.search import FIGURES
    from mlpsweep.report.notes import parent_of_search
    from mlpsweep.report.page import Command
    from mlpsweep.tracking.parents import PAGE, log_summary

    words = hide_passwords(shlex.join(word for word in context.overrides if not word.startswith("search.n_trials=")))
    again = f"python -m {DOOR.module} {words}".rstrip()
    commands = (
        Command("rebuild the winner", rebuilt(folder)),
        Command(f"search {MORE} trials more", f"{again} search.n_trials={len(found.trials) + MORE}"),
        *(Command(f"search wider, as {edge.sentence}", f"{again} {edge.override}") for edge in found.edges),
    )
    told = parent_of_search(found, commands)
    files = {kind.name: folder.file(f"{kind.name}.png") for kind in FIGURES}
    pictures = {name: file.read_bytes() for name, file in files.items() if file.exists()}
    log_summary(parent, found.metric, told.best, told.metrics, told.note())
    parent.log_text(PAGE, told.page(f"Search {found.study}", pictures))
    parent.log_files(folder.files())


def rebuilt(folder: "SearchFolder") -> str:
    """Return the command that trains the winner."""
    return f"python -m pipeline.train --config-dir {shlex.quote(str(shown(folder.path)))} recipe=winner"


def training_defaults(groups: "Mapping[str, str]", own: "DataSettings | None" = None) -> "TrainSettings":
    """Return the settings that ``pipeline.train`` starts from, with some groups chosen, or a set not in conf/."""
    from pipeline.compose import check
    from pipeline.settings import TrainJob

    words = [f"{group}={name}" for group, name in groups.items() if group != "data" or own is None]
    (job,) = check("train", TrainJob, words, multirun=False)
    training: TrainSettings = job.settings.training()
    return replace(training, data=own) if own is not None and "data" in groups else training


def plan_of(settings: SearchJob, manifest: "Manifest") -> "Plan":
    """Return all that defines the study."""
    from mlpsweep.search.study import Plan

    return Plan.build(settings.space, settings.training(), settings.search.metric, manifest)


@contextmanager
def around(sweep: Sweep) -> Iterator[None]:
    """Fetch the data once, before a launcher's workers meet at the study."""
    from mlpsweep.tracking.store import reach_store
    from pipeline.inputs import settled

    job = sweep.jobs[0]
    reach_store(job.settings.tracking)
    settled(job.settings, Context(sweep.folder, job.overrides, job.chosen))
    yield


def work_as(settings: SearchJob, prepared: Path, parent_id: str) -> "SearchEnd":
    """Be one worker: open data, study and store, work on the trials, then share in the finalists' trainings."""
    from mlpsweep.data.dataset import load_dataset
    from mlpsweep.search.run import services_on, work_through
    from mlpsweep.search.services import ReusableResult
    from mlpsweep.search.study import open_study
    from mlpsweep.tracking.lineage import origin
    from mlpsweep.tracking.project import work_tree
    from mlpsweep.tracking.store import open_store
    from mlpsweep.tracking.trial_runs import TrialRecorder
    from mlpsweep.training.identity import environment

    dataset = load_dataset(prepared, settings.data)
    manifest = dataset.manifest
    study = open_study(plan_of(settings, manifest), settings.search, work_tree())
    with open_store(settings.tracking, manifest.dataset, stands_in=bool(manifest.stands_in_for)) as store:
        made_with = {**origin(), **environment()}
        recorder = TrialRecorder(
            store, study.name, study.uid, parent_id, made_with, manifest.n_features, manifest.n_classes
        )

        def find(run_key: str) -> ReusableResult | None:
            found = recorder.find(run_key, settings.search.metric)
            return found and ReusableResult(*found)

        services = services_on(
            dataset,
            settings.search.metric,
            open_trial=recorder.open_trial,
            open_finalist=recorder.open_finalist,
            find=find,
            notice=lambda line: sys.stderr.write(f"{line}\n"),
        )
        return work_through(study, settings.search, settings.winner, services)


def tell(study: "Study", found: "Search", folder: "SearchFolder") -> None:
    """Draw the search; print the winner, the folder of the outcome, and the command that rebuilds the winner."""
    from mlpsweep.figures.search import draw_search
    from mlpsweep.figures.style import save_figure
    from mlpsweep.report.search import finalists_table
    from mlpsweep.search.winner import sentence
    from pipeline.screen import show

    for name, figure in draw_search(found).items():
        save_figure(figure, folder.file(f"{name}.png"))
    if found.finalists:
        show(finalists_table(found, shows_seeds=False))
    sys.stdout.write(f"{sentence(study, found.finalists)}\n")
    sys.stdout.writelines(f"{edge.sentence}; wider: {edge.override}\n" for edge in found.edges)
    sys.stdout.write(f"{shown(folder.path)}  rebuild the winner: {rebuilt(folder)}\n")


DOOR = Door(
    module="pipeline.search",
    text=__doc__,
    settings=SearchJob,
    config="search",
    run=run,
    around=around,
    writes_folder=True,
    # With -m worker=range(4) a launcher starts workers, which write the same outcome.
    shares_folder=True,
    examples=(
        "search.dry_run=true  # show the plan, write nothing",
        "search.n_trials=100 search.n_workers=2  # reach a hundred trials with two processes",
        "data=fashion_mnist output_dir=outputs/fashion  # another data set",
    ),
)

if __name__ == "__main__":
    enter("pipeline.search")
