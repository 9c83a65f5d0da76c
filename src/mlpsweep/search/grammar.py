"""How a file of ``conf/space/`` is read: from mappings to dimensions, every mistake named by its place."""

import dataclasses
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from mlpsweep.rules import Rule
from mlpsweep.schema import Family, Settings, nearest
from mlpsweep.search.dimensions import Categorical, Dimension, Leaf, Plain, Range, Value, Widths, label
from mlpsweep.search.groups import Choice, Group
from mlpsweep.settings import TrainSettings

# Not searchable: the search itself sets budget, seed and metric, and the split must be the same for all trials.
FIXED = frozenset({"seed", "threads", "n_epochs", "averaging", "monitor", "monitor_every", "log_every", "output_dir"})
MAX_DEPTH, MAX_STEPS, MAX_NUMBER = 100, 10**9, 1e100
"""Beyond these a space is a slip, which takes all memory or overflows before a rule can refuse it."""
CHOICE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
"""Names that a command line can have within ``space.dimensions.optimizer.choices.<name>.<key>``."""


def parse_dimensions(specs: Mapping[str, Mapping[str, Any]]) -> tuple[Dimension, ...]:
    """Return the dimensions of a space: the groups, then the others in the order of the file.

    A setting that a choice of a group searches in a range of its own becomes part of that group, because what is drawn
    for it depends on the choice.

    Raises
    ------
    ValueError
        Its arguments are one message per fault, each beginning with the name of a dimension.
    """
    found, faults = _each(specs, parse_dimension)
    groups = {name: one for name, one in found.items() if isinstance(one, Group)}
    again = {name: {key for key in _below(group) if "." not in key} for name, group in groups.items()}
    for setting, n in Counter(itertools.chain(*again.values())).items():
        if n > 1:
            places = " and ".join(f"{name}.choices" for name in again if setting in again[name])
            faults.append(f"{places}: both have ranges of {setting}; expected them below one group only")
    if faults:
        raise ValueError(*faults)
    shared = {name: {key: found[key] for key in found if key in again[name]} for name in groups}
    moved = set(itertools.chain(*shared.values()))
    others = (one for name, one in found.items() if name not in groups and name not in moved)
    return (*(_with(group, shared[name]) for name, group in groups.items()), *others)


def parse_dimension(name: str, spec: Mapping[str, Any]) -> Dimension:
    """Return the dimension that a mapping such as ``{type: float, low: 0.01, high: 1, log: true}`` describes.

    Raises
    ------
    ValueError
        Its arguments are one message per fault, each beginning with ``name``.
    """
    if name in FAMILIES:
        return _of_kind(name, spec, GROUPS)
    if name not in PLAIN:
        raise ValueError(f"{name}: not a setting that can be searched{_known(name, (*PLAIN, *FAMILIES))}")
    return _ranged(name, spec, PLAIN[name])


def _each(told: Mapping[Any, Any], parse: Callable[[str, Any], Dimension | Choice]) -> tuple[dict[str, Any], list[str]]:
    """Return what each part becomes, and the messages about those that are wrong."""
    found: dict[str, Any] = {}
    faults: list[str] = []
    for name, spec in told.items():
        try:
            found[str(name)] = parse(str(name), spec)
        except ValueError as error:
            faults += error.args
    return found, faults


def _below(group: Group) -> list[str]:
    """Return each setting that some choice of a group searches, once."""
    below = (one.name.partition("@")[0] for choice in group.choices.values() for one in choice.dimensions)
    return list(dict.fromkeys(below))


def _with(group: Group, shared: Mapping[str, Dimension]) -> Group:
    """Return a group whose choices without a range of their own search the shared ones."""

    def completed(choice: Choice) -> Choice:
        own = {one.name.partition("@")[0] for one in choice.dimensions}
        more = (one for name, one in shared.items() if name not in own)
        return dataclasses.replace(choice, dimensions=(*choice.dimensions, *more))

    return dataclasses.replace(group, choices={name: completed(choice) for name, choice in group.choices.items()})


def _rules(kind: type[Settings], fixed: frozenset[str]) -> dict[str, Rule]:
    known = {field.name: field.metadata["rule"] for field in dataclasses.fields(kind) if "rule" in field.metadata}
    return {name: rule for name, rule in known.items() if name not in fixed}


def _known(name: str, known: tuple[str, ...]) -> str:
    return f"{nearest(name, known)} (these can: {', '.join(known)})"


