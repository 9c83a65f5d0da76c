"""The rules of the values of settings, as data for the settings, the help page and the README's test.

``settings`` declares the keys that use them. This module does not load NumPy, so that ``--help`` answers at once.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule of a setting's value.

    Parameters
    ----------
    expected : str
        Description of a valid value, which a message has after "expected".
    parse : callable
        Function from a value to the value in its final type (an int becomes a float where the rule wants one, a list a
        tuple); it raises ``ValueError`` for a value that does not fit.
    choices : tuple of str
        Valid names, for "did you mean".
    """

    expected: str
    parse: Callable[[Any], Any]
    choices: tuple[str, ...] = ()

    def accepts(self, value: Any) -> bool:
        """Return whether ``value`` fits."""
        try:
            self.parse(value)
        except ValueError:
            return False
        return True


def _reject(value: object) -> Any:
    raise ValueError(value)


def real(expected: str, fits: Callable[[float], bool]) -> Rule:
    """Return the rule of a finite float in a range; integers are taken as floats, text and booleans are not."""

    def parse(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            _reject(value)
        try:
            number = float(value)
        except OverflowError:  # an integer beyond all floats
            _reject(value)
        return number if math.isfinite(number) and fits(number) else _reject(value)

    return Rule(f"a finite number {expected}", parse)


def integer(low: int, high: int | None = None) -> Rule:
    """Return the rule of an integer in ``low .. high``, both ends included."""

    def parse(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            _reject(value)
        return int(value) if value >= low and (high is None or value <= high) else _reject(value)

    return Rule(f"an integer >= {low}" if high is None else f"an integer, {low} .. {high}", parse)


def positive(high: float) -> Rule:
    """Return the rule of a float above 0, ``high`` at most: beyond it no training is meant, or memory ends."""
    return real(f"> 0, at most {high:g}", lambda v: 0 < v <= high)


def non_negative(high: float) -> Rule:
    """Return the rule of a float from 0 to ``high``."""
    return real(f">= 0, at most {high:g}", lambda v: 0 <= v <= high)


def one_of(names: Iterable[str]) -> Rule:
    """Return the rule of a name out of a list."""
    known = tuple(names)
    return Rule(
        f"one of {', '.join(known)}", lambda v: v if isinstance(v, str) and v in known else _reject(v), choices=known
    )


def optional(rule: Rule) -> Rule:
    """Return ``rule`` with null allowed."""
    return Rule(f"{rule.expected}, or null", lambda v: None if v is None else rule.parse(v), rule.choices)


def list_of(rule: Rule, *, may_be_empty: bool) -> Rule:
    """Return the rule of a list whose items all fit ``rule``; the value becomes a tuple."""

    def parse(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or not (value or may_be_empty):
            _reject(value)
        return tuple(rule.parse(item) for item in value)

    return Rule(f"a list, each item {rule.expected}{' (it may be empty)' if may_be_empty else ''}", parse, rule.choices)


def one_or_list_of(rule: Rule) -> Rule:
    """Return the rule of one value that fits ``rule``, or of a list of them."""
    many = list_of(rule, may_be_empty=True)

    def parse(value: Any) -> Any:
        return many.parse(value) if isinstance(value, list | tuple) else rule.parse(value)

    return Rule(f"{rule.expected}; or a list of them", parse, rule.choices)


def either(first: Rule, second: Rule) -> Rule:
    """Return the rule of a value that fits one of two rules."""

    def parse(value: Any) -> Any:
        return (first if first.accepts(value) else second).parse(value)

    return Rule(f"{first.expected}; or {second.expected}", parse, first.choices)


def mapping_of(rule: Rule) -> Rule:
    """Return the rule of a mapping from names to values that all fit ``rule``."""

    def parse(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            _reject(value)
        return {str(key): rule.parse(item) for key, item in value.items()}

    return Rule(f"a mapping, each value {rule.expected}", parse)


def matching(pattern: str, expected: str) -> Rule:
    """Return the rule of a text that matches a regular expression as a whole."""
    whole = re.compile(pattern)
    return Rule(expected, lambda v: v if isinstance(v, str) and whole.fullmatch(v) else _reject(v))


BOOLEAN = Rule("true or false", lambda v: v if isinstance(v, bool) else _reject(v))
TEXT = Rule("a text", lambda v: v if isinstance(v, str) and v.strip() else _reject(v))
NAME = matching(r"[A-Za-z][A-Za-z0-9_]{0,63}", "a name of letters, digits and underscores, a letter first")
HTTPS = matching(r"https://[^\s/]+(/\S*)?", "an https address of a folder")
ANYTHING = Rule("a value", lambda v: v)
FRACTION = real(">= 0 and < 1", lambda v: 0 <= v < 1)
DECAY = real("> 0 and < 1", lambda v: 0 < v < 1)


def key(
    rule: Rule, meaning: str, example: str, *, default: Any = MISSING, identity: bool = True, typed: bool = True
) -> Any:
    """Declare one setting of a settings class.

    Parameters
    ----------
    rule : Rule
        Rule of the value.
    meaning : str
        Meaning in a few words, with the unit, for the help page.
    example : str
        A value as typed on the command line.
    default : any, optional
        Default, equal to that of ``conf/``; a setting without one must be given.
    identity : bool
        Whether the setting can change what is learned, and so is part of ``run_key``.
    typed : bool
        Whether it is meant for the command line, and so has a line on the help page.
    """
    metadata = {"rule": rule, "meaning": meaning, "example": example, "identity": identity, "typed": typed}
    return field(default=default, metadata=metadata)
