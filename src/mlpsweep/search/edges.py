"""Where the best configuration lies at an end of a range that can be widened, and the override that widens it."""

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mlpsweep.search.corners import corners
from mlpsweep.search.dimensions import Dimension, Leaf, Range, Widths
from mlpsweep.search.grammar import parse_dimensions
from mlpsweep.search.groups import Group, applied
from mlpsweep.search.settings import SpaceSettings
from mlpsweep.settings import TrainSettings
from mlpsweep.tables import plain

OUTER: Final = 0.1
"""Share of a range at each end that counts as its end."""
SHARES: Final = (0.5, 0.2, 0.1, 0.05, 0.02)
"""By how much of its length a range is widened: the first that its setting's rule and the training allow."""
MIN_LEVELS: Final = 3
"""With fewer levels every one is an end."""


@dataclass(frozen=True)
class Edge:
    """A value at an end of its range.

    Parameters
    ----------
    name : str
        Name of the leaf, such as ``l2_lambda`` or ``learning_rate@adam``.
    value, low, high : float
        The value, and the range.
    override : str
        Override that widens the range at that end, ``space.dimensions.l2_lambda.high=0.15``.
    """

    name: str
    value: float
    low: float
    high: float
    override: str

    @property
    def sentence(self) -> str:
        """What a person is told."""
        end = "upper" if ".high=" in self.override else "lower"
        value, low, high = map(plain, (self.value, self.low, self.high))
        return f"{self.name} {value} lies at the {end} end of {low} .. {high}"


def edges(
    told: SpaceSettings, base: TrainSettings, params: dict[str, Any], is_possible: Callable[[TrainSettings], bool]
) -> tuple[Edge, ...]:
    """Return where a configuration lies in the outer tenth of a range that can be widened there, each override once.

    Parameters
    ----------
    told : SpaceSettings
        The space.
    base : TrainSettings
        Every other setting.
    params : dict
        Leaves of the configuration.
    is_possible : callable
        Returns whether there are the rows and the memory for a training.
    """
    found: dict[str, Edge] = {}
    for leaf, place in itertools.chain(*map(_places, told.parse())):
        end = end_of(leaf, params[leaf.name]) if isinstance(leaf, Range) and leaf.name in params else None
        if end is None or not isinstance(leaf, Range):
            continue
        value = next((one for one in _beyond(leaf, end) if _fits(told, base, (*place, end), one, is_possible)), None)
        if value is not None:
            override = f"space.dimensions.{'.'.join(place)}.{end}={value!r}"
            found.setdefault(override, Edge(leaf.name, params[leaf.name], leaf.low, leaf.high, override))
    return tuple(found.values())


def end_of(leaf: Range, value: float) -> str | None:
    """Return ``low`` or ``high`` if a value lies in the outer tenth there, else None.

    Of a logarithmic range it is the tenth of the logarithm; a range of one or two levels has no ends.
    """
    is_discrete = leaf.integer or leaf.step is not None
    if leaf.low == leaf.high or (is_discrete and (leaf.high - leaf.low) / (leaf.step or 1) < MIN_LEVELS - 1 - 1e-9):
        return None
    low, high, at = (math.log(x) for x in (leaf.low, leaf.high, value)) if leaf.log else (leaf.low, leaf.high, value)
    position = (at - low) / (high - low)
    if OUTER + 1e-9 < position < 1 - OUTER - 1e-9:
        return None
    return "low" if position < 0.5 else "high"


def _places(dimension: Dimension) -> Iterator[tuple[Leaf, tuple[str, ...]]]:
    """Yield each leaf with the keys below ``space.dimensions`` under which its bounds are."""
    if not isinstance(dimension, Group):
        yield from _parts(dimension, (dimension.name,))
        return
    for name, choice in dimension.choices.items():
        for one in choice.dimensions:
            setting, _, is_own = one.name.partition("@")
            below = (dimension.name, "choices", name, setting.removeprefix(f"{dimension.name}."))
            yield from _parts(one, below if is_own else (setting,))


def _parts(dimension: Dimension, place: tuple[str, ...]) -> Iterator[tuple[Leaf, tuple[str, ...]]]:
    for leaf in dimension.leaves():
        part = () if not isinstance(dimension, Widths) else ("depth",) if leaf == dimension.depth else ("width",)
        yield leaf, place + part


def _beyond(leaf: Range, end: str) -> Iterator[float]:
    """Yield bounds beyond one end, the farthest first."""
    sign, bound = (1, leaf.high) if end == "high" else (-1, leaf.low)
    for share in SHARES:
        if leaf.step is not None:
            n = math.ceil(share * (leaf.high - leaf.low) / leaf.step - 1e-9)
            yield round(bound + sign * n * leaf.step) if leaf.integer else float(f"{bound + sign * n * leaf.step:.12g}")
            continue
        ratio, length = (leaf.high / leaf.low if leaf.log else 1.0), leaf.high - leaf.low
        far = bound * ratio ** (sign * share) if leaf.log else bound + sign * share * length
        outwards = math.ceil if sign > 0 else math.floor
        rounded = [outwards(far)] if leaf.integer else [float(f"{far:.{digits}g}") for digits in (2, 3)]
        yield from (value for value in rounded if sign * (value - bound) > 0)


def _fits(
    told: SpaceSettings,
    base: TrainSettings,
    place: Sequence[str],
    value: float,
    is_possible: Callable[[TrainSettings], bool],
) -> bool:
    """Return whether the space with another bound can be read, and each of its corners trained."""
    dimensions = copy.deepcopy(told.dimensions)
    node: dict[str, Any] = dimensions
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    try:
        wider = parse_dimensions(dimensions)
        return all(is_possible(applied(wider, params, base)) for params in corners(wider))
    except ValueError:  # a SettingsError among them
        return False
