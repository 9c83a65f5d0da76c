"""Check a command line before anything runs: every override known, every job composed, every fault at once.

Hydra alone shows the first fault, with exit code 1, after it has made its folder. Nothing is run here.
"""

import contextlib
import itertools
import math
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, Quote, QuotedString, RangeSweep
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from mlpsweep.config import load
from mlpsweep.errors import SettingsError
from mlpsweep.schema import Settings, nearest
from pipeline.code import refuse_code
from pipeline.families import leave_out_replaced
from pipeline.folders import unusable
from pipeline.limits import impossible
from pipeline.secrets import refuse_secrets
from pipeline.settings import TrainJob
from pipeline.spaces import fill_choices, has_groups
from pipeline.words import DELTAS, length, named, no_such, parse, refused, set_value

CONF = Path(__file__).resolve().parents[1] / "conf"
MAX_JOBS = 1000
# Hydra takes no null for a group, but a list of none.
NONE_OF_A_GROUP = frozenset(f"{group}={none}" for group in DELTAS for none in ("[]", "null"))
# What a composition raises for a configuration file or a value, whoever wrote it.
FAULTS = (HydraException, OmegaConfBaseException, YAMLError, OSError, ValueError, TypeError, RecursionError)


@dataclass(frozen=True)
class Job:
    """One composed and checked job.

    Parameters
    ----------
    settings
        What it runs with: an instance of the door's settings class.
    overrides : tuple of str
        Its own part of the command line, ``key=value``.
    folder : str
        Hydra's folder for it, or for the whole multirun.
    chosen : tuple of str
        Names of the groups that the command line chose.
    """

    settings: Any
    overrides: tuple[str, ...]
    folder: str
    chosen: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What a command line asks for: its jobs, and the words for Hydra that give the same ones in the same order."""

    jobs: tuple[Job, ...]
    words: tuple[str, ...]


def check(
    config_name: str, kind: type[Settings], words: Sequence[str], *, multirun: bool, config_dir: str | None = None
) -> list[Job]:
    """Return the jobs that a command line asks for; errors as :func:`plan`."""
    return list(plan(config_name, kind, words, multirun=multirun, config_dir=config_dir).jobs)


def plan(
    config_name: str, kind: type[Settings], words: Sequence[str], *, multirun: bool, config_dir: str | None = None
) -> Plan:
    """Return the jobs that a command line asks for, each composed and checked.

    Raises
    ------
    SettingsError
        With one message for each fault of any job.
    """
    overrides, faults = parse(words)
    faults += [fault for override in overrides for fault in refused(override, multirun=multirun)]
    if faults:
        raise SettingsError(*faults)
    if config_dir is not None and not os.path.isdir(config_dir):
        raise SettingsError(f"--config-dir: {config_dir} is no folder. Name one with configuration files in it")
    with _hydra(), warnings.catch_warnings():
        # Its warnings of a value say less than the message about it.
        warnings.filterwarnings("ignore", module="omegaconf")
        composer = _Composer(config_name, Path(config_dir).resolve() if config_dir else None, multirun=multirun)
        swept = composer.swept(overrides)
        jobs = _composed(composer, list(itertools.product(*swept)), kind)
    # A word and its values, as one of Hydra's sweeper; the folder comes from us.
    asked = [",".join([first, *(word.partition("=")[2] for word in more)]) for first, *more in swept]
    return Plan(tuple(jobs), tuple(word for word in asked if not word.startswith("hydra.sweep.dir=")))


def _composed(composer: "_Composer", combinations: Sequence[tuple[str, ...]], kind: type[Settings]) -> list[Job]:
    jobs: list[Job] = []
    faults: dict[str, list[int]] = {}
    for number, words in enumerate(combinations):
        try:
            jobs.append(composer.job(words, kind))
        except SettingsError as error:
            for message in error.messages:
                faults.setdefault(message, []).append(number)
    if faults:
        raise SettingsError(
            *(
                message
                if len(numbers) == len(combinations)
                else f"{named(numbers[0], combinations[numbers[0]])}{message}"
                for message, numbers in faults.items()
            )
        )
    return jobs


def filled(config_name: str, config: DictConfig, facts: Any) -> DictConfig:
    """Return the configuration of a job that Hydra runs as :func:`plan` checked it; ``facts`` are Hydra's own."""
    config = config.copy()
    leave_out_replaced(config, facts.runtime.choices)
    if not has_groups(config):
        return config
    sources = (Path(one.path) for one in facts.runtime.config_sources if one.provider == "command-line")
    with _hydra():
        _Composer(config_name, next(sources, None), multirun=True).fill(config, facts.runtime.choices)
    return config