def _of_kind(name: str, spec: Mapping[str, Any], parsers: Mapping[str, Callable[..., Dimension]]) -> Dimension:
    kind = str(spec.get("type"))
    if kind not in parsers:
        known = ", ".join(sorted(parsers))
        raise ValueError(f"{name}.type: {kind!r} is not known; expected one of {known}{nearest(kind, parsers)}")
    return parsers[kind](name, spec)


def _ranged(name: str, spec: Any, rule: Rule) -> Dimension:
    """Return the dimension of one setting, whose values all keep its rule."""
    if not isinstance(spec, Mapping):
        raise ValueError(f"{name}: {spec!r}; expected a range such as {{type: float, low: 0.1, high: 1}}")
    setting = name.partition("@")[0]
    dimension = _of_kind(name, spec, WIDTHS if setting == "hidden_sizes" else NUMBERS)
    for example in (dimension.decode(corner)[setting] for corner in _corners(dimension)):
        try:
            rule.parse(example)
        except ValueError:
            raise ValueError(f"{name}: the space holds {example!r}; expected {rule.expected}") from None
    return dimension


def _corners(dimension: Dimension) -> Iterator[dict[str, Value]]:
    """Yield each choice, or each end of the first leaf with each end of the others; what fits there fits between."""
    first, *_ = dimension.leaves()
    own = first.labels if isinstance(first, Categorical) else (first.low, first.high)
    for value, end in itertools.product(own, (0.0, 1.0)):
        params: dict[str, Value] = {}

        def draw(leaf: Leaf, value: Value = value, end: float = end, params: dict[str, Value] = params) -> Value:
            params[leaf.name] = value if leaf is first else leaf.from_unit(end)
            return params[leaf.name]

        dimension.walk(draw)
        yield params


def _check_keys(name: str, spec: Mapping[str, Any], required: set[str], allowed: set[str]) -> None:
    known = required | allowed
    faults = [f"{name}.{key}: no such key{nearest(key, known)}" for key in spec.keys() - known]
    faults += [f"{name}.{key}: not set" for key in required - spec.keys()]
    if faults:
        raise ValueError(*(f"{fault} (expected here: {', '.join(sorted(known))})" for fault in sorted(faults)))


def _parse_group(name: str, spec: Mapping[str, Any]) -> Dimension:
    _check_keys(name, spec, {"type", "choices"}, set())
    told, family = spec["choices"], FAMILIES[name]
    if not isinstance(told, Mapping) or not told:
        example = next(iter(family.members))
        raise ValueError(
            f"{name}.choices: {told!r}; expected a mapping from files of conf/{name}/ to what is searched with each, "
            f"as in {{{example}: {{}}}}"
        )
    choices, faults = _each(told, lambda choice, more: _parse_choice(name, family, choice, more))
    if faults:
        raise ValueError(*faults)
    return Group(Categorical(name, tuple(choices)), choices)


def _parse_choice(group: str, family: type[Family], choice: str, told: Any) -> Choice:
    """Return a choice; its keys are fixed values of its own settings, or ranges of these or of plain settings."""
    place = f"{group}.choices.{choice}"
    if not CHOICE.fullmatch(choice):
        raise ValueError(f"{place}: no name of a file; expected letters, digits, _ and -, a letter first")
    if not isinstance(told, Mapping | None):
        raise ValueError(f"{place}: {told!r}; expected what is searched with it, or {{}}")
    keys = {str(key): value for key, value in (told or {}).items()}
    member = keys.pop("name", choice)
    if not isinstance(member, str) or member not in family.members:
        known = ", ".join(sorted(family.members))
        raise ValueError(f"{place}: {member!r} is not known; expected one of {known}{nearest(member, family.members)}")
    own = _rules(family.members[member], frozenset({"name"}))
    fixed = {key: value for key, value in keys.items() if key in own and not isinstance(value, Mapping)}
    faults = [
        f"{place}.{key}: {value!r} does not fit; expected {own[key].expected}, or a range"
        for key, value in fixed.items()
        if not own[key].accepts(value)
    ]
    ranged = {key: spec for key, spec in keys.items() if key not in fixed}
    found, more = _each(ranged, lambda key, spec: _parse_key(group, choice, key, spec, own))
    if faults or more:
        raise ValueError(*faults, *more)
    return Choice({"name": member, **fixed}, tuple(found.values()))


