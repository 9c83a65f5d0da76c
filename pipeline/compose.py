"""Check a command line before anything runs: every override known, every job composed, every fault at once.

Hydra alone shows the first fault, with exit code 1, after it has made its folder. Nothing is run here.
"""

import itertools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from mlpsweep.config import load
from mlpsweep.data.specs import SPECS
from mlpsweep.errors import SettingsError
from mlpsweep.settings import Settings, TrainSettings, nearest

CONF = Path(__file__).resolve().parents[1] / "conf"
MAX_JOBS = 1000
# Weights, the best ones kept and a checkpoint, of 4 bytes each.
N_COPIES, BYTES = 3, 4
MAY_BE_NULL = ("recipe",)
# The overrides of Hydra's own node that name no code.
HYDRA_KEYS = ("hydra/launcher", "hydra.launcher.", "hydra.run.dir", "hydra.sweep.dir", "hydra.verbose")


@dataclass(frozen=True)
class Job:
    """One composed and checked job.

    Parameters
    ----------
    settings
        What it runs with: an instance of the door's ``SETTINGS``.
    overrides : tuple of str
        Its own part of the command line, ``key=value``.
    hydra : DictConfig
        Hydra's node: folders and launcher.
    chosen : tuple of str
        Names of the groups that the command line chose.
    """

    settings: Any
    overrides: tuple[str, ...]
    hydra: DictConfig
    chosen: tuple[str, ...]


def check(
    config_name: str, kind: type[Settings], words: Sequence[str], *, multirun: bool, config_dir: str | None = None
) -> list[Job]:
    """Return the jobs that a command line asks for.

    Raises
    ------
    SettingsError
        With one message for each fault of any job.
    """
    overrides, faults = _parse(words)
    faults += [fault for override in overrides for fault in _refused(override, multirun=multirun)]
    if faults:
        raise SettingsError(*faults)
    n_jobs = math.prod(len(list(o.sweep_string_iterator())) for o in overrides if o.is_sweep_override())
    if n_jobs > MAX_JOBS:
        raise SettingsError(
            f"command line: {n_jobs} jobs; expected at most {MAX_JOBS}. "
            "Narrow the lists, or let `python -m pipeline.search` choose among them."
        )
    with _hydra(config_dir) as hydra:
        composer = _Composer(config_name, hydra)
        combinations = (
            BasicSweeper.split_arguments(overrides, None)[0] if multirun else [[str(o.input_line) for o in overrides]]
        )
        jobs: list[Job] = []
        for combination in combinations:
            try:
                jobs.append(composer.job(tuple(combination), kind))
            except SettingsError as error:
                faults += error.messages
    if faults:
        raise SettingsError(*dict.fromkeys(faults))
    return jobs


@contextmanager
def _hydra(config_dir: str | None) -> Iterator[Hydra]:
    """Yield a Hydra that looks into ``conf/`` and then into ``config_dir``, as its own ``--config-dir`` does."""
    search_path = create_config_search_path(str(CONF))
    if config_dir:
        if not Path(config_dir).is_dir():
            raise SettingsError(f"--config-dir: {config_dir} is no folder. Name one with configuration files in it")
        search_path.prepend("command-line", f"file://{Path(config_dir).resolve()}", anchor="schema")
    version.setbase("1.3")
    try:
        yield Hydra.create_main_hydra2(task_name="mlpsweep", config_search_path=search_path)
    finally:
        GlobalHydra.instance().clear()


class _Composer:
    """Composes jobs that differ in values only from one composition: Hydra's takes 0.05 s each."""

    def __init__(self, config_name: str, hydra: Hydra) -> None:
        self._config_name, self._hydra = config_name, hydra
        self._composed: dict[tuple[str, ...], DictConfig] = {}

    def job(self, words: tuple[str, ...], kind: type[Settings]) -> Job:
        overrides = OverridesParser.create().parse_overrides(list(words))
        groups = [o for o in overrides if self._is_group(o)]
        unknown = {o.key_or_group: fault for o in groups for fault in self._unknown_option(o)}
        config = self._compose(tuple(str(o.input_line) for o in groups if o.key_or_group not in unknown)).copy()
        faults = [*unknown.values(), *(fault for o in overrides if o not in groups for fault in _set(config, o))]
        try:
            settings = load(config, kind)
        except SettingsError as error:
            raise SettingsError(*faults, *error.messages) from error
        faults += oversized(settings)
        if faults:
            raise SettingsError(*faults)
        return Job(settings, words, config.hydra, tuple(o.key_or_group for o in groups))

    def _is_group(self, override: Override) -> bool:
        return "/" in override.key_or_group or bool(self._options(override))

    def _options(self, override: Override) -> list[str]:
        return list(self._hydra.config_loader.get_group_options(override.key_or_group, ObjectType.CONFIG))

    def _unknown_option(self, override: Override) -> Iterator[str]:
        options, choice = self._options(override), override.value()
        if choice not in (options if override.key_or_group not in MAY_BE_NULL else [*options, None]):
            known = f"{', '.join(options)}{nearest(choice, options)}"
            yield f"{override.key_or_group}: {choice!r} is not known; expected one of {known}"

    def _compose(self, groups: tuple[str, ...]) -> DictConfig:
        if groups not in self._composed:
            try:
                config = self._hydra.compose_config(
                    self._config_name, list(groups), RunMode.RUN, from_shell=False, with_log_configuration=False
                )
            except (HydraException, OmegaConfBaseException, YAMLError) as error:
                message = " ".join(str(error).split())
                raise SettingsError(f"configuration: {message}. Put that file right: conf/ holds examples") from error
            self._composed[groups] = config
        return self._composed[groups]


