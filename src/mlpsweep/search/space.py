"""A search space: from drawn leaves to settings and back, and as Optuna's distributions; no sampling here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from mlpsweep.errors import SettingsError
from mlpsweep.nn.network import n_parameters
from mlpsweep.search.corners import corners, unfit
from mlpsweep.search.dimensions import Categorical, Dimension, Draw, Leaf, Overrides, Range, Value, drawn, overrides
from mlpsweep.search.groups import Group, applied
from mlpsweep.search.settings import SpaceSettings
from mlpsweep.settings import TrainSettings

Params = dict[str, Value]
"""Drawn leaves by name, as Optuna stores them: ``{"hidden_sizes.depth": 1, "hidden_sizes.1": 64, ...}``."""

KINDS: Final[Mapping[type[Leaf], str]] = MappingProxyType({Range: "Range", Categorical: "Choice"})
"""What a stored study calls each kind of leaf: part of its identity, so these words stay if a class is renamed."""


@dataclass(frozen=True)
class Space:
    """A search space over the settings ``base``.

    Parameters
    ----------
    dimensions : tuple of Dimension
        The searched settings.
    base : TrainSettings
        Holds every other setting; with its own values of the searched settings it is the published baseline.
    n_features, n_classes : int
        Inputs and outputs of the network; they decide its number of parameters.
    told : SpaceSettings
        What the space was made of.
    """

    dimensions: tuple[Dimension, ...]
    base: TrainSettings
    n_features: int
    n_classes: int
    told: SpaceSettings

    @classmethod
    def build(cls, settings: SpaceSettings, base: TrainSettings, n_features: int, n_classes: int) -> "Space":
        """Return the space of parsed settings.

        Raises
        ------
        SettingsError
            If a searched value does not fit the fixed ones or another one, with a message for each; if no network is
            within the bound on parameters.
        """
        if base.monitor != "validation":
            raise SettingsError(
                f"monitor: {base.monitor!r} in a search; expected validation, which is what it compares. "
                "Leave monitor as it is, and data.n_validation above 0"
            )
        if base.total_epochs == 0:
            raise SettingsError(
                "n_epochs: 0 in a search; expected at least 1, because the last epoch's value is compared"
            )
        space = cls(settings.parse(), base, n_features, n_classes, settings)
        if faults := [f"space: {fault}" for fault in unfit(space.dimensions, base)]:
            raise SettingsError(*faults)
        bound = settings.max_parameters
        if bound is None:
            return space
        smallest = min(space.n_parameters(space.settings(params)) for params in corners(space.dimensions))
        if smallest > bound:
            raise SettingsError(
                f"space.max_parameters: {bound}, but the smallest network has {smallest}; "
                "expected a bound that some networks keep. Raise it, or set it to null"
            )
        return space

    @property
    def max_parameters(self) -> int | None:
        """Largest number of weights and biases that is trained; None: no bound."""
        return self.told.max_parameters

    @property
    def decides(self) -> frozenset[str]:
        """Names of the settings that have a value of their own in every draw: the base's does not matter."""
        return frozenset().union(*(dimension.decides for dimension in self.dimensions))

    def draw(self, draw: Draw) -> Params:
        """Return one configuration, each leaf that applies drawn once, in the space's order."""
        return drawn(self.dimensions, draw)

    def with_values(self, params: Mapping[str, Any], fixed: Mapping[str, Any]) -> Params:
        """Return a configuration with some leaves' values given; leaves that only they bring in lie in the middle."""
        return self.draw(lambda leaf: fixed.get(leaf.name, params.get(leaf.name, leaf.from_unit(0.5))))

    def lacking(self, params: Mapping[str, Any]) -> str | None:
        """Return the first leaf of a configuration that has no value, or None if all have."""
        try:
            self.draw(lambda leaf: params[leaf.name])
        except KeyError as error:
            return str(error.args[0])
        return None

    def overrides(self, params: Mapping[str, Any]) -> Overrides:
        """Return the settings that drawn leaves stand for."""
        return overrides(self.dimensions, params)

    def settings(self, params: Mapping[str, Any]) -> TrainSettings:
        """Return the base with drawn leaves in it.

        Raises
        ------
        SettingsError
            If a value does not fit the fixed ones, such as a list of activations for another depth.
        """
        return applied(self.dimensions, params, self.base)

    def baseline(self) -> Params | None:
        """Return the leaves of the base's own values, or None if the space or the bound leaves it out."""
        params: Params = {}
        for dimension in self.dimensions:
            leaves = dimension.encode(self.base)
            if leaves is None:
                return None
            params |= leaves
        return params if self.excess(params) <= 0 else None

    def points(self) -> Iterator[Params]:
        """Yield every configuration of the grid over the space, each leaf at its levels."""
        path: list[list[Any]] = []
        while True:
            # Replay the path that leads to the next leaf; a leaf beyond its end begins with its first level.
            steps = iter(path[:])

            def draw(leaf: Leaf, steps: Iterator[list[Any]] = steps) -> Value:
                step = next(steps, None)
                if step is None:
                    step = [0, leaf.levels()]
                    path.append(step)
                value: Value = step[1][step[0]]
                return value

            yield self.draw(draw)
            while path and path[-1][0] == len(path[-1][1]) - 1:
                path.pop()
            if not path:
                return
            path[-1][0] += 1

    def leaves(self) -> dict[str, Leaf]:
        """Return every leaf by name, in the space's order."""
        return {leaf.name: leaf for dimension in self.dimensions for leaf in dimension.leaves()}

    def largest_batch(self) -> int:
        """Return the most rows that a trial's batches can have."""
        drawn: list[Any] = [self.base.batch_size]
        for leaf in self.leaves().values():
            if leaf.name.partition("@")[0] == "batch_size":
                drawn += [leaf.high] if isinstance(leaf, Range) else leaf.labels
        return int(max(drawn))

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return every leaf as Optuna's distribution."""
        return {name: distribution(leaf) for name, leaf in self.leaves().items()}

    def n_parameters(self, settings: TrainSettings) -> int:
        """Return the number of weights and biases of the network that ``settings`` describe."""
        return n_parameters((self.n_features, *settings.hidden_sizes, self.n_classes))

    def excess(self, params: Mapping[str, Any]) -> float:
        """Return by how much, relative to the bound, a network has too many parameters; at most 0 if it keeps it."""
        if self.max_parameters is None:
            return 0.0
        return self.n_parameters(self.settings(params)) / self.max_parameters - 1.0

    def describe(self) -> dict[str, Any]:
        """Return the space as plain values that tell it from every other space."""
        leaves = {name: {"kind": KINDS[type(leaf)], **vars(leaf)} for name, leaf in self.leaves().items()}
        for group in (one for one in self.dimensions if isinstance(one, Group)):
            for name in group.choices:
                leaves[f"{group.name}@{name}"] = group.fixed(name, getattr(self.base, group.name))
        return {"leaves": leaves, "max_parameters": self.max_parameters}


def distribution(leaf: Leaf) -> BaseDistribution:
    """Return the Optuna distribution of a leaf."""
    if isinstance(leaf, Categorical):
        return CategoricalDistribution(leaf.labels)
    if leaf.integer:
        return IntDistribution(int(leaf.low), int(leaf.high), log=leaf.log, step=int(leaf.step or 1))
    return FloatDistribution(leaf.low, leaf.high, log=leaf.log, step=leaf.step)
