"""Passwords on a command line: they go into the environment, and a reference takes their place in the words.

Hydra writes the words of a command line into ``multirun.yaml``, and so would others; a reference it leaves as it is.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any, Final

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from mlpsweep.errors import SettingsError, hide_passwords

VARIABLE: Final = "MLPSWEEP_SECRET_"


def without_secrets(words: Sequence[str]) -> list[str]:
    """Return the words of a command line without the passwords in their values; other words stay as they are."""
    return [_without(word) if hide_passwords(word) != word else word for word in words]


def refuse_secrets(config: DictConfig) -> None:
    """Raise if a file holds a password: Hydra would copy it into ``multirun.yaml``.

    Raises
    ------
    SettingsError
        With one message for each such text.
    """
    values = OmegaConf.to_container(config, resolve=False)
    assert isinstance(values, dict)
    values.pop("hydra", None)  # folders and the like
    texts = {text for text in _texts(values) if hide_passwords(text) != text}
    if texts:
        raise SettingsError(
            *(
                f"configuration: {text} stands in a file, with its password; expected it on the command line, or a "
                "reference in the file, as ${oc.env:NAME}"
                for text in sorted(texts)
            )
        )


def _without(word: str) -> str:
    """Return a word with a reference for each text that holds a password; what is no override is refused later.

    Raises
    ------
    SettingsError
        If the password cannot be cut out.
    """
    with contextlib.suppress(HydraException):
        (override,) = OverridesParser.create().parse_overrides([word])
        key, sign, value = word.partition("=")
        if isinstance(whole := override.value(), str):
            return f"{key}{sign}{_kept(whole)}"
        for text in _texts(override.value()):
            if hide_passwords(text) != text:
                value = value.replace(text, _kept(text))
        if hide_passwords(value) != value:
            raise SettingsError(
                f"{key}: an address with a password is quoted in a way that hides where it ends; expected quotes and "
                "backslashes in it as %27, %22 and %5C"
            )
        return f"{key}{sign}{value}"
    return word


def _kept(text: str) -> str:
    name = f"{VARIABLE}{sum(name.startswith(VARIABLE) for name in os.environ)}"
    os.environ[name] = text
    return f"${{oc.env:{name}}}"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, ChoiceSweep):
        value = value.list
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, QuotedString):
        yield value.text
    elif isinstance(value, str):
        yield value