def oversized(settings: Settings) -> Iterator[str]:
    """Yield why a training would not fit the data or this machine."""
    if not isinstance(settings, TrainSettings):
        return
    facts, data = SPECS[settings.data.name], settings.data
    n_rows = facts.n_train - data.n_validation
    if n_rows < max(1, data.n_train or 1):
        yield (
            f"data.n_validation: {data.n_validation} of {facts.n_train} rows leave {n_rows} to train on; "
            f"expected at least {data.n_train or 1}. Lower data.n_validation or data.n_train"
        )
    elif settings.batch_size > (data.n_train or n_rows):
        yield f"batch_size: {settings.batch_size}; expected at most the {data.n_train or n_rows} rows to train on"
    sizes = (math.prod(facts.image_shape), *settings.hidden_sizes, len(facts.class_names))
    needed = N_COPIES * BYTES * sum(a * b for a, b in itertools.pairwise(sizes))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        yield (
            f"hidden_sizes: {list(settings.hidden_sizes)} needs {needed / 1e9:,.0f} GB; expected at most the "
            f"{memory / 1e9:,.0f} GB of this machine. Example: hidden_sizes=[500,250,100]"
        )


def _parse(words: Sequence[str]) -> tuple[list[Override], list[str]]:
    parser, overrides, faults = OverridesParser.create(), [], []
    for word in words:
        try:
            overrides += parser.parse_overrides([word])
        except HydraException as error:
            reason = str(error.__cause__ or error).splitlines()[0]
            faults.append(
                f"{word}: not understood ({reason}); expected key=value, lists as key=[1,2]. "
                "In a shell, put the whole word in quotes."
            )
    return overrides, faults


def _refused(override: Override, *, multirun: bool) -> Iterator[str]:
    """Yield why an override is refused before it is looked up."""
    name, word = override.key_or_group, override.input_line
    if override.type is not OverrideType.CHANGE:
        yield f"{word}: the leading sign adds or removes a setting, but all settings are there. Write {name}=VALUE"
    elif name == "hydra/sweeper":
        yield f"{word}: the search has a door of its own, which prunes and resumes. Run python -m pipeline.search"
    elif name.startswith(("hydra.", "hydra/")) and (not name.startswith(HYDRA_KEYS) or "_target_" in name):
        yield f"{word}: configuration may not name code; of Hydra's settings only {', '.join(HYDRA_KEYS)} are taken"
    elif override.is_sweep_override() and not multirun:
        yield f"{word}: several values for one run. Add -m to sweep over them, or write a list as [1,2]"
    elif override.is_sweep_override() and not override.is_discrete_sweep():
        yield f"{word}: a range has no values to run; expected a list, {name}=1,2. Or run python -m pipeline.search"


def _set(config: DictConfig, override: Override) -> Iterator[str]:
    """Set one value in place; yield a message if there is no such key."""
    name = override.key_or_group
    try:
        if OmegaConf.select(config, name, default=_MISSING) is _MISSING:
            yield f"{name}: no such setting{nearest(name, _names(config))}. `--help` lists them all"
            return
        OmegaConf.update(config, name, override.value(), merge=False)
    except OmegaConfBaseException as error:
        yield f"{name}: {str(error).splitlines()[0]}"


_MISSING: Any = object()


def _names(config: Mapping[Any, Any], path: str = "") -> Iterator[str]:
    for name, value in config.items():
        if f"{path}{name}" != "hydra":
            yield f"{path}{name}"
            if isinstance(value, DictConfig):
                yield from _names(value, f"{path}{name}.")
