"""Check a command line before anything runs: every override known, every job composed, every fault at once.

Hydra alone shows the first fault, with exit code 1, after it has made its folder. Nothing is run here.
"""

import contextlib
import itertools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, OverrideType, Quote, QuotedString, RangeSweep
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from mlpsweep.config import load
from mlpsweep.data.specs import SPECS
from mlpsweep.errors import SettingsError
from mlpsweep.schema import Settings, nearest
from mlpsweep.settings import TrainSettings

CONF = Path(__file__).resolve().parents[1] / "conf"
MAX_JOBS = 1000
# Memory holds the weights, the best ones so far and a checkpoint, each number in 4 bytes.
N_COPIES, BYTES = 3, 4
MAY_BE_NULL = ("recipe",)
# Hydra's own settings that a command line may change: they cannot name code.
HYDRA_KEYS = ("hydra/launcher", "hydra.launcher.", "hydra.run.dir", "hydra.sweep.dir", "hydra.verbose")


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
    if config_dir and not Path(config_dir).is_dir():
        raise SettingsError(f"--config-dir: {config_dir} is no folder. Name one with configuration files in it")
    jobs: list[Job] = []
    with _hydra():
        composer = _Composer(config_name, Path(config_dir).resolve() if config_dir else None, multirun=multirun)
        for combination in composer.combinations(overrides):
            try:
                jobs.append(composer.job(combination, kind))
            except SettingsError as error:
                faults += error.messages
    if faults:
        raise SettingsError(*dict.fromkeys(faults))
    return jobs


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

    def combinations(self, overrides: Sequence[Override]) -> list[tuple[str, ...]]:
        """Return the words of each job, the last key's values changing fastest, as Hydra's sweeper does."""
        if not self._multirun:
            return [tuple(str(override.input_line) for override in overrides)]
        # If a key is given twice, its last values count.
        swept = {override.get_key_element(): override for override in overrides}
        counts = {override.input_line: self._count(override) for override in swept.values()}
        empty = [f"{word}: no value to run; expected one at least" for word, count in counts.items() if not count]
        if empty:
            raise SettingsError(*empty)
        if (n_jobs := math.prod(counts.values())) > MAX_JOBS:
            raise SettingsError(
                f"command line: {n_jobs} jobs; expected at most {MAX_JOBS}. "
                "Narrow the lists, or let `python -m pipeline.search` choose among them."
            )
        words = ([f"{key}={value}" for value in self._values(override)] for key, override in swept.items())
        return list(itertools.product(*words))

    def job(self, words: tuple[str, ...], kind: type[Settings]) -> Job:
        """Return one job, composed and checked."""
        overrides = OverridesParser.create().parse_overrides(list(words))
        groups = [o for o in overrides if "/" in o.key_or_group or self.options(o.key_or_group)]
        unknown = {o.key_or_group: fault for o in groups for fault in self._unknown_option(o)}
        # Hydra takes no null for a group; to leave the group out says the same.
        chosen = [o for o in groups if o.key_or_group not in unknown and o.value() is not None]
        config = self._compose(tuple(str(o.input_line) for o in chosen)).copy()
        faults = [*unknown.values(), *(fault for o in overrides if o not in groups for fault in _set(config, o))]
        place = "hydra.sweep.dir" if self._multirun else "hydra.run.dir"
        try:
            folder = OmegaConf.select(config, place, throw_on_missing=True)
        except OmegaConfBaseException as error:
            faults.append(f"{place}: {str(error).splitlines()[0]}; expected a folder. Example: {place}=outputs/mine")
        try:
            settings = load(config, kind)
        except SettingsError as error:
            raise SettingsError(*faults, *error.messages) from error
        faults += oversized(settings)
        if faults:
            raise SettingsError(*faults)
        return Job(settings, words, folder, tuple(o.key_or_group for o in groups))

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
            return value.filter(self.options(override.key_or_group))
        is_sweep = override.is_sweep_override()
        return list(override.sweep_string_iterator()) if is_sweep else [override.get_value_element_as_str()]

    def _count(self, override: Override) -> float:
        value = override.value()
        # A range may be too long to be listed.
        return _length(value) if isinstance(value, RangeSweep) else len(self._values(override))

    def _unknown_option(self, override: Override) -> Iterator[str]:
        options, choice = self.options(override.key_or_group), override.value()
        may_be_null = override.key_or_group in MAY_BE_NULL and not self._multirun
        if choice not in options and not (choice is None and may_be_null):
            known = f"{', '.join(options)}{nearest(choice, options)}"
            yield f"{override.key_or_group}: {choice!r} is not known; expected one of {known}"

    def _compose(self, groups: tuple[str, ...]) -> DictConfig:
        if groups not in self._composed:
            more = [f"hydra.searchpath=[{quoted(f'file://{self._config_dir}')}]"] if self._config_dir else []
            try:
                config = compose(self._config_name, [*more, *groups], return_hydra_config=True)
            except (HydraException, OmegaConfBaseException, YAMLError) as error:
                message = " ".join(str(error).split())
                raise SettingsError(f"configuration: {message}. Put that file right: conf/ holds examples") from error
            self._composed[groups] = config
        return self._composed[groups]


def oversized(settings: Settings) -> Iterator[str]:
    """Yield a message for each way in which a training does not fit the data or this machine."""
    if not isinstance(settings, TrainSettings):
        return
    spec, data = SPECS[settings.data.name], settings.data
    n_rows = spec.n_train - data.n_validation
    if n_rows < max(1, data.n_train or 1):
        yield (
            f"data.n_validation: {data.n_validation} of {spec.n_train} rows leave {n_rows} to train on; "
            f"expected at least {data.n_train or 1}. Lower data.n_validation or data.n_train"
        )
    elif settings.batch_size > (data.n_train or n_rows):
        yield f"batch_size: {settings.batch_size}; expected at most the {data.n_train or n_rows} rows to train on"
    sizes = (math.prod(spec.image_shape), *settings.hidden_sizes, len(spec.class_names))
    needed = N_COPIES * BYTES * sum(a * b for a, b in itertools.pairwise(sizes))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        yield (
            f"hidden_sizes: {list(settings.hidden_sizes)} needs {needed / 1e9:,.0f} GB; expected at most the "
            f"{memory / 1e9:,.0f} GB of this machine. Example: hidden_sizes=[500,250,100]"
        )


def quoted(text: str) -> str:
    """Return a text quoted, so that the command line takes it as one value."""
    return QuotedString(text, Quote.single).with_quotes()


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


def _length(values: RangeSweep) -> float:
    """Return how many values a range has; infinity where it has no end, 0 where it takes no steps."""
    try:
        start, stop, step = (Fraction(number or 0) for number in (values.start, values.stop, values.step))
    except (OverflowError, ValueError):
        return math.inf
    return max(0, math.ceil((stop - start) / step)) if step else 0


def _refused(override: Override, *, multirun: bool) -> Iterator[str]:
    """Yield a message if an override is refused before its key is looked up."""
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
