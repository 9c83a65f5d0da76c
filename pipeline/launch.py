"""Where Hydra runs: it launches the jobs of ``-m``, and answers what it is asked about a configuration."""

import dataclasses
import importlib
import os
import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mlpsweep.config import load
from mlpsweep.errors import MlpsweepError, SettingsError
from mlpsweep.files import write_json
from pipeline.compose import CONF, NONE_OF_A_GROUP, Plan, filled, quoted
from pipeline.door import OUTCOME, PARENT, Context, Door, Sweep
from pipeline.flags import passed_on
from pipeline.folders import new_folder
from pipeline.outcome import ASKED, ERROR, FULL_ERROR, INTERRUPTED, NO_ROOM, TERMINATED, guarded
from pipeline.process import Terminated, end_in_order, was_terminated
from pipeline.words import named

# Ray's own settings, unless the user has others: it tells nobody of its use, leaves out no line of a job that is like
# another job's, colours none, and tells no addresses of its code where a signal ends it.
RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_COLOR_PREFIX": "0",
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",
}


def _start_ray() -> None:
    """Join the Ray that runs, or start one; its launcher would give it what a Ray that runs does not take.

    Ray takes SIGTERM for itself, so it is taken back.
    """
    os.environ.update({**RAY, **os.environ})
    importlib.import_module("ray").init(include_dashboard=False, logging_level="ERROR")
    end_in_order(signal.SIGTERM)


# What is done for a launcher before Hydra gives it jobs.
READY: Mapping[str, Callable[[], None]] = MappingProxyType({"hydra/launcher=ray": _start_ray})


def launch(door: Door, planned: Plan, args: Namespace) -> None:
    """Run the jobs of a multirun inside what goes around them, and raise for the worst of their outcomes."""
    assert door.around
    with new_folder(Path(planned.jobs[0].folder)) as folder:
        sweep = Sweep(folder, tuple(args.overrides), planned.jobs)
        for number in range(len(planned.jobs)):  # of an earlier sweep, in a folder that is there
            (folder / str(number) / OUTCOME).unlink(missing_ok=True)
        # In full, since the processes of a cluster that runs already stand elsewhere.
        places = (f"hydra.sweep.dir={quoted(str(folder.absolute()))}", "hydra.sweep.subdir=${hydra.job.num}")
        with door.around(sweep):
            try:
                answer(
                    door,
                    [*passed_on(args), "-m", *planned.words, *places],
                    [READY[word] for word in planned.words if word in READY],
                )
            except SettingsError as error:
                if not sweep.has_begun():
                    raise
                # Jobs that have begun tell how they ended.
                sys.stderr.write(f"{ERROR}{error}\n")
            sweep.check()


def answer(door: Door, words: Sequence[str], ready: Sequence[Callable[[], None]] = ()) -> None:
    """Let Hydra answer, or launch jobs once all is ready; what it or a launcher raises becomes a message."""
    module, parent_id = door.module, os.environ.get(PARENT)

    def task(config: DictConfig) -> None:
        launched(module, config, parent_id)

    sys.argv = [module, *words]
    asked_before = os.environ.get(FULL_ERROR, "")
    # Hydra would print and exit with 1; its setting makes it raise.
    os.environ.update({ASKED: asked_before, FULL_ERROR: "1"})
    try:
        for start in ready:
            start()
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=door.config)(task)()
    except Exception as error:  # Hydra's, or that of a launcher, which we do not know
        if isinstance(error, MlpsweepError) or getattr(error, "errno", None) in NO_ROOM:
            raise
        told = " ".join(str(error).split())[:500]
        raise SettingsError(
            f"hydra: {type(error).__name__}: {told}. Leave Hydra's own settings and flags out"
        ) from error
    except KeyboardInterrupt as error:
        if was_terminated() and not isinstance(error, Terminated):  # Ray raises its own
            raise Terminated from error
        raise
    finally:
        os.environ[FULL_ERROR] = asked_before
        del os.environ[ASKED]


def launched(module: str, config: DictConfig, parent_id: str | None) -> None:
    """Run one job of a multirun, in whatever process the launcher chose; leave its outcome in its folder.

    A fault is not raised: Hydra would drop the jobs that follow.
    """
    if threading.current_thread() is threading.main_thread():
        end_in_order(signal.SIGINT)
    door, facts = importlib.import_module(module).DOOR, HydraConfig.get()
    # What a process of a cluster that runs already does not have from the command.
    os.chdir(facts.runtime.cwd)
    if parent_id:
        os.environ[PARENT] = parent_id
    folder, number = Path(facts.runtime.output_dir), int(facts.job.num)
    words = tuple(word for word in facts.overrides.task if word not in NONE_OF_A_GROUP)
    # Hydra knows every group's choice; the command line made some of them.
    chosen = tuple(group for group in facts.runtime.choices if any(word.startswith(f"{group}=") for word in words))
    context = Context(folder, words, chosen, number)
    outcome = guarded(
        lambda: door.run(load(filled(door.config, config, facts), door.settings), context), named(number, words)
    )
    write_json(folder / OUTCOME, dataclasses.asdict(outcome))
    if outcome.exit_code in (INTERRUPTED, TERMINATED):
        raise Terminated if outcome.exit_code == TERMINATED else KeyboardInterrupt
