"""Settings from a composed Hydra configuration or from YAML, and back to YAML; the only home of omegaconf and yaml."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Protocol, Self, TypeVar

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mlpsweep.errors import SettingsError


class Fields(Protocol):
    """A dataclass of settings; this module cannot import :mod:`mlpsweep.settings`, which imports it to read files."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class Buildable(Protocol):
    """A class of settings, such as :class:`mlpsweep.settings.TrainSettings`, that a mapping can fill."""

    @classmethod
    def build(cls, values: Mapping[str, Any], path: str = "") -> Self:
        """Return settings made from a plain mapping."""


S = TypeVar("S", bound=Buildable)


def load(config: DictConfig, kind: type[S]) -> S:
    """Return the settings of a composed configuration, without Hydra's own node.

    Parameters
    ----------
    config : DictConfig
        Composed configuration; not modified.
    kind : type
        Class of the settings.

    Raises
    ------
    SettingsError
        With one message for each fault: an unknown or missing key, a value out of range, a broken reference.
    """
    try:
        values = OmegaConf.to_container(
            OmegaConf.masked_copy(config, [str(k) for k in config if k != "hydra"]), resolve=True
        )
    except OmegaConfBaseException as error:
        where = getattr(error, "full_key", None) or "configuration"
        raise SettingsError(
            f"{where}: {str(error).splitlines()[0]}. Name a key that exists, or write the value."
        ) from error
    assert isinstance(values, dict)
    return kind.build({str(name): value for name, value in values.items()})


def plain(settings: Fields) -> dict[str, Any]:
    """Return settings as nested dictionaries and lists, in the order of their fields."""

    def listed(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: listed(item) for name, item in value.items()}
        return [listed(item) for item in value] if isinstance(value, list | tuple) else value

    return {name: listed(value) for name, value in dataclasses.asdict(settings).items()}


WHOLE: Final = frozenset({"data.files", "class_weight"})
"""Settings whose values are mappings, which :func:`flat` keeps whole."""


def flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return nested settings under dotted names, as typed on the command line.

    Examples
    --------
    >>> flat({"seed": 0, "optimizer": {"name": "sgd"}})
    {'seed': 0, 'optimizer.name': 'sgd'}
    """
    rows: dict[str, Any] = {}
    for name, value in values.items():
        is_group = isinstance(value, Mapping) and f"{path}{name}" not in WHOLE
        rows |= flat(value, f"{path}{name}.") if is_group else {f"{path}{name}": value}
    return rows


def to_yaml(settings: Fields) -> str:
    """Return settings as YAML; equal settings give equal bytes."""
    return OmegaConf.to_yaml(OmegaConf.create(plain(settings)))


def read_yaml(text: str, source: str) -> dict[str, Any]:
    """Return a mapping read from YAML.

    Raises
    ------
    SettingsError
        If the text is not a YAML mapping; the message names ``source``.
    """
    try:
        values = OmegaConf.to_container(OmegaConf.create(text))
    except (OmegaConfBaseException, yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        told = " ".join(str(error).split())
        raise SettingsError(
            f"{source}: not a YAML mapping ({told}). Write it anew with the command that made it."
        ) from error
    if not isinstance(values, dict):
        raise SettingsError(f"{source}: a list, not a YAML mapping. Write it anew with the command that made it.")
    return {str(name): value for name, value in values.items()}
