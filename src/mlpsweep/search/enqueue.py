"""Configurations that somebody wants tried first: read, checked against the space, and put into the study once."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import optuna

from mlpsweep.errors import SettingsError, quoted
from mlpsweep.schema import nearest
from mlpsweep.search.database import Database
from mlpsweep.search.dimensions import Value, Widths, label, span
from mlpsweep.search.space import Params, Space


def read_wanted(space: Space, wanted: Sequence[Mapping[str, Any]]) -> list[Params]:
    """Return wanted configurations as leaves of the space; what one does not name is drawn later.

    Parameters
    ----------
    space : Space
        Where they lie.
    wanted : sequence of mapping
        Values by setting, as ``hidden_sizes``, or by leaf, as ``hidden_sizes.depth``.

    Raises
    ------
    SettingsError
        With a message for each name that the space does not search, and each value outside it.
    """
    faults = [
        f"search.enqueue[{place}].{fault}" for place, one in enumerate(wanted) for fault in _faults(space, one.items())
    ]
    if faults:
        raise SettingsError(*faults)
    return [dict(leaf for name, value in one.items() for leaf in _leaves(space, name, value)) for one in wanted]


def enqueue(database: Database, study: str, wanted: Sequence[Params]) -> None:
    """Have the next free workers train configurations that the study neither holds nor awaits."""
    if wanted:
        opened = database.patiently(lambda: optuna.load_study(study_name=study, storage=database.storage))
        for params in wanted:
            database.patiently(functools.partial(opened.enqueue_trial, params, skip_if_exists=True))


def _faults(space: Space, wanted: Any) -> Iterator[str]:
    leaves, widths = space.leaves(), _widths(space)
    for name, value in wanted:
        if name in leaves and not leaves[name].contains(label(value)):
            yield f"{name}: {quoted(value)} is outside the space; expected {span(leaves[name])}"
        elif name in widths and not _encoded(space, name, value):
            one = widths[name]
            expected = f"{span(one.depth)} widths, each {span(one.width)}"
            yield f"{name}: {quoted(value)} is outside the space; expected a list of {expected}"
        elif name not in leaves and name not in widths:
            known = [*leaves, *widths]
            yield f"{name}: not searched{nearest(name, known)}; expected one of {', '.join(known)}"


def _leaves(space: Space, name: str, value: Any) -> Iterator[tuple[str, Value]]:
    if name in _widths(space):
        yield from (_encoded(space, name, value) or {}).items()
    else:
        yield name, label(value)


def _encoded(space: Space, name: str, value: Any) -> dict[str, Value] | None:
    """Return the leaves of a list of widths, or None if the space does not hold it."""
    if not isinstance(value, list | tuple):
        return None
    return _widths(space)[name].encode(dataclasses.replace(space.base, activation="relu", hidden_sizes=tuple(value)))


def _widths(space: Space) -> dict[str, Widths]:
    return {one.name: one for one in space.dimensions if isinstance(one, Widths)}
