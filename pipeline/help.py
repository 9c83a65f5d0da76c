"""The page that ``--help`` prints, from the settings classes and the files of ``conf/``: no Hydra, no NumPy."""

import dataclasses
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mlpsweep.schema import Settings

if TYPE_CHECKING:
    from pipeline.door import Door

CONF = Path(__file__).resolve().parents[1] / "conf"


def page(door: "Door") -> str:
    """Return a door's help: what it does, every key with its default, meaning and range."""
    rows = rows_of(door)
    width = max((len(name) for name, _, _ in rows), default=0)
    lines = [
        f"python -m {door.module} {'[-m] ' if door.around else ''}[key=value ...]",
        "",
        textwrap.dedent(door.text).strip(),
        "",
        "Settings (default): meaning; range.",
        *(f"  {name:<{width}}  ({default}) {text}" for name, default, text in rows),
        "",
        "--cfg job shows the composed configuration; -m runs one job per value of key=a,b" if door.around else "",
    ]
    return "\n".join(lines).rstrip() + "\n"


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
