"""The groups of a search space: each choice with what its file of ``conf/`` holds, before the settings are made."""

import contextlib
from collections.abc import Callable, Collection, Iterator

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from mlpsweep.search.grammar import CHOICE, FAMILIES


def fill_choices(
    config: DictConfig,
    options: Callable[[str], Collection[str]],
    compose: Callable[[tuple[str, ...]], DictConfig],
) -> None:
    """Write the values of its file below each choice of a group, except those that the space gives or searches.

    Parameters
    ----------
    config : DictConfig
        Composed configuration of a search; modified in place. What is no space is left for its settings to refuse.
    options : callable
        Returns the names of a group's files.
    compose : callable
        Returns the configuration with words such as ``optimizer=adam``.
    """
    for group, choices in _groups(config):
        # What the command line says of the file it chose holds for that choice, too.
        chosen = OmegaConf.select(config, f"hydra.runtime.choices.{group}")
        for name, own in list(choices.items()):
            choice = str(name)
            if choice not in options(group) or not CHOICE.fullmatch(choice) or not isinstance(own, DictConfig | None):
                continue
            held = config if choice == chosen else compose((f"{group}={choice}",))
            with open_dict(choices):
                choices[name] = OmegaConf.merge(_raw(held[group]), _raw(own))


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
