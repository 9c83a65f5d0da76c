"""The dimensions of a search space as values: ranges, choices and layer widths; Optuna is not known here.

A *dimension* is one searched setting. It is made of *leaves*, the single numbers or names that a sampler draws:
one leaf for a plain setting, a depth and that many widths for ``hidden_sizes``.
"""

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol

from mlpsweep.rules import Rule
from mlpsweep.schema import nearest
from mlpsweep.settings import TrainSettings

Value = bool | int | float | str | None
N_LEVELS = 5
"""Points that a grid takes on a range without steps."""

# Not searchable: the search itself sets budget, seed and metric, and all trials must be measured alike.
FIXED = frozenset({"seed", "threads", "n_epochs", "averaging", "monitor", "monitor_every", "log_every", "output_dir"})


@dataclass(frozen=True)
class Range:
    """A leaf of numbers from ``low`` to ``high``, both included."""

    name: str
    low: float
    high: float
    integer: bool = False
    log: bool = False
    step: float | None = None

    @property
    def n_levels(self) -> int:
        """Largest number of points of a grid, counted without listing them."""
        is_stepped = self.step is not None or (self.integer and not self.log)
        return math.floor((self.high - self.low) / (self.step or 1) + 1e-9) + 1 if is_stepped else N_LEVELS

    def levels(self) -> tuple[Value, ...]:
        """Return the points of a grid: every step, or a few points at equal distances (ratios, if log)."""
        if self.step is not None or (self.integer and not self.log):
            return tuple(self._level(i) for i in range(self.n_levels))
        points = [self.from_unit(i / (N_LEVELS - 1)) for i in range(N_LEVELS)]
        return tuple(dict.fromkeys(points))

    def from_unit(self, u: float) -> Value:
        """Return the value at ``u`` in 0 .. 1: a uniform ``u`` gives a uniform value, or a uniform logarithm."""
        if self.step is not None or (self.integer and not self.log):
            return self._level(min(int(u * self.n_levels), self.n_levels - 1))
        # Half a unit at each end gives the first and the last integer their full share.
        margin = 0.5 if self.integer else 0.0
        low, high = self.low - margin, self.high + margin
        value = math.exp(math.log(low) + u * (math.log(high) - math.log(low))) if self.log else low + u * (high - low)
        return self._number(min(max(value, self.low), self.high))

    def contains(self, value: Any) -> bool:
        """Return whether ``value`` can be drawn."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / (self.step or 1)
        stepped = self.step is not None or self.integer
        return not stepped or abs(steps - round(steps)) < 1e-8  # Optuna's own tolerance

    def _level(self, i: int) -> Value:
        return self._number(self.low + i * (self.step or 1))

    def _number(self, value: float) -> Value:
        return round(value) if self.integer else float(value)


@dataclass(frozen=True)
class Categorical:
    """A leaf of names or other values; lists appear to a sampler as their JSON text."""

    name: str
    labels: tuple[Value, ...]

    @property
    def n_levels(self) -> int:
        """Number of choices."""
        return len(self.labels)

    def levels(self) -> tuple[Value, ...]:
        """Return every choice."""
        return self.labels

    def from_unit(self, u: float) -> Value:
        """Return the choice at ``u`` in 0 .. 1, each with an equal share."""
        return self.labels[min(int(u * len(self.labels)), len(self.labels) - 1)]

    def contains(self, value: Any) -> bool:
        """Return whether ``value`` is one of the choices."""
        return value in self.labels


Leaf = Range | Categorical
Draw = Callable[[Leaf], Value]


def span(leaf: Leaf) -> str:
    """Return what can be drawn, for a person: ``0.01 .. 0.5 log``, or the choices."""
    if isinstance(leaf, Categorical):
        return ", ".join(str(label) for label in leaf.labels)
    return f"{leaf.low:g} .. {leaf.high:g}{' log' if leaf.log else ''}{f' by {leaf.step:g}' if leaf.step else ''}"


class Dimension(Protocol):
    """One searched setting."""

    @property
    def name(self) -> str:
        """The setting's name."""

    def walk(self, draw: Draw) -> None:
        """Draw every leaf that applies, in order: later ones may depend on what earlier ones gave."""

    def leaves(self) -> tuple[Leaf, ...]:
        """Return every leaf there may be."""

    def decode(self, params: Mapping[str, Any]) -> Any:
        """Return the setting's value from drawn leaves."""

    def encode(self, value: Any) -> dict[str, Value] | None:
        """Return the leaves that give ``value``, or None if the dimension does not hold it."""


@dataclass(frozen=True)
class Plain:
    """A setting drawn as one leaf."""

    leaf: Leaf
    values: Mapping[Value, Any] | None = None

    @property
    def name(self) -> str:
        """The setting's name."""
        return self.leaf.name

    def walk(self, draw: Draw) -> None:
        """Draw the one leaf."""
        draw(self.leaf)

    def leaves(self) -> tuple[Leaf, ...]:
        """Return the one leaf."""
        return (self.leaf,)

    def decode(self, params: Mapping[str, Any]) -> Any:
        """Return the drawn value, or the list that its text stands for."""
        value = params[self.name]
        return self.values[value] if self.values else value

    def encode(self, value: Any) -> dict[str, Value] | None:
        """Return the leaf of ``value``, if the space holds it."""
        drawn = _label(value) if self.values else value
        return {self.name: drawn} if self.leaf.contains(drawn) else None