def _parse_key(group: str, choice: str, key: str, spec: Any, own: Mapping[str, Rule]) -> Dimension:
    place = f"{group}.choices.{choice}.{key}"
    if key in FAMILIES or (isinstance(spec, Mapping) and spec.get("type") == "group"):
        raise ValueError(f"{place}: a group in a group; expected a range. Give it a place of its own under dimensions")
    if (rule := own.get(key) or PLAIN.get(key)) is None:
        known = _known(key, (*own, *PLAIN))
        raise ValueError(f"{place}: neither a key of {choice} nor a setting that can be searched{known}")
    name = f"{group}.{key}@{choice}" if key in own else f"{key}@{choice}"
    try:
        return _ranged(name, spec, rule)
    except ValueError as error:
        raise ValueError(*(place + str(one).removeprefix(name) for one in error.args)) from None


def _parse_choices(name: str, spec: Mapping[str, Any]) -> Dimension:
    _check_keys(name, spec, {"type", "choices"}, set())
    choices = spec["choices"]
    if not isinstance(choices, list | tuple) or not choices:
        raise ValueError(f"{name}.choices: {choices!r}; expected a list with at least one value")
    if any(isinstance(choice, Mapping) for choice in choices):
        raise ValueError(f"{name}.choices: {list(choices)!r}; expected values, not mappings")
    values = {label(choice): choice for choice in choices}
    if len(values) < len(choices):
        raise ValueError(f"{name}.choices: {list(choices)!r} names a value twice; expected each once")
    return Plain(name, Categorical(name, tuple(values)), values)


def _parse_number(name: str, spec: Mapping[str, Any]) -> Dimension:
    _check_keys(name, spec, {"type", "low", "high"}, {"log", "step"})
    return Plain(name, _range(name, spec, integer=spec["type"] == "int"))


def _parse_widths(name: str, spec: Mapping[str, Any]) -> Dimension:
    _check_keys(name, spec, {"type", "depth", "width"}, set())
    for part in ("depth", "width"):
        if not isinstance(spec[part], Mapping):
            raise ValueError(f"{name}.{part}: {spec[part]!r}; expected a range such as {{low: 1, high: 3}}")
        _check_keys(f"{name}.{part}", spec[part], {"low", "high"}, {"log", "step"})
    depth, width = (_range(f"{name}.{part}", spec[part], integer=True) for part in ("depth", "width"))
    if depth.low < 0:
        raise ValueError(f"{name}.depth.low: {depth.low}; expected an integer >= 0")
    if depth.high > MAX_DEPTH:
        raise ValueError(f"{name}.depth.high: {depth.high}; expected at most {MAX_DEPTH}")
    return Widths(name, depth, width)


def _range(name: str, spec: Mapping[str, Any], *, integer: bool) -> Range:
    low, high, log, step = spec["low"], spec["high"], spec.get("log", False), spec.get("step")
    kind = int if integer else int | float
    for key, value in (("low", low), ("high", high), ("step", 1 if step is None else step)):
        # What is no number compares as false, too.
        if isinstance(value, bool) or not isinstance(value, kind) or not -MAX_NUMBER <= value <= MAX_NUMBER:
            expected = "an integer" if integer else "a finite number"
            raise ValueError(f"{name}.{key}: {value!r}; expected {expected}")
    checks = {
        f"low {low} is above high {high}; expected low <= high": low > high,
        f"log is {log!r}; expected true or false": not isinstance(log, bool),
        f"step {step}; expected a number above 0": step is not None and step <= 0,
        f"step {step} is too small for {low} .. {high}": bool(step) and (high - low) / step > MAX_STEPS,
        f"log with low {low}; a logarithm needs low above 0": log is True and low <= 0,
        "both log and step; expected one of them": log is True and step is not None,
    }
    if wrong := [f"{name}: {message}" for message, is_wrong in checks.items() if is_wrong]:
        raise ValueError(*wrong)
    if step is not None:
        high = low + math.floor((high - low) / step + 1e-9) * step
    if integer:
        return Range(name, low, high, True, log, step)
    return Range(name, float(low), float(high), False, log, None if step is None else float(step))


PLAIN: Final[Mapping[str, Rule]] = MappingProxyType(_rules(TrainSettings, FIXED))
FAMILIES: Final[Mapping[str, type[Family]]] = MappingProxyType(
    {
        field.name: field.type
        for field in dataclasses.fields(TrainSettings)
        if isinstance(field.type, type) and issubclass(field.type, Family)
    }
)
NUMBERS: Final = MappingProxyType({"float": _parse_number, "int": _parse_number, "categorical": _parse_choices})
WIDTHS: Final = MappingProxyType({"widths": _parse_widths, "categorical": _parse_choices})
GROUPS: Final = MappingProxyType({"group": _parse_group})
