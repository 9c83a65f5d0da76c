"""The corners of a space: each choice and depth with each other one, built as settings before anything is trained."""

import functools
import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mlpsweep.errors import SettingsError
from mlpsweep.search.dimensions import Categorical, Dimension, Leaf, Plain, Value, Widths, drawn
from mlpsweep.search.groups import Group, applied
from mlpsweep.settings import TrainSettings

MAX_CORNERS: Final = 20_000
"""Corners that are built, those with one choice first; what lies beyond fails as a trial."""


Items = frozenset[tuple[str, Value]]
"""Some leaves of a configuration with their values."""


@dataclass(frozen=True)
class _Turn:
    """A leaf where a space turns: what is tried of it, and the choices without which it is not drawn."""

    name: str
    values: tuple[Value, ...]
    given: dict[str, Value]


def corners(dimensions: Sequence[Dimension]) -> Iterator[dict[str, Value]]:
    """Yield the leaves of each corner once: each value, then each pair of values, all others at one of their ends."""
    turns = [turn for dimension in dimensions for turn in _turns(dimension, {})]
    pairs = itertools.chain(((turn, turn) for turn in turns), itertools.combinations(turns, 2))
    values = ((one, other, first, second) for one, other in pairs for first in one.values for second in other.values)
    seen: set[Items] = set()
    for one, other, first, second in itertools.islice(values, MAX_CORNERS):
        fixed = {**one.given, **other.given, one.name: first, other.name: second}
        if any(fixed[name] != value for turn in (one, other) for name, value in turn.given.items()):
            continue
        for end in (0.0, 1.0):
            params = drawn(dimensions, functools.partial(_placed, fixed, end))
            if (items := frozenset(params.items())) not in seen:
                seen.add(items)
                yield params


def _placed(fixed: Mapping[str, Value], end: float, leaf: Leaf) -> Value:
    return fixed.get(leaf.name, leaf.from_unit(end))


def unfit(dimensions: Sequence[Dimension], base: TrainSettings) -> Iterator[str]:
    """Yield a message for each value, and each pair of values, with which no training fits, whatever the others are."""
    tried = [(params, _faults(dimensions, params, base)) for params in corners(dimensions)]
    if any(messages for _, messages in tried):
        names = {turn.name for dimension in dimensions for turn in _turns(dimension, {})}
        yield from dict.fromkeys(_explained([(_causes(params, names), messages) for params, messages in tried]))


def _faults(dimensions: Sequence[Dimension], params: Mapping[str, Any], base: TrainSettings) -> tuple[str, ...]:
    try:
        applied(dimensions, params, base)
    except SettingsError as error:
        return tuple(error.messages)
    return ()


def _causes(params: Mapping[str, Value], names: Collection[str]) -> list[Items]:
    items = [item for item in params.items() if item[0] in names]
    return [frozenset(cause) for n in (1, 2) for cause in itertools.combinations(items, n)]


def _explained(tried: Sequence[tuple[Sequence[Items], Sequence[str]]]) -> Iterator[str]:
    """Yield for each fault of a corner the smallest cause that never goes without it, with what it was there."""
    n_tried = Counter(cause for causes, _ in tried for cause in causes)
    n_failed = Counter((cause, _field(one)) for causes, messages in tried for one in messages for cause in causes)
    first: dict[tuple[Items, str], str] = {}
    for causes, messages in tried:
        for message in messages:
            sure = [one for one in causes if n_failed[one, _field(message)] == n_tried[one]]
            # Of equal causes the one that the message is about.
            cause = min(sure, key=lambda one: (len(one), -sum(name in message for name, _ in one)), default=causes[-1])
            where = " ".join(f"{name}={value}" for name, value in sorted(cause, key=str))
            yield f"{where}: {first.setdefault((cause, _field(message)), message)}"


def _field(message: str) -> str:
    return message.partition(":")[0]


def _turns(dimension: Dimension, given: dict[str, Value]) -> Iterator[_Turn]:
    if isinstance(dimension, Group):
        yield _Turn(dimension.name, dimension.leaf.labels, given)
        for name, choice in dimension.choices.items():
            for one in choice.dimensions:
                yield from _turns(one, {**given, dimension.name: name})
    elif isinstance(dimension, Widths):
        depth = dimension.depth
        yield _Turn(
            depth.name, tuple(n for n in range(int(depth.low), int(depth.high) + 1) if depth.contains(n)), given
        )
    elif isinstance(dimension, Plain):
        leaf = dimension.leaf
        yield _Turn(leaf.name, leaf.labels if isinstance(leaf, Categorical) else (leaf.low, leaf.high), given)
