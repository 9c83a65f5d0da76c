"""A search space: from drawn leaves to settings and back, and as Optuna's distributions; no sampling here."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from mlpsweep.errors import SettingsError
from mlpsweep.nn.network import n_parameters
from mlpsweep.search.dimensions import Categorical, Dimension, Draw, Leaf, Range, Value
from mlpsweep.search.settings import SpaceSettings
from mlpsweep.settings import TrainSettings

Params = dict[str, Value]
"""Drawn leaves by name, as Optuna stores them: ``{"hidden_sizes.depth": 1, "hidden_sizes.1": 64, ...}``."""

KINDS: Final[Mapping[type[Leaf], str]] = MappingProxyType({Range: "Range", Categorical: "Choice"})
"""What a stored study calls each kind of leaf: part of its identity, so these words stay if a class is renamed."""

Overrides = dict[str, Any]
"""Settings as one types them: ``{"hidden_sizes": [64], ...}``."""


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
    max_parameters : int or None
        Largest number of weights and biases that is trained; None: no bound.
    """

    dimensions: tuple[Dimension, ...]
    base: TrainSettings
    n_features: int
    n_classes: int
    max_parameters: int | None = None

    @classmethod
    def build(cls, settings: SpaceSettings, base: TrainSettings, n_features: int, n_classes: int) -> "Space":
        """Return the space of parsed settings.

        Raises
        ------
        SettingsError
            If a searched value does not fit the fixed ones, or no network is within the bound on parameters.
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
        space = cls(settings.parse(), base, n_features, n_classes, settings.max_parameters)
        smallest = space.settings(space.draw(lambda leaf: leaf.from_unit(0.0)))
        space.check()
        if settings.max_parameters is not None and space.n_parameters(smallest) > settings.max_parameters:
            raise SettingsError(
                f"space.max_parameters: {settings.max_parameters}, but the smallest network has "
                f"{space.n_parameters(smallest)}; expected a bound that some networks keep. Raise it, or set it to null"
            )
        return space

    def check(self) -> None:
        """Raise if a choice, or an end of a range, does not fit the fixed settings or the other leaves' ends.

        Raises
        ------
        SettingsError
            With the configuration that does not fit.
        """
        ends = [{leaf.name: leaf.from_unit(u) for leaf in self.leaves().values()} for u in (0.0, 1.0)]
        for leaf in self.leaves().values():
            values = leaf.labels if isinstance(leaf, Categorical) else tuple(end[leaf.name] for end in ends)
            for value, end in itertools.product(values, ends):
                try:
                    self.settings(self.with_values(end, {leaf.name: value}))
                except SettingsError as error:
                    raise SettingsError(*(f"space: {leaf.name}={value}: {one}" for one in error.messages)) from error

    def draw(self, draw: Draw) -> Params:
        """Return one configuration, each leaf that applies drawn once, in the space's order."""
        params: Params = {}

        def record(leaf: Leaf) -> Value:
            params[leaf.name] = draw(leaf)
            return params[leaf.name]

        for dimension in self.dimensions:
            dimension.walk(record)
        return params

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
        return {dimension.name: dimension.decode(params) for dimension in self.dimensions}

    def settings(self, params: Mapping[str, Any]) -> TrainSettings:
        """Return the base with drawn leaves in it.

        Raises
        ------
        SettingsError
            If a value does not fit the fixed ones, such as a list of activations for another depth.
        """
        return dataclasses.replace(self.base, **self.overrides(params))

    def baseline(self) -> Params | None:
        """Return the leaves of the base's own values, or None if the space or the bound leaves it out."""
        params: Params = {}
        for dimension in self.dimensions:
            leaves = dimension.encode(getattr(self.base, dimension.name))
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
        return {"leaves": leaves, "max_parameters": self.max_parameters}


def distribution(leaf: Leaf) -> BaseDistribution:
    """Return the Optuna distribution of a leaf."""
    if isinstance(leaf, Categorical):
        return CategoricalDistribution(leaf.labels)
    if leaf.integer:
        return IntDistribution(int(leaf.low), int(leaf.high), log=leaf.log, step=int(leaf.step or 1))
    return FloatDistribution(leaf.low, leaf.high, log=leaf.log, step=leaf.step)
