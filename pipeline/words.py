"""The words of a command line, one by one: parsed, and refused before anything is looked up or composed."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType, RangeSweep
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mlpsweep import rules
from mlpsweep.errors import quoted
from mlpsweep.rules import Rule
from mlpsweep.schema import nearest

# Groups whose files are deltas over everything: none, one or several of them may be chosen.
DELTAS = ("recipe",)
_JOBLIB = "hydra.launcher."
_FACTOR = r"(n_jobs|[1-9]\d{0,3})"
# Hydra's own settings that a command line may change, as they cannot name code; None: Hydra's own types check it.
HYDRA_KEYS: Final[Mapping[str, Rule | None]] = MappingProxyType(
    {
        "hydra/launcher": None,
        "hydra.run.dir": None,
        "hydra.sweep.dir": None,
        "hydra.verbose": rules.BOOLEAN,
        f"{_JOBLIB}n_jobs": rules.matching(r"-1|[1-9]\d{0,3}", "a number of processes, or -1: one per processor"),
        f"{_JOBLIB}pre_dispatch": rules.matching(
            rf"all|{_FACTOR}(\s*[*+]\s*{_FACTOR})*", "all, or sums and products of numbers and n_jobs as in 2*n_jobs"
        ),
        f"{_JOBLIB}batch_size": rules.matching(r"auto|[1-9]\d{0,5}", "auto or a number of jobs"),
        f"{_JOBLIB}max_nbytes": rules.optional(rules.matching(r"\d{1,6}[KMG]?", "a size as in 10M")),
        f"{_JOBLIB}mmap_mode": rules.optional(rules.one_of(("r", "r+", "w+", "c"))),
        f"{_JOBLIB}prefer": rules.one_of(("processes", "threads")),
        f"{_JOBLIB}require": rules.optional(rules.matching("(?!)", "no memory that processes would have to share")),
        f"{_JOBLIB}verbose": rules.integer(0, 100),
    }
)
SHOWN_KEYS = ("hydra/launcher", "hydra.launcher.*", "hydra.run.dir", "hydra.sweep.dir", "hydra.verbose")


def parse(words: Sequence[str]) -> tuple[list[Override], list[str]]:
    """Return the words that are understood, and a message for each other one."""
    parser, overrides, faults = OverridesParser.create(), [], []
    for word in words:
        try:
            overrides += parser.parse_overrides([word])
        except (HydraException, ValueError, RecursionError) as error:
            reason = (str(error.__cause__ or error) or type(error).__name__).splitlines()[0]
            faults.append(
                f"{word}: not understood ({reason}); expected key=value, lists as key=[1,2]. "
                "In a shell, put the whole word in quotes."
            )
    return overrides, faults


def refused(override: Override, *, multirun: bool) -> Iterator[str]:
    """Yield a message if an override is refused before its key is looked up."""
    name, word = override.key_or_group, override.input_line
    if override.type is not OverrideType.CHANGE:
        yield f"{word}: the leading sign adds or removes a setting, but all settings are there. Write {name}=VALUE"
    elif override.package is not None:
        yield f"{word}: a setting has one place; expected {name}=VALUE. Leave @{override.package} out"
    elif name == "hydra/sweeper":
        yield f"{word}: the search has a door of its own, which prunes and resumes. Run python -m pipeline.search"
    elif name.startswith(("hydra.", "hydra/")):
        yield from _refused_of_hydra(override)
    elif re.search(r"\$\{\s*hydra\b", str(word)):
        yield f"{word}: a setting may not depend on how Hydra runs it; expected a value. Name values with -m {name}=a,b"
    elif override.is_sweep_override() and not multirun:
        yield f"{word}: several values for one run. Add -m to sweep over them, or write a list as [1,2]"
    elif override.is_sweep_override() and not override.is_discrete_sweep():
        yield f"{word}: a range has no values to run; expected a list, {name}=1,2. Or run python -m pipeline.search"


def _refused_of_hydra(override: Override) -> Iterator[str]:
    name, word = override.key_or_group, override.input_line
    if not is_of_hydra(name) or (name.startswith(_JOBLIB) and isinstance(override.value(), dict | list)):
        yield f"{word}: configuration may not name code; of Hydra's settings only {', '.join(SHOWN_KEYS)} are taken"
    elif override.is_sweep_override():
        yield f"{word}: several values for what all jobs share; expected one. Quote a name that has a comma in it"
    elif rule := HYDRA_KEYS.get(name):
        value = override.value()
        # Hydra takes numbers for texts there.
        if not rule.accepts(value) and not rule.accepts(str(value)):
            yield f"{name}: {quoted(value)} does not fit; expected {rule.expected}"


def is_of_hydra(name: str) -> bool:
    """Return whether a key of Hydra's own may be changed: such a value is no code and leads to none."""
    return name in HYDRA_KEYS or bool(re.fullmatch(r"hydra\.launcher\.[A-Za-z]\w*", name))


def named(number: int, words: Sequence[str]) -> str:
    """Return what a message about one job of several begins with."""
    return f"job {number} ({' '.join(words)}): "


def length(values: RangeSweep) -> float:
    """Return how many values a range has; infinity where it has no end, 0 where it takes no steps."""
    try:
        start, stop, step = (Fraction(number or 0) for number in (values.start, values.stop, values.step))
    except (OverflowError, ValueError):
        return math.inf
    return max(0, math.ceil((stop - start) / step)) if step else 0


def set_value(config: DictConfig, override: Override) -> Iterator[str]:
    """Set one value in place; yield a message if there is no such key."""
    name = override.key_or_group
    try:
        if OmegaConf.select(config, name, default=_MISSING) is _MISSING:
            yield no_such(name, _names(config))
            return
        OmegaConf.update(config, name, override.value(), merge=False)
    except OmegaConfBaseException as error:
        yield f"{name}: {str(error).splitlines()[0]}"


def no_such(name: str, known: Iterable[str]) -> str:
    """Return the message about a key that is no setting."""
    return f"{name}: no such setting{nearest(name, known)}. `--help` lists them all"


_MISSING: Any = object()


def _names(config: Mapping[Any, Any], path: str = "") -> Iterator[str]:
    for name, value in config.items():
        if f"{path}{name}" != "hydra":
            yield f"{path}{name}"
            if isinstance(value, DictConfig):
                yield from _names(value, f"{path}{name}.")
