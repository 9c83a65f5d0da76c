"""``python -m pipeline``: the doors, each with what it does."""

import importlib
import sys
from typing import Final

from mlpsweep import __version__
from mlpsweep.errors import SettingsError
from pipeline.outcome import guarded
from pipeline.screen import width, wrapped

DOORS: Final = (
    "download", "prepare", "train", "evaluate", "search", "compare", "verify", "report", "recipes", "doctor",
)  # fmt: skip


def listed(room: int | None) -> str:
    """Return a line for each door, folded into the columns of a terminal."""
    longest = max(map(len, DOORS))
    lines = ["The commands; each takes --help.", ""]
    for name in DOORS:
        does = importlib.import_module(f"pipeline.{name}").DOOR.text.partition("\n")[0]
        lines += wrapped(f"  python -m pipeline.{name:<{longest}}  {does}", room, " " * (longest + 23))
    return "\n".join([*lines, ""])


def tell() -> None:
    """Print the doors, or say how the one that was meant is called."""
    words = sys.argv[1:]
    if words == ["--version"]:
        sys.stdout.write(f"mlpsweep {__version__}\n")
    elif not set(words) <= {"--help", "-h"}:
        known = f"python -m pipeline.{words[0]}" if words[0] in DOORS else "python -m pipeline"
        raise SettingsError(f"command line: pipeline {' '.join(words)[:60]}: no such command. Run {known}")
    else:
        sys.stdout.write(listed(width()))


if __name__ == "__main__":
    sys.exit(guarded(tell).exit_code)
