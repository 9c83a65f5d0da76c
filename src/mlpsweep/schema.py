"""The base classes of settings: frozen, checked field by field, with all faults reported at once."""

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass
from typing import Any, ClassVar, Self

from mlpsweep.errors import SettingsError, quoted


def nearest(name: object, known: Iterable[str]) -> str:
    """Return " (did you mean x?)" for the known name closest to ``name``, or an empty text."""
    matches = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.6)
    contained = [k for k in known if isinstance(name, str) and len(name) > 2 and name in k]
    best = (matches or contained)[:1]
    return f" (did you mean {best[0]}?)" if best else ""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of all settings: parses each field by its rule and raises every fault at once.

    Raises
    ------
    SettingsError
        With one message for each field that does not fit or, if all do, for each conflict between fields.
    """

    def __post_init__(self) -> None:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        parsed, faults = self._parse(values, "")
        for name, value in parsed.items():
            object.__setattr__(self, name, value)
        faults = faults or list(self.conflicts())
        if faults:
            raise SettingsError(*faults)

    def conflicts(self) -> Iterable[str]:
        """Return a message for each conflict between fields that fit alone."""
        return ()

    @classmethod
    def build(cls, values: Mapping[str, Any], path: str = "") -> Self:
        """Return settings made from a plain, possibly nested mapping; a missing key takes its default.

        Parameters
        ----------
        values : mapping
            Values by key; not modified.
        path : str
            Prefix of the keys in messages, such as ``data.``.

        Raises
        ------
        SettingsError
            With one message, under the full path, for each unknown key, each missing key without a default and each
            value that does not fit.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        parsed, faults = cls._parse(values, path)
        faults += [
            f"{path}{name}: no such setting{nearest(name, fields)}; known here: {', '.join(fields)}"
            for name in values
            if name not in fields
        ]
        faults += [
            f"{path}{name}: not set; expected {_expected(field)}. Set it in conf/ or on the command line"
            for name, field in fields.items()
            if name not in values and field.default is MISSING
        ]
        if not faults:
            try:
                return cls(**parsed)
            except SettingsError as error:
                faults += [f"{path}{message}" for message in error.messages]
        raise SettingsError(*faults)

    @classmethod
    def _parse(cls, values: Mapping[str, Any], path: str) -> tuple[dict[str, Any], list[str]]:
        """Return each known field's value in its final type, and a message for each that does not fit."""
        parsed: dict[str, Any] = {}
        faults: list[str] = []
        for field in dataclasses.fields(cls):
            if field.name not in values:
                continue
            value, where = values[field.name], f"{path}{field.name}"
            try:
                parse = field.metadata["rule"].parse if field.metadata else _group(field, where)
                parsed[field.name] = parse(value)
            except SettingsError as error:
                faults += error.messages
            except ValueError:
                rule = field.metadata["rule"]
                hint = nearest(value, rule.choices) if isinstance(value, str) else ""
                faults.append(
                    f"{where}: {quoted(value)} does not fit; expected {rule.expected}{hint}. "
                    f"Example: {where}={field.metadata['example']}"
                )
        return parsed, faults

    @classmethod
    def select(cls, values: Mapping[str, Any], path: str) -> type["Settings"]:
        """Return the class that holds ``values``: this one, or a member of its family."""
        return cls


def _group(field: dataclasses.Field[Any], where: str) -> Callable[[Any], Settings]:
    """Return the parser of a field that holds settings of its own."""
    kind = field.type
    assert isinstance(kind, type)
    assert issubclass(kind, Settings)

    def parse(value: Any) -> Settings:
        if isinstance(value, kind):
            return value
        if not isinstance(value, Mapping):
            raise SettingsError(
                f"{where}: {quoted(value)} is not a group of settings; choose a file of conf/{field.name}/"
            )
        return kind.select(value, f"{where}.").build(value, f"{where}.")

    return parse


def _expected(field: dataclasses.Field[Any]) -> str:
    return field.metadata["rule"].expected if field.metadata else f"a file of conf/{field.name}/"


@dataclass(frozen=True, kw_only=True)
class Family(Settings):
    """Base of settings whose class depends on their ``name``, as the settings of each optimiser do."""

    members: ClassVar[dict[str, type[Settings]]]

    @classmethod
    def select(cls, values: Mapping[str, Any], path: str) -> type[Settings]:
        """Return the member called ``values["name"]``.

        Raises
        ------
        SettingsError
            If the family has no such member.
        """
        name = values.get("name")
        if not isinstance(name, str) or name not in cls.members:
            known = ", ".join(sorted(cls.members))
            raise SettingsError(
                f"{path}name: {quoted(name)} is not known; expected one of {known}{nearest(name, cls.members)}"
            )
        return cls.members[name]
