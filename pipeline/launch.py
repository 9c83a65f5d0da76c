"""Where Hydra runs: it launches the jobs of ``-m``, and answers what it is asked about a configuration."""

import dataclasses
import importlib
import os
import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mlpsweep.config import load
from mlpsweep.errors import MlpsweepError, SettingsError
from mlpsweep.files import write_json
from pipeline.compose import CONF, NONE_OF_A_GROUP, Plan, filled, quoted
from pipeline.door import OUTCOME, Context, Door, Sweep
from pipeline.flags import passed_on
from pipeline.folders import new_folder
from pipeline.outcome import ASKED, ERROR, FULL_ERROR, INTERRUPTED, NO_ROOM, TERMINATED, guarded
from pipeline.process import Terminated, end_in_order
from pipeline.words import named


def launch(door: Door, planned: Plan, args: Namespace) -> None:
    """Run the jobs of a multirun inside what goes around them, and raise for the worst of their outcomes."""
    assert door.around
    with new_folder(Path(planned.jobs[0].folder)) as folder:
        sweep = Sweep(folder, tuple(args.overrides), planned.jobs)
        for number in range(len(planned.jobs)):  # of an earlier sweep, in a folder that is there
            (folder / str(number) / OUTCOME).unlink(missing_ok=True)
        places = (f"hydra.sweep.dir={quoted(str(folder))}", "hydra.sweep.subdir=${hydra.job.num}")
        with door.around(sweep):
            try:
                answer(door, [*passed_on(args), "-m", *planned.words, *places])
            except SettingsError as error:
                if not sweep.has_begun():
                    raise
                # Jobs that have begun tell how they ended.
                sys.stderr.write(f"{ERROR}{error}\n")
            sweep.check()


def answer(door: Door, words: Sequence[str]) -> None:
    """Let Hydra answer, or launch jobs; what it or a launcher raises becomes a message."""
    module = door.module

    def task(config: DictConfig) -> None:
        launched(module, config)

    sys.argv = [module, *words]
    asked_before = os.environ.get(FULL_ERROR, "")
    # Hydra would print and exit with 1; its setting makes it raise.
    os.environ.update({ASKED: asked_before, FULL_ERROR: "1"})
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=door.config)(task)()
    except Exception as error:  # Hydra's, or that of a launcher, which we do not know
        if isinstance(error, MlpsweepError) or getattr(error, "errno", None) in NO_ROOM:
            raise
        told = " ".join(str(error).split())[:500]
        raise SettingsError(
            f"hydra: {type(error).__name__}: {told}. Leave Hydra's own settings and flags out"
        ) from error
    finally:
        os.environ[FULL_ERROR] = asked_before
        del os.environ[ASKED]


def launched(module: str, config: DictConfig) -> None:
    """Run one job of a multirun, in whatever process the launcher chose; leave its outcome in its folder.

    A fault is not raised: Hydra would drop the jobs that follow.
    """
    if threading.current_thread() is threading.main_thread():
        end_in_order(signal.SIGINT)
    door, facts = importlib.import_module(module).DOOR, HydraConfig.get()
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
