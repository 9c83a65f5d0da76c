"""What a recipe says of a group's choice that the command line, or a later recipe, has replaced by another one."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, open_dict

from mlpsweep.search.grammar import FAMILIES
from pipeline.words import DELTAS


def leave_out_replaced(config: DictConfig, chosen: Mapping[Any, Any]) -> None:
    """Take out of each group what only another of its choices knows, in place; without a recipe nothing is.

    A recipe's values go over those of any choice: ``optimizer.weight_decay`` is Adam's, and of no use with
    ``optimizer=sgd``. What no choice knows stays, for the settings to refuse.
    """
    # Hydra tells the name of one recipe, None for none, and nothing of several.
    if all(chosen.get(group, ...) is None for group in DELTAS):
        return
    for group, family in FAMILIES.items():
        values = config.get(group)
        known = {name: {field.name for field in dataclasses.fields(one)} for name, one in family.members.items()}
        if isinstance(values, DictConfig) and (mine := known.get(str(values.get("name")))):
            with open_dict(config):
                for name in set(values) & set().union(*known.values()) - mine:
                    values.pop(name)
