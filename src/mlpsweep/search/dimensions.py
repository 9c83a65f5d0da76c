"""The dimensions of a search space as values: ranges, choices and layer widths; Optuna is not known here.

A *dimension* is one searched setting. It is made of *leaves*, the single numbers or names that a sampler draws: one
leaf for a plain setting, a depth and that many widths for ``hidden_sizes``. :mod:`mlpsweep.search.groups` has groups.
"""

import dataclasses
import json
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mlpsweep.settings import TrainSettings

Value = bool | int | float | str | None
N_LEVELS = 5
"""Points that a grid takes on a range without steps."""

Overrides = dict[str, Any]
"""Settings as one types them: ``{"optimizer": "adam", "optimizer.beta_1": 0.8, "hidden_sizes": [64]}``."""


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
        """The setting's name; below a choice with that choice, ``learning_rate@adam``. Its leaves' names begin so."""

    @property
    def decides(self) -> frozenset[str]:
        """Names of the settings that have a value of their own in every draw."""

    def walk(self, draw: Draw) -> None:
        """Draw every leaf that applies, in order: later ones may depend on what earlier ones gave."""

    def leaves(self) -> tuple[Leaf, ...]:
        """Return every leaf there may be."""

    def decode(self, params: Mapping[str, Any]) -> Overrides:
        """Return the settings that drawn leaves stand for."""

    def encode(self, settings: TrainSettings) -> dict[str, Value] | None:
        """Return the leaves that give the values of ``settings``, or None if the dimension does not hold them."""


@dataclass(frozen=True)
class _OfOneSetting:
    """A dimension that decides one setting and nothing else."""

    name: str

    @property
    def setting(self) -> str:
        """The setting's name alone."""
        return self.name.partition("@")[0]

    @property
    def decides(self) -> frozenset[str]:
        """The setting's name."""
        return frozenset({self.setting})


@dataclass(frozen=True)
class Plain(_OfOneSetting):
    """A setting drawn as one leaf."""

    leaf: Leaf
    values: Mapping[Value, Any] | None = None

    def walk(self, draw: Draw) -> None:
        """Draw the one leaf."""
        draw(self.leaf)

    def leaves(self) -> tuple[Leaf, ...]:
        """Return the one leaf."""
        return (self.leaf,)

    def decode(self, params: Mapping[str, Any]) -> Overrides:
        """Return the drawn value, or the list that its text stands for."""
        value = params[self.name]
        return {self.setting: self.values[value] if self.values else value}

    def encode(self, settings: TrainSettings) -> dict[str, Value] | None:
        """Return the leaf of the setting's value, if the space holds it."""
        value = operator.attrgetter(self.setting)(settings)
        drawn = label(value) if self.values else value
        return {self.name: drawn} if self.leaf.contains(drawn) else None


@dataclass(frozen=True)
class Widths(_OfOneSetting):
    """``hidden_sizes`` as a depth and one width per layer; a width exists only where the depth reaches."""

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

    def decode(self, params: Mapping[str, Any]) -> Overrides:
        """Return the widths as a list."""
        numbers = range(1, params[self.depth.name] + 1)
        return {self.setting: [int(params[f"{self.name}.{number}"]) for number in numbers]}

    def encode(self, settings: TrainSettings) -> dict[str, Value] | None:
        """Return depth and widths, if the space holds them."""
        sizes = settings.hidden_sizes
        if not self.depth.contains(len(sizes)) or not all(self.width.contains(width) for width in sizes):
            return None
        return {self.depth.name: len(sizes), **{f"{self.name}.{i}": width for i, width in enumerate(sizes, start=1)}}


def overrides(dimensions: Iterable[Dimension], params: Mapping[str, Any]) -> Overrides:
    """Return the settings that drawn leaves stand for."""
    found: Overrides = {}
    for dimension in dimensions:
        found |= dimension.decode(params)
    return found


def drawn(dimensions: Iterable[Dimension], draw: Draw) -> dict[str, Value]:
    """Return one configuration, each leaf that applies drawn once, in the order of the dimensions."""
    params: dict[str, Value] = {}

    def record(leaf: Leaf) -> Value:
        params[leaf.name] = draw(leaf)
        return params[leaf.name]

    for dimension in dimensions:
        dimension.walk(record)
    return params


def label(choice: Any) -> Value:
    """Return a choice as a sampler sees it: a list as its JSON text."""
    return json.dumps(list(choice), default=str) if isinstance(choice, list | tuple) else choice
