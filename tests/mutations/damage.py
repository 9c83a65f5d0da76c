"""What people and machines do to files: one function per kind, which damages a file in place."""

import contextlib
import json
import os
import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mlpsweep.training.arrays import pack_arrays, unpack_arrays

ODD: tuple[Any, ...] = ({}, [], None, 5, -1, 0, 0.5, "", "x", True, [1], {"a": 1}, "../x", [[]])
NOT_FINITE = (float("nan"), float("inf"), float("-inf"))
HUGE = (10**400, 2**63, 2**64, -(10**30), 1e308, 10**12)

Damage = Callable[[Path, random.Random], None]


def truncate(path: Path, draw: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: draw.randrange(len(data))])


def flip(path: Path, draw: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(draw.choice([1, 8, 64])):
        data[draw.randrange(len(data))] ^= draw.randrange(1, 256)
    path.write_bytes(data)


def noise(path: Path, draw: random.Random) -> None:
    """Overwrite a page of a disk."""
    data = bytearray(path.read_bytes())
    start = 4096 * draw.randrange((len(data) + 4095) // 4096)
    n = min(4096, len(data) - start)
    data[start : start + n] = draw.randbytes(n)
    path.write_bytes(data)


def other_values(path: Path, draw: random.Random) -> None:
    replace_value(path, draw, ODD)


def not_finite(path: Path, draw: random.Random) -> None:
    replace_value(path, draw, NOT_FINITE)


def huge(path: Path, draw: random.Random) -> None:
    replace_value(path, draw, HUGE)


def nested(path: Path, draw: random.Random) -> None:
    opened, closed = draw.choice([("[", "]"), ('{"a":', "}"), ("- ", ""), ("a: [", "]")])
    n = draw.choice([500, 20_000])
    path.write_text(opened * n + "1" + closed * n)


def encoding(path: Path, draw: random.Random) -> None:
    data = path.read_bytes()
    if draw.random() < 0.5:
        path.write_bytes(data.decode("latin-1").encode(draw.choice(["utf-16", "utf-32", "utf-8-sig", "utf-7"])))
    else:
        place = draw.randrange(len(data) + 1)
        path.write_bytes(data[:place] + draw.choice([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xe4"]) + data[place:])


def nul(path: Path, draw: random.Random) -> None:
    data = path.read_bytes()
    place = draw.randrange(len(data) + 1)
    path.write_bytes(draw.choice([bytes(len(data)), data[:place] + bytes(draw.randint(1, 100)) + data[place:]]))


def folder(path: Path, draw: random.Random) -> None:
    path.unlink()
    path.mkdir()
    if draw.random() < 0.5:
        (path / "x").touch()


def fifo(path: Path, draw: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def link_loop(path: Path, draw: random.Random) -> None:
    path.unlink()
    path.symlink_to(path.name if draw.random() < 0.5 else "nowhere")


def permissions(path: Path, draw: random.Random) -> None:
    """Nobody may read it; root may, and so finds nothing amiss."""
    path.chmod(0)


def swap(path: Path, draw: random.Random) -> None:
    """Put another file of the project in its place: of the same name, if there is one elsewhere."""
    root = Path.cwd()
    names = [one for one in sorted(root.rglob("*")) if one.is_file() and one.resolve() != path.resolve()]
    alike = [one for one in names if one.name == path.name] or names
    shutil.copyfile(draw.choice(alike if draw.random() < 0.7 else names), path)


KINDS: dict[str, Damage] = {
    "truncated": truncate, "bytes flipped": flip, "a page of noise": noise, "values of other types": other_values,
    "NaN and infinities": not_finite, "huge numbers": huge, "deep nesting": nested, "other encodings": encoding,
    "NULs": nul, "a folder": folder, "a FIFO": fifo, "a link to nowhere": link_loop, "permissions": permissions,
    "another file": swap,
}  # fmt: skip


def replace_value(path: Path, draw: random.Random, values: tuple[Any, ...]) -> None:
    """Put one of ``values`` in the place of one that the file holds, in whatever format it is."""
    if path.suffix == ".json":
        return _in_json(path, draw, values)
    if path.suffix == ".csv":
        return _in_lines(path, draw, values, r"[^,\n]+")
    if path.suffix == ".yaml":
        return _in_lines(path, draw, values, r"(?<=[:-] )[^\n]+")
    if path.suffix == ".npz":
        return _in_model(path, draw, values)
    if path.suffix == ".db":
        return _in_database(path, draw, values)
    return flip(path, draw)


def _in_json(path: Path, draw: random.Random, values: tuple[Any, ...]) -> None:
    whole = {"": json.loads(path.read_text())}
    parent, key = draw.choice(list(_places(whole)))
    parent[key] = draw.choice(values)
    value = whole[""]
    if path.name == "manifest.json" and isinstance(value, dict) and draw.random() < 0.8:
        _sign(value)
    path.write_text(json.dumps(value))


def _sign(value: dict[str, Any]) -> None:
    """Give a manifest the digest that fits, as somebody would who knows how."""
    from mlpsweep.data.manifest import _digest

    value.pop("digest", None)
    value["digest"] = _digest(value)


def _places(value: Any) -> list[tuple[Any, Any]]:
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in ((value, key), *_places(value[key]))]


def _in_lines(path: Path, draw: random.Random, values: tuple[Any, ...], pattern: str) -> None:
    text = path.read_text()
    found = draw.choice(list(re.finditer(pattern, text)))
    value = draw.choice(values)
    path.write_text(text[: found.start()] + ("" if value is None else str(value)) + text[found.end() :])


def _in_model(path: Path, draw: random.Random, values: tuple[Any, ...]) -> None:
    arrays = unpack_arrays(path.read_bytes(), path.name)
    name = draw.choice(list(arrays))
    value = draw.choice(values)
    if name == "about" or not isinstance(value, int | float):
        about = {"": json.loads(arrays["about"].tobytes())}
        parent, key = draw.choice(list(_places(about)))
        parent[key] = value
        arrays["about"] = np.frombuffer(json.dumps(about[""]).encode(), np.uint8)
    else:
        with np.errstate(over="ignore"), contextlib.suppress(OverflowError, ValueError):
            array = arrays[name].copy()
            array.flat[draw.randrange(array.size)] = value
            arrays[name] = array
    path.write_bytes(pack_arrays(arrays))


def _in_database(path: Path, draw: random.Random, values: tuple[Any, ...]) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        filled = [one for one in tables if connection.execute(f'SELECT count(*) FROM "{one}"').fetchone()[0]]  # noqa: S608
        table = draw.choice(filled)
        column = draw.choice([row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')])
        rows = [row for (row,) in connection.execute(f'SELECT rowid FROM "{table}"')]  # noqa: S608
        value = draw.choice(values)
        if not isinstance(value, float) or value != value:
            value = value if isinstance(value, int) and abs(value) < 2**63 else json.dumps(value)
        with contextlib.suppress(sqlite3.IntegrityError):
            connection.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (value, draw.choice(rows)))  # noqa: S608
