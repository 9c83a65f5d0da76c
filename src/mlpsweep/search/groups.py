"""Groups as dimensions: a choice among the files of ``conf/optimizer/``, say, and what is searched with each."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mlpsweep.schema import Family, Settings
from mlpsweep.search.dimensions import Categorical, Dimension, Draw, Leaf, Overrides, Value, overrides
from mlpsweep.settings import TrainSettings


@dataclass(frozen=True)
class Choice:
    """One choice of a group.

    Parameters
    ----------
    values : mapping
        Those of its own keys that are the same in every draw, ``name`` among them; a missing one takes its default.
    dimensions : tuple of Dimension
        What is searched with it.
    """

    values: Mapping[str, Any]
    dimensions: tuple[Dimension, ...]


@dataclass(frozen=True)
class Group:
    """A group, such as ``optimizer``: which file of it, and what is searched with that one only."""

    leaf: Categorical
    choices: Mapping[str, Choice]

    @property
    def name(self) -> str:
        """The group's name."""
        return self.leaf.name

    @property
    def decides(self) -> frozenset[str]:
        """The group, and each setting that all choices search."""
        each = [frozenset().union(*(one.decides for one in choice.dimensions)) for choice in self.choices.values()]
        return frozenset({self.name}) | frozenset.intersection(*each)

    def walk(self, draw: Draw) -> None:
        """Draw the choice, then what is searched with it."""
        for dimension in self.choices[str(draw(self.leaf))].dimensions:
            dimension.walk(draw)

    def leaves(self) -> tuple[Leaf, ...]:
        """Return the choice, and each leaf of any choice once."""
        below = [leaf for choice in self.choices.values() for one in choice.dimensions for leaf in one.leaves()]
        return (self.leaf, *{leaf.name: leaf for leaf in below}.values())

    def decode(self, params: Mapping[str, Any]) -> Overrides:
        """Return the choice and the settings that are searched with it."""
        chosen: Overrides = {self.name: params[self.name]}
        for dimension in self.choices[params[self.name]].dimensions:
            chosen |= dimension.decode(params)
        return chosen

    def encode(self, settings: TrainSettings) -> dict[str, Value] | None:
        """Return the leaves of the first choice that holds the group's own values and those searched with it."""
        own = getattr(settings, self.name)
        for name, choice in self.choices.items():
            if choice.values["name"] != own.name:
                continue
            found = [dimension.encode(settings) for dimension in choice.dimensions]
            leaves = {self.name: name} | {key: value for one in found if one for key, value in one.items()}
            if None not in found and self.built(own, self.decode(leaves)) == own:
                return leaves
        return None

    def built(self, base: Family, overrides: Mapping[str, Any]) -> Settings:
        """Return the group's settings; ``base``, the group as it is without a search, tells of its own choice."""
        values, prefix = self.choices[overrides[self.name]].values, f"{self.name}."
        # The shallow copy of the fields: a group holds no group.
        known = vars(base) if vars(base)["name"] == values["name"] else {}
        drawn = {name.removeprefix(prefix): value for name, value in overrides.items() if name.startswith(prefix)}
        whole = {**known, **values, **drawn}
        return base.select(whole, prefix).build(whole, prefix)

    def fixed(self, choice: str, base: Family) -> dict[str, Any]:
        """Return what does not change with the draw: the values of a choice's own keys, and the names of its leaves."""
        below = self.choices[choice].dimensions
        searched = {name for dimension in below for name in dimension.decides}
        settings = vars(self.built(base, {self.name: choice}))
        values = {key: value for key, value in settings.items() if f"{self.name}.{key}" not in searched}
        return {"values": values, "leaves": [leaf.name for dimension in below for leaf in dimension.leaves()]}


def applied(dimensions: Iterable[Dimension], params: Mapping[str, Any], base: TrainSettings) -> TrainSettings:
    """Return ``base`` with drawn leaves in it.

    Raises
    ------
    SettingsError
        If a value does not fit the fixed ones, such as a list of activations for another depth.
    """
    typed = overrides(dimensions, params)
    groups = {one.name: one.built(getattr(base, one.name), typed) for one in dimensions if isinstance(one, Group)}
    plain = {name: value for name, value in typed.items() if "." not in name}
    return dataclasses.replace(base, **{**plain, **groups})
