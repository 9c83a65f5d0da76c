"""The groups of a search space: each choice with what its file of ``conf/`` holds, before the settings are made."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from mlpsweep.search.grammar import CHOICE, FAMILIES


def has_groups(config: DictConfig) -> bool:
    """Return whether a configuration has a space with groups in it."""
    return any(True for _ in _groups(config))


def fill_choices(
    config: DictConfig,
    chosen: Mapping[Any, Any],
    options: Callable[[str], Collection[str]],
    read: Callable[[str, str], DictConfig],
) -> None:
    """Write the values of its file below each choice of a group, except those that the space gives or searches.

    Parameters
    ----------
    config : DictConfig
        Composed configuration of a search; modified in place. What is no space is left for its settings to refuse.
    chosen : mapping
        The file that is chosen of each group; what the command line says of it holds for that choice, too.
    options : callable
        Returns the names of a group's files.
    read : callable
        Returns what a group holds with one of its files chosen.
    """
    for group, choices in _groups(config):
        for name, own in list(choices.items()):
            choice = str(name)
            if choice not in options(group) or not CHOICE.fullmatch(choice) or not isinstance(own, DictConfig | None):
                continue
            held = config[group] if choice == chosen.get(group) else read(group, choice)
            with open_dict(choices):
                choices[name] = OmegaConf.merge(_raw(held), _raw(own))


def _raw(node: DictConfig | None) -> DictConfig:
    """Return a copy that takes any key."""
    return DictConfig({} if node is None else OmegaConf.to_container(node, resolve=False))


def _groups(config: DictConfig) -> Iterator[tuple[str, DictConfig]]:
    for group in FAMILIES:
        with contextlib.suppress(OmegaConfBaseException):  # told when the settings are made
            dimension = OmegaConf.select(config, f"space.dimensions.{group}")
            choices = dimension.get("choices") if isinstance(dimension, DictConfig) else None
            if isinstance(choices, DictConfig):
                yield group, choices