@dataclass(frozen=True)
class Widths:
    """``hidden_sizes`` as a depth and one width per layer; a width exists only where the depth reaches."""

    name: str
    depth: Range
    width: Range

    def layer(self, number: int) -> Range:
        """Return the leaf of the width of layer ``number``, from 1."""
        return dataclasses.replace(self.width, name=f"{self.name}.{number}")

    def walk(self, draw: Draw) -> None:
        """Draw the depth, then that many widths."""
        depth = draw(self.depth)
        assert isinstance(depth, int)
        for number in range(1, depth + 1):
            draw(self.layer(number))

    def leaves(self) -> tuple[Leaf, ...]:
        """Return the depth and the widths of the deepest network."""
        return (self.depth, *(self.layer(number) for number in range(1, round(self.depth.high) + 1)))

    def decode(self, params: Mapping[str, Any]) -> list[int]:
        """Return the widths as a list."""
        return [int(params[f"{self.name}.{number}"]) for number in range(1, params[self.depth.name] + 1)]

    def encode(self, value: Any) -> dict[str, Value] | None:
        """Return depth and widths, if the space holds them."""
        if not self.depth.contains(len(value)) or not all(self.width.contains(width) for width in value):
            return None
        return {self.depth.name: len(value)} | {f"{self.name}.{i}": width for i, width in enumerate(value, start=1)}


def parse_dimension(name: str, spec: Mapping[str, Any]) -> Dimension:
    """Return the dimension that a mapping such as ``{type: float, low: 0.01, high: 1, log: true}`` describes.

    Raises
    ------
    ValueError
        Its arguments are one message per fault, each beginning with ``name``.
    """
    rule = _searchable(name)
    parsers = WIDTHS if name == "hidden_sizes" else NUMBERS
    kind = str(spec.get("type"))
    if kind not in parsers:
        known = ", ".join(sorted(parsers))
        raise ValueError(f"{name}.type: {kind!r} is not known; expected one of {known}{nearest(kind, parsers)}")
    dimension = parsers[kind](name, spec)
    for example in (dimension.decode(corner) for corner in _corners(dimension)):
        try:
            rule.parse(example)
        except ValueError:
            raise ValueError(f"{name}: the space holds {example!r}; expected {rule.expected}") from None
    return dimension


def _searchable(name: str) -> Rule:
    fields = dataclasses.fields(TrainSettings)
    rules = {field.name: field.metadata["rule"] for field in fields if "rule" in field.metadata}
    known = [known for known in rules if known not in FIXED]
    if name not in known:
        hint = f"{nearest(name, known)} (these can: {', '.join(known)})"
        raise ValueError(f"{name}: not a setting that can be searched{hint}")
    rule: Rule = rules[name]
    return rule


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


def _parse_choices(name: str, spec: Mapping[str, Any]) -> Dimension:
    _check_keys(name, spec, {"type", "choices"}, set())
    choices = spec["choices"]
    if not isinstance(choices, list | tuple) or not choices:
        raise ValueError(f"{name}.choices: {choices!r}; expected a list with at least one value")
    values = {_label(choice): choice for choice in choices}
    if len(values) < len(choices):
        raise ValueError(f"{name}.choices: {list(choices)!r} names a value twice; expected each once")
    return Plain(Categorical(name, tuple(values)), values)


def _parse_number(name: str, spec: Mapping[str, Any]) -> Dimension:
    _check_keys(name, spec, {"type", "low", "high"}, {"log", "step"})
    return Plain(_range(name, spec, integer=spec["type"] == "int"))


def _parse_widths(name: str, spec: Mapping[str, Any]) -> Dimension:
    _check_keys(name, spec, {"type", "depth", "width"}, set())
    for part in ("depth", "width"):
        if not isinstance(spec[part], Mapping):
            raise ValueError(f"{name}.{part}: {spec[part]!r}; expected a range such as {{low: 1, high: 3}}")
        _check_keys(f"{name}.{part}", spec[part], {"low", "high"}, {"log", "step"})
    depth, width = (_range(f"{name}.{part}", spec[part], integer=True) for part in ("depth", "width"))
    if depth.low < 0:
        raise ValueError(f"{name}.depth.low: {depth.low}; expected an integer >= 0")
    return Widths(name, depth, width)


NUMBERS: Final = MappingProxyType({"float": _parse_number, "int": _parse_number, "categorical": _parse_choices})
WIDTHS: Final = MappingProxyType({"widths": _parse_widths, "categorical": _parse_choices})


def _range(name: str, spec: Mapping[str, Any], *, integer: bool) -> Range:
    low, high, log, step = spec["low"], spec["high"], spec.get("log", False), spec.get("step")
    kind = int if integer else int | float
    for key, value in (("low", low), ("high", high), ("step", 1 if step is None else step)):
        if isinstance(value, bool) or not isinstance(value, kind) or not math.isfinite(value):
            expected = "an integer" if integer else "a finite number"
            raise ValueError(f"{name}.{key}: {value!r}; expected {expected}")
    checks = {
        f"low {low} is above high {high}; expected low <= high": low > high,
        f"log is {log!r}; expected true or false": not isinstance(log, bool),
        f"step {step}; expected a number above 0": step is not None and step <= 0,
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


def _label(choice: Any) -> Value:
    return json.dumps(list(choice)) if isinstance(choice, list | tuple) else choice
