"""Train every recipe with every seed, measure each once, and write the page of results beside the published figures.

Reads data/prepared/mnist; writes one folder per recipe and seed into output_dir, and docs/results.md with its figures.
A job that fails stops no other. Exit codes: 2 configuration, 3 data; else the one of the job that failed worst.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

from mlpsweep.files import write_atomic
from pipeline.door import PARENT, Context, Door, JobsFailed, enter
from pipeline.outcome import BUG, ERROR, LOST, SEVERITY, TERMINATED, Outcome
from pipeline.settings import RecipesJob, TrainJob

if TYPE_CHECKING:
    from pipeline.compose import Job
    from pipeline.results import Attempt


def run(settings: RecipesJob, context: Context) -> None:
    """Train and evaluate all, then write the page."""
    from mlpsweep.tracking.lineage import origin, source
    from mlpsweep.tracking.store import open_store
    from pipeline.inputs import settled

    jobs = planned(settings)
    first = next(iter(jobs.values()))
    # Fetched once, before several processes ask for it.
    _, dataset = settled(first.settings, Context(context.folder, chosen=first.chosen))
    store = open_store(settings.tracking, dataset.manifest.dataset)
    with store.start_run("recipes", tags={**source(DOOR.module), **origin()}) as parent:
        try:
            outcomes = train_all(settings, jobs, {**os.environ, PARENT: parent.run_id})
        finally:
            store.end_children(parent.run_id)
        page = Path(settings.page)
        write_page(collected(settings, jobs, outcomes), page)
        parent.log_files([page])
        failed = [outcome.exit_code for outcome in outcomes.values() if outcome.exit_code]
        if failed:
            raise JobsFailed(len(failed), len(jobs), min(failed, key=SEVERITY.index))


def planned(settings: RecipesJob) -> "dict[str, Job]":
    """Return each training by its folder's name, checked before anything runs."""
    from pipeline.compose import CONF, check

    names = settings.names or sorted(file.stem for file in (CONF / "recipe").glob("*.yaml"))
    words = [f"recipe={','.join(names)}", f"seed={','.join(map(str, settings.seeds))}", *shared_words(settings)]
    folders = [f"{name}-{seed}" for name in names for seed in settings.seeds]
    return dict(zip(folders, check("train", TrainJob, words, multirun=True), strict=True))


def shared_words(settings: RecipesJob) -> list[str]:
    """Return the paths and tracking settings, as words for the commands that are started here."""
    from mlpsweep.config import flat, plain
    from pipeline.compose import quoted

    shared = {name: value for name, value in plain(settings).items() if name in ("paths", "tracking")}
    return [f"{name}={'null' if value is None else quoted(value)}" for name, value in flat(shared).items()]


def train_all(settings: RecipesJob, jobs: "Mapping[str, Job]", environment: Mapping[str, str]) -> dict[str, Outcome]:
    """Train and evaluate in processes; what they print goes into a file beside each folder. Return how each ended."""
    from pipeline.compose import quoted

    children, outcomes = Children(environment), dict[str, Outcome]()
    reuse = f"reuse={str(settings.reuse).lower()}"
    with ThreadPoolExecutor(settings.n_workers) as pool:
        try:
            futures = {}
            for name, job in jobs.items():
                folder = Path(settings.output_dir) / name
                train = ["pipeline.train", *job.overrides, reuse, f"output_dir={quoted(str(folder))}"]
                evaluate = ["pipeline.evaluate", f"model_dir={quoted(str(folder))}", *shared_words(settings)]
                futures[pool.submit(children.run, (train, evaluate), folder.with_name(f"{name}.log"))] = name
            for future in as_completed(futures):
                name = futures[future]
                outcomes[name] = outcome = future.result()
                ended = "; ".join(outcome.messages) or "done"
                sys.stdout.write(f"{len(outcomes):>3} of {len(jobs)}  {name:<24} {ended}\n")
                sys.stdout.flush()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            children.stop()
            raise
    return outcomes


class Children:
    """Python modules run as processes side by side, from several threads; :meth:`stop` ends them all.

    Parameters
    ----------
    environment : mapping of str to str
        Environment variables of the processes.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock, self._is_stopped = threading.Lock(), False

    def run(self, commands: Iterable[Sequence[str]], log: Path) -> Outcome:
        """Run modules with their arguments, one after the other until one fails, and write what they print to ``log``.

        Returns
        -------
        Outcome
            Exit code and ``error:`` lines of the last command.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        for command in commands:
            code = self._run(command, log)
            if code:
                lines = log.read_text(errors="replace").splitlines()
                said = tuple(line.removeprefix(ERROR) for line in lines if line.startswith(ERROR))
                return Outcome(
                    code, said or (f"exit code {code}; {log} ends with: {' '.join(lines[-1:]) or 'nothing'}",)
                )
        return Outcome(0)

    def stop(self) -> None:
        """End the processes as SIGTERM does, so that each ends its run in the store; start no other."""
        with self._lock:
            self._is_stopped = True
            for process in self._running:
                process.terminate()

    def _run(self, command: Sequence[str], log: Path) -> int:
        with self._lock:
            if self._is_stopped:
                return TERMINATED
            with log.open("ab") as file:
                # In a group of its own a process gets one signal: ours, and not the terminal's Ctrl-C before it.
                process = subprocess.Popen(  # noqa: S603 - our own commands, and no shell
                    [sys.executable, "-m", *command],
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    process_group=0,
                )
            self._running.add(process)
        code = process.wait()
        with self._lock:
            self._running.discard(process)
        # A process that a signal killed was most likely out of memory.
        return code if code in SEVERITY else LOST if code < 0 else BUG


def collected(
    settings: RecipesJob, jobs: "Mapping[str, Job]", outcomes: Mapping[str, Outcome]
) -> "dict[str, list[Attempt]]":
    """Return by recipe what each job that ended well reached."""
    from mlpsweep.tracking.store import open_store
    from mlpsweep.training.folder import TrainingFolder
    from pipeline.results import load_attempt

    found: dict[str, list[Attempt]] = {}
    for name, job in jobs.items():
        if outcomes[name].exit_code == 0:
            folder, trained = Path(settings.output_dir) / name, job.settings
            record = TrainingFolder(folder).record()
            tracked = open_store(trained.tracking, trained.data.name).open_run(record.run_id) if record else None
            speed = tracked.metrics().get("samples_per_s") if tracked else None
            found.setdefault(name.rpartition("-")[0], []).append(load_attempt(folder, speed, trained.batch_size))
    return found


def write_page(attempts: "Mapping[str, list[Attempt]]", page: Path) -> None:
    """Write the page and its figures, which lie in ``images/`` beside it."""
    from mlpsweep.figures.style import save_figure
    from pipeline.results import figures, render_results

    drawn = figures(attempts)
    for name, figure in drawn.items():
        save_figure(figure, page.parent / "images" / name)
    write_atomic(page, render_results(attempts, [f"images/{name}" for name in drawn]).encode())
    sys.stdout.write(f"{page}\n")


DOOR = Door(
    module="pipeline.recipes",
    text=__doc__,
    settings=RecipesJob,
    config="recipes",
    run=run,
    examples=(
        "  # every recipe, three seeds each",
        '"names=[manual_tanh]" "seeds=[0]"  # one training',
        "n_workers=4 page=outputs/results.md  # four processes, another page",
    ),
)

if __name__ == "__main__":
    enter("pipeline.recipes")
