"""What all doors share: checking before anything happens, launching, one handler, the exit code.

A door is a module of this package with a :class:`Door` called ``DOOR``. Importing it is light, so that ``--help``
answers at once. No door imports another one: what two of them need lies in the library, or in a module beside them.
"""

import contextlib
import dataclasses
import errno
import importlib
import itertools
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from mlpsweep.errors import MlpsweepError, NoResultError, SettingsError, StorageError, hide_passwords, reason_of
from mlpsweep.files import FOLDER_WANTED, read_json, write_json
from mlpsweep.schema import Settings
from mlpsweep.tables import counted

if TYPE_CHECKING:
    from argparse import Namespace

    from omegaconf import DictConfig

    from pipeline.compose import Job

BUG, LOST, INTERRUPTED, TERMINATED = 1, 5, 130, 143
# Exit codes, worst first: a multirun ends with the worst one of its jobs.
SEVERITY = (BUG, INTERRUPTED, TERMINATED, 4, 3, 2, LOST, 0)
OUTCOME = "outcome.json"
ERROR = "error: "
# Environment variable with the id of the parent run; trainings in any process become that run's children.
PARENT = "MLPSWEEP_PARENT_RUN_ID"
# Errors of the environment, such as a full disk or missing permissions: exit code 4, not bugs.
NO_ROOM = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR
}  # fmt: skip


class Terminated(KeyboardInterrupt):
    """Raised on SIGTERM; a KeyboardInterrupt, so that SIGTERM ends a run as Ctrl-C does."""


@dataclass(frozen=True)
class Context:
    """What a door is told beside its settings.

    Parameters
    ----------
    folder : Path
        Where to write.
    overrides : tuple of str
        The command line's words for this job.
    chosen : tuple of str
        Groups that the command line chose, such as ``data`` or ``recipe``.
    number : int or None
        Number of the job in its multirun.
    """

    folder: Path
    overrides: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    number: int | None = None


@dataclass(frozen=True, kw_only=True)
class Door:
    """One command of the pipeline.

    Parameters
    ----------
    module : str
        Name of the door's module, as typed after ``python -m``.
    text : str
        What ``--help`` says first: the module's docstring.
    settings : type of Settings
        What ``run`` is given.
    config : str
        File of ``conf/`` that the command starts from.
    run : callable
        Does the work of one job.
    around : callable or None
        Context manager that goes around all jobs of ``-m``; None if the door takes no ``-m``.
    makes_folder : bool
        Whether ``run`` writes into a new folder unless ``output_dir`` names one.
    shares_folder : bool
        Whether the jobs of ``-m`` may write into one ``output_dir``.
    """

    module: str
    text: str
    settings: type[Settings]
    config: str
    run: Callable[[Any, Context], None]
    around: Callable[["Sweep"], contextlib.AbstractContextManager[None]] | None = None
    makes_folder: bool = False
    shares_folder: bool = False


@dataclass(frozen=True)
class Outcome:
    """How one job ended: its exit code, and one message per fault."""

    exit_code: int
    messages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sweep:
    """A multirun: its folder, the command line's words, and its checked jobs, in order."""

    folder: Path
    words: tuple[str, ...]
    jobs: tuple["Job", ...]

    @property
    def title(self) -> str:
        """The words of the command line that the jobs share or vary, as typed."""
        return hide_passwords(" ".join(self.words))[:200]

    def outcomes(self) -> list[Outcome]:
        """Return each job's outcome; a job that left none was killed."""
        lost = Outcome(LOST, ("the job ended without a word: killed, perhaps out of memory. Run it alone to see.",))
        files = [self.folder / str(number) / OUTCOME for number in range(len(self.jobs))]
        return [Outcome(**read_json(file)) if file.exists() else lost for file in files]

    def check(self) -> None:
        """Raise for the worst of the outcomes.

        Raises
        ------
        JobsFailed
            If any job failed; each has said why on stderr.
        """
        failed = [outcome for outcome in self.outcomes() if outcome.exit_code]
        if failed:
            raise JobsFailed(len(failed), len(self.jobs), min((o.exit_code for o in failed), key=SEVERITY.index))


class JobsFailed(NoResultError):
    """Some jobs of a multirun failed; carries the worst job's exit code."""

    def __init__(self, n_failed: int, n_jobs: int, exit_code: int) -> None:
        super().__init__(f"{n_failed} of {counted(n_jobs, 'job')} failed; the table says which and why.")
        self.exit_code = exit_code


def enter(module: str) -> NoReturn:
    """Run the door ``module`` with this process's command line, and exit with its code."""
    signal.signal(signal.SIGTERM, _terminate)
    outcome = guarded(lambda: _enter(importlib.import_module(module).DOOR, sys.argv[1:]))
    sys.exit(outcome.exit_code)


