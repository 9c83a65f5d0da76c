"""The page that ``--help`` prints, from the settings classes and the files of ``conf/``: no Hydra, no NumPy."""

import dataclasses
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mlpsweep.schema import Settings
from pipeline.screen import wrapped

if TYPE_CHECKING:
    from pipeline.door import Door

WIDTH = 120
CONF = Path(__file__).resolve().parents[1] / "conf"


def page(door: "Door", width: int | None = None) -> str:
    """Return a door's help: what it does, examples, and every key with its default, meaning and range.

    Parameters
    ----------
    door : Door
    width : int or None
        Columns of the terminal; None for a file or a pipe, where a setting is one line.
    """
    rows = rows_of(door)
    indent = 4 + max((len(name) for name, _, _ in rows), default=0)
    lines = [f"python -m {door.module} {'[-m] ' if door.around else ''}[key=value ...]", ""]
    for paragraph in textwrap.dedent(door.text).strip().split("\n\n"):
        lines += [*wrapped(" ".join(paragraph.split()), width or WIDTH, ""), ""]
    lines += ["Examples:", *_examples(door, width), ""] if door.examples else []
    lines.append("Settings (default): meaning; range.")
    for name, default, text in rows:
        # Where names leave less than half of the line, the meaning begins below them.
        at = indent if width is None or indent <= width // 2 else 6
        lines += wrapped(f"  {name:<{indent - 4}}  ({default}) {text}", width, " " * at)
    if door.around:
        note = "--cfg job shows the composed configuration; -m runs one job per value of key=a,b"
        lines += ["", *wrapped(note, width, "")]
    return "\n".join(lines).rstrip() + "\n"


def _examples(door: "Door", width: int | None) -> Iterator[str]:
    """Yield the examples, each with its meaning behind it, or above it in a terminal that is too narrow."""
    pairs = [example.partition("  # ")[::2] for example in door.examples]
    commands = [f"  python -m {door.module} {words}".rstrip() for words, _ in pairs]
    column = max(map(len, commands))
    lines = [f"{command:<{column}}  # {does}" for command, (_, does) in zip(commands, pairs, strict=True)]
    if width is None or max(map(len, lines)) <= width:
        yield from lines
        return
    for command, (_, does) in zip(commands, pairs, strict=True):
        yield from (f"  # {does}", command)


def rows_of(door: "Door") -> list[tuple[str, str, str]]:
    """Return name, default and meaning with range of each setting of a door."""
    return list(_rows(door.settings, _defaults(door.config), ""))


def _defaults(config_name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((CONF / f"{config_name}.yaml").read_text()) or {}
    merged: dict[str, Any] = {}
    for entry in values.pop("defaults", []):
        if isinstance(entry, str) and entry != "_self_":
            merged |= _defaults(entry)
        elif isinstance(entry, Mapping):
            ((group, choice),) = entry.items()
            if choice and (CONF / group).is_dir():
                merged[group] = yaml.safe_load((CONF / group / f"{choice}.yaml").read_text()) or {}
    return merged | values


def _rows(kind: type[Settings], values: Mapping[str, Any], path: str) -> Iterator[tuple[str, str, str]]:
    for field in dataclasses.fields(kind):
        if not field.metadata.get("typed", True):
            continue
        value = values.get(field.name)
        if isinstance(field.type, type) and issubclass(field.type, Settings):
            choices = sorted(file.stem for file in (CONF / field.name).glob("*.yaml"))
            if len(choices) > 1:
                name = value.get("name") if isinstance(value, Mapping) else None
                yield f"{path}{field.name}", str(name), f"one of {', '.join(choices)}"
            yield from _rows(field.type, value or {}, f"{path}{field.name}.")
        elif not isinstance(value, Mapping) and not (path and field.name == "name"):
            shown = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            yield f"{path}{field.name}", shown, f"{field.metadata['meaning']}; {field.metadata['rule'].expected}"