@contextlib.contextmanager
def _hydra() -> Iterator[None]:
    """Make ``compose`` look into ``conf/``, even inside a job that another Hydra runs."""
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), job_name="mlpsweep", version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = running


class _Composer:
    """Composes each choice of groups once and sets the values in copies: Hydra takes 0.05 s for a composition."""

    def __init__(self, config_name: str, config_dir: Path | None, *, multirun: bool) -> None:
        self._config_name, self._config_dir, self._multirun = config_name, config_dir, multirun
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self._options: dict[str, list[str]] = {}

    def swept(self, overrides: Sequence[Override]) -> list[list[str]]:
        """Return for each key its words, one per value; their product are the jobs, the last key changing fastest.

        So Hydra's sweeper has it, which gets these words: what is drawn, as by ``shuffle``, is drawn once.
        """
        # If a key is given twice, its last values count.
        by_key = {override.get_key_element(): override for override in overrides}
        counts = {override.input_line: self._count(override) for override in by_key.values()}
        empty = [f"{word}: no value to run; expected one at least" for word, count in counts.items() if not count]
        if empty:
            raise SettingsError(*empty)
        if (n_jobs := math.prod(counts.values())) > MAX_JOBS:
            raise SettingsError(
                f"command line: {n_jobs} jobs; expected at most {MAX_JOBS}. "
                "Narrow the lists, or let `python -m pipeline.search` choose among them."
            )
        return [[f"{key}={value}" for value in self._values(override)] for key, override in by_key.items()]

    def job(self, words: tuple[str, ...], kind: type[Settings]) -> Job:
        """Return one job, composed and checked."""
        overrides = OverridesParser.create().parse_overrides(list(words))
        groups = [o for o in overrides if "/" in o.key_or_group or self.options(o.key_or_group)]
        unknown = {o.key_or_group: fault for o in groups for fault in self._unfit_choice(o, kind)}
        chosen = [o for o in groups if o.key_or_group not in unknown]
        config = _narrowed(self._compose(tuple(str(o.input_line) for o in chosen)), kind)
        leave_out_replaced(config, config.hydra.runtime.choices)
        faults = [*unknown.values(), *(fault for o in overrides if o not in groups for fault in set_value(config, o))]
        place = "hydra.sweep.dir" if self._multirun else "hydra.run.dir"
        folder = ""
        try:
            folder = OmegaConf.select(config, place, throw_on_missing=True)
            faults += unusable(place, folder)
        except OmegaConfBaseException as error:
            faults.append(f"{place}: {str(error).splitlines()[0]}; expected a folder. Example: {place}=outputs/mine")
        self.fill(config, config.hydra.runtime.choices)
        try:
            settings = load(config, kind)
        except SettingsError as error:
            raise SettingsError(*faults, *error.messages) from error
        faults += impossible(settings)
        if faults:
            raise SettingsError(*faults)
        said = tuple(word for word in words if word not in NONE_OF_A_GROUP)
        return Job(settings, said, folder, tuple(o.key_or_group for o in groups))

    def fill(self, config: DictConfig, chosen: Mapping[Any, Any]) -> None:
        """Write what the files of a search's groups hold into its space, in place."""
        fill_choices(config, chosen, self.options, lambda group, name: self._compose((f"{group}={name}",))[group])

    def options(self, group: str) -> list[str]:
        """Return a group's choices, with those of ``--config-dir`` and Hydra's plugins; none if it is no group."""
        if group not in self._options:
            folders = [folder / group for folder in (CONF, self._config_dir) if folder]
            files = {file.name for folder in folders for file in folder.glob("*.yaml")}
            with contextlib.suppress(OSError):
                files |= set(ConfigStore.instance().list(group))
            self._options[group] = sorted(file[: -len(".yaml")] for file in files if file.endswith(".yaml"))
        return self._options[group]

    def _values(self, override: Override) -> list[str]:
        value = override.value()
        if isinstance(value, Glob):
            names = value.filter(self.options(override.key_or_group))
            return [name if re.fullmatch(r"[\w.-]+", name) else quoted(name) for name in names]
        if not override.is_sweep_override():
            # As typed: written anew, a reference may lose its meaning.
            values = ["null" if value is None else str(override.input_line).partition("=")[2]]
        else:
            # In floating point a range may not get on, whatever its length.
            values = list(itertools.islice(override.sweep_string_iterator(), MAX_JOBS + 1))
        is_delta = override.key_or_group in DELTAS
        return ["[]" if is_delta and text == "null" else text for text in values]

    def _count(self, override: Override) -> float:
        value = override.value()
        # A range may be too long to be listed.
        count = length(value) if isinstance(value, RangeSweep) else 1
        return len(self._values(override)) if 0 < count <= MAX_JOBS else count

    def _unfit_choice(self, override: Override, kind: type[Settings]) -> Iterator[str]:
        group, value = override.key_or_group, override.value()
        mine = {*kind.__dataclass_fields__, "hydra", *(DELTAS if issubclass(kind, TrainJob) else ())}
        if group.partition("/")[0] not in mine:
            yield no_such(group, sorted(mine))
            return
        options = self.options(group)
        choices: Sequence[Any] = value if isinstance(value, list) and group in DELTAS else [value]
        for choice in choices:
            if choice not in options:
                known = f"{', '.join(options)}{nearest(choice, options)}"
                yield f"{group}: {choice!r} is not known; expected one of {known}"
            elif group in DELTAS and not _HEADER.search(self._text(group, choice)):
                yield (
                    f"{group}: {choice}.yaml lacks its first line, `# @package _global_`; without it its keys are no "
                    "settings. Add that line"
                )

    def _text(self, group: str, choice: str) -> str:
        """Return the file of a choice as far as it can be read; what cannot be is told when it is composed."""
        for folder in (CONF, self._config_dir):
            if folder and (file := folder / group / f"{choice}.yaml").is_file():
                return file.read_text(errors="replace")
        return ""

    def _compose(self, groups: tuple[str, ...]) -> DictConfig:
        if groups not in self._composed:
            more = [f"hydra.searchpath=[{quoted(f'file://{self._config_dir}')}]"] if self._config_dir else []
            try:
                config = compose(self._config_name, [*more, *groups], return_hydra_config=True)
            except FAULTS as error:
                message = " ".join(str(error).split())
                raise SettingsError(f"configuration: {message}. Put that file right: conf/ holds examples") from error
            refuse_code(config)
            if self._multirun:
                refuse_secrets(config)
            self._composed[groups] = config
        return self._composed[groups]


def _narrowed(config: DictConfig, kind: type[Settings]) -> DictConfig:
    """Return a copy without those settings of a training that the door has not.

    ``download``, ``prepare`` and ``report`` start from conf/train.yaml: one entry says there which data set it is.
    """
    config = config.copy()
    with open_dict(config):
        for name in TrainJob.__dataclass_fields__.keys() - kind.__dataclass_fields__.keys():
            config.pop(name, None)
    return config


def quoted(text: str) -> str:
    """Return a text quoted, so that the command line takes it as one value."""
    return QuotedString(text, Quote.single).with_quotes()


_HEADER = re.compile(r"^\s*#\s*@package:?\s+_global_\s*$", re.MULTILINE)
