"""What all doors share: checking before anything happens, launching, one handler, the exit code.

A door is a module of this package with a :class:`Door` called ``DOOR``. Importing it is light, so that ``--help``
answers at once. No door imports another one: what two of them need lies in the library, or in a module beside them.
"""

import contextlib
import gc
import importlib
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from mlpsweep import __version__
from mlpsweep.errors import NoResultError, SettingsError, hide_passwords
from mlpsweep.files import read_json
from mlpsweep.schema import Settings
from mlpsweep.tables import counted
from pipeline.folders import new_folder
from pipeline.outcome import KILLED, NOT_BEGUN, SEVERITY, Outcome, guarded
from pipeline.process import end_in_order, outlive_readers
from pipeline.standing import from_project, go_to_project, meant

if TYPE_CHECKING:
    from pipeline.compose import Job

OUTCOME = "outcome.json"
# Environment variable with the id of the parent run; trainings in any process become that run's children.
PARENT = "MLPSWEEP_PARENT_RUN_ID"


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
    writes_folder : bool
        Whether ``run`` writes into a folder that the command line may name, which must be its own or empty.
    shares_folder : bool
        Whether the jobs of ``-m`` may write into one ``output_dir``.
    listing : callable or None
        Returns what ``--list`` says, from the settings and the folders of ``--config-dir``.
    examples : tuple of str
        Words after the module's name, and behind `` # `` what they do.
    """

    module: str
    text: str
    settings: type[Settings]
    config: str
    run: Callable[[Any, Context], None]
    around: Callable[["Sweep"], contextlib.AbstractContextManager[None]] | None = None
    makes_folder: bool = False
    writes_folder: bool = False
    shares_folder: bool = False
    listing: Callable[[Any, Sequence[Path]], str] | None = None
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sweep:
    """A multirun: its folder, the command line's words, and its checked jobs, in order."""

    folder: Path
    words: tuple[str, ...]
    jobs: tuple["Job", ...]

    @property
    def title(self) -> str:
        """The words of the command line that differ between the jobs, as typed; all words if none does."""
        return hide_passwords(" ".join(self.varied() or self.words))[:200]

    def varied(self) -> list[str]:
        """Return the words whose value is not the same in all jobs."""
        return [word for word in self.words if len(set(self._values(word.partition("=")[0]))) > 1]

    def _values(self, name: str) -> list[str]:
        return [word for job in self.jobs for word in job.overrides if word.partition("=")[0] == name]

    def outcomes(self) -> list[Outcome]:
        """Return each job's outcome; a job that left none was killed, or never began."""
        return [self._outcome(self.folder / str(number)) for number in range(len(self.jobs))]

    def has_begun(self) -> bool:
        """Whether any job has; Hydra makes a job's folder first."""
        return any((self.folder / str(number)).exists() for number in range(len(self.jobs)))

    def _outcome(self, folder: Path) -> Outcome:
        if (folder / OUTCOME).exists():
            return Outcome(**read_json(folder / OUTCOME))
        return KILLED if folder.exists() else NOT_BEGUN

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
    end_in_order(signal.SIGINT, signal.SIGTERM)
    outlive_readers()
    gc.set_threshold(10_000)  # imports make many objects and no garbage: at 700 they take a tenth longer

    def work() -> None:
        asked(importlib.import_module(module).DOOR, sys.argv[1:], go_to_project())()
        sys.stdout.flush()

    sys.exit(guarded(work).exit_code)


def asked(door: Door, words: Sequence[str], here: Path | None = None) -> Callable[[], object]:
    """Return the work that a command line asks for; all of it is checked, and nothing has been touched yet.

    ``here`` is the folder in which it was typed, if that is not the current one.

    Raises
    ------
    SettingsError
        With one message for each fault.
    """
    if {"--help", "-h", "--version"} & set(words):
        return lambda: sys.stdout.write(_about(door, words))
    from pipeline.flags import parse, passed_on
    from pipeline.launch import answer, launch
    from pipeline.places import refuse_foreign
    from pipeline.secrets import without_secrets

    args = parse(without_secrets(words))
    if here is not None:
        args.overrides = list(meant(args.overrides, here))
        args.config_dir = args.config_dir and from_project(args.config_dir, here)
    if args.hydra_help:
        return lambda: answer(door, ["--hydra-help"])
    if args.shell_completion:
        return lambda: answer(door, ["--shell-completion", *args.overrides])
    if args.multirun and not door.around:
        raise SettingsError(f"-m: {door.module} does one thing; only train and search take several jobs. Leave -m out")
    from pipeline.compose import plan

    planned = plan(door.config, door.settings, args.overrides, multirun=args.multirun, config_dir=args.config_dir)
    if args.cfg or args.info:
        return lambda: answer(door, [*passed_on(args), *planned.words])
    if args.list:
        return _listed(door, planned.jobs[0].settings, args.config_dir)
    if door.writes_folder:
        refuse_foreign(planned.jobs, multirun=args.multirun)
    if args.multirun and not door.shares_folder and any(job.settings.output_dir for job in planned.jobs):
        n_jobs = counted(len(planned.jobs), "job")
        raise SettingsError(f"output_dir: one folder for {n_jobs}. Leave it out with -m: each job gets its own")
    return (lambda: launch(door, planned, args)) if args.multirun else (lambda: _run(door, planned.jobs[0]))


def _listed(door: Door, settings: Settings, config_dir: str | None) -> Callable[[], object]:
    """Return what answers ``--list``."""
    if door.listing is None:
        raise SettingsError(f"--list: {door.module} has nothing to list; python -m pipeline.download has. Leave it out")
    said = door.listing(settings, [Path(config_dir)] if config_dir else [])
    return lambda: sys.stdout.write(said)


def _about(door: Door, words: Sequence[str]) -> str:
    if "--version" in words:
        return f"mlpsweep {__version__}\n"
    from pipeline.help import page
    from pipeline.screen import width

    return page(door, width())


def _run(door: Door, job: "Job") -> None:
    output_dir = getattr(job.settings, "output_dir", None)
    wanted = Path(output_dir or job.folder)
    is_new = door.makes_folder and not output_dir
    with new_folder(wanted) if is_new else contextlib.nullcontext(wanted) as folder:
        door.run(job.settings, Context(folder, job.overrides, job.chosen))