def guarded(work: Callable[[], None]) -> Outcome:
    """Run ``work`` and return how it ended; the one place where exceptions become messages and codes."""
    try:
        work()
    except MlpsweepError as error:
        return _fault(error)
    except OSError as error:
        return _fault(_storage_error(error)) if error.errno in NO_ROOM else _bug(error)
    except KeyboardInterrupt as error:
        return Outcome(TERMINATED if isinstance(error, Terminated) else INTERRUPTED, ("interrupted",))
    except Exception as error:  # noqa: BLE001 - a bug
        return _bug(error)
    return Outcome(0)


def _fault(error: MlpsweepError) -> Outcome:
    messages = tuple(map(hide_passwords, error.messages))
    sys.stderr.write("".join(f"{ERROR}{message}\n" for message in messages))
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        traceback.print_exception(error)
    return Outcome(error.exit_code, messages)


def _storage_error(error: OSError) -> StorageError:
    translated = StorageError(f"{error.filename or 'storage'}: {reason_of(error)}; expected {FOLDER_WANTED}.")
    translated.__cause__ = error
    return translated


def _bug(error: Exception) -> Outcome:
    traceback.print_exc()
    return Outcome(BUG, (f"{type(error).__name__}: {error}",))


def launched(module: str, config: "DictConfig") -> None:
    """Run one job of a multirun, in whatever process the launcher chose; leave its outcome in its folder.

    A fault is not raised: Hydra would drop the jobs that follow.
    """
    from hydra.core.hydra_config import HydraConfig

    from mlpsweep.config import load

    door, hydra = importlib.import_module(module).DOOR, HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    words = tuple(hydra.overrides.task)
    # Hydra knows every group's choice; the command line made some of them.
    chosen = tuple(group for group in hydra.runtime.choices if any(word.startswith(f"{group}=") for word in words))
    context = Context(folder, words, chosen, int(hydra.job.num))
    outcome = guarded(lambda: door.run(load(config, door.settings), context))
    write_json(folder / OUTCOME, dataclasses.asdict(outcome))
    if outcome.exit_code in (INTERRUPTED, TERMINATED):
        raise Terminated if outcome.exit_code == TERMINATED else KeyboardInterrupt


@contextlib.contextmanager
def new_folder(wanted: Path) -> Iterator[Path]:
    """Make ``wanted``, or the first of ``wanted-1``, ``wanted-2`` ... that does not exist; remove it if it stays empty.

    Two commands that start within the same second get two folders.
    """
    for number in itertools.count():
        folder = wanted.with_name(f"{wanted.name}-{number}") if number else wanted
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        break
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):
            os.removedirs(folder)


def shown(folder: Path) -> Path:
    """Return a folder as one would type it here."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _enter(door: Door, words: Sequence[str]) -> None:
    if {"--help", "-h"} & set(words):
        from pipeline.help import page

        sys.stdout.write(page(door))
        return
    from pipeline.flags import parse

    args = parse(words)
    if args.experimental_rerun or args.config_path or args.config_name:
        raise SettingsError(
            "command line: a door has one configuration. Change values with key=value, or add files with --config-dir"
        )
    if args.cfg or args.info or args.shell_completion or args.hydra_help or args.version:
        _hydra(door, list(words))
        return
    if args.multirun and not door.around:
        raise SettingsError(f"-m: {door.module} does one thing; only train and search take several jobs. Leave -m out")
    from pipeline.compose import check

    jobs = check(door.config, door.settings, args.overrides, multirun=args.multirun, config_dir=args.config_dir)
    if args.multirun:
        _multirun(door, jobs, args)
        return
    (job,) = jobs
    output_dir = getattr(job.settings, "output_dir", None)
    wanted = Path(output_dir or job.folder)
    is_new = door.makes_folder and not output_dir
    with new_folder(wanted) if is_new else contextlib.nullcontext(wanted) as folder:
        door.run(job.settings, Context(folder, job.overrides, job.chosen))


def _multirun(door: Door, jobs: "list[Job]", args: "Namespace") -> None:
    from pipeline.compose import quoted

    if not door.shares_folder and any(job.settings.output_dir for job in jobs):
        raise SettingsError(
            f"output_dir: one folder for {counted(len(jobs), 'job')}. Leave it out with -m: each job gets its own"
        )
    assert door.around
    with new_folder(Path(jobs[0].folder)) as folder:
        sweep = Sweep(folder, tuple(args.overrides), tuple(jobs))
        place = f"hydra.sweep.dir={quoted(str(folder))}"
        more = ["--config-dir", args.config_dir] if args.config_dir else []
        with door.around(sweep):
            _hydra(door, [*more, "-m", *args.overrides, place, "hydra.sweep.subdir=${hydra.job.num}"])
            sweep.check()


def _hydra(door: Door, words: list[str]) -> None:
    import hydra

    from pipeline.compose import CONF

    module = door.module

    def task(config: "DictConfig") -> None:
        launched(module, config)

    sys.argv = [module, *words]
    hydra.main(version_base="1.3", config_path=str(CONF), config_name=door.config)(task)()


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated
