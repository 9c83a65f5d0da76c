"""What a door shows on stdout beside plain lines: tables, in the width of the terminal if there is one."""

import os
import shutil
import sys
import textwrap

from mlpsweep.tables import Table


def width() -> int | None:
    """Return the columns of the terminal that stdout is; None for a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def show(table: Table, *notes: str, piped: int | None = None) -> None:
    """Print a table and sentences below it; where there is no terminal, in so many columns if they are given."""
    room = width() or piped
    is_bold = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    sys.stdout.write(table.to_text(room, is_bold=is_bold))
    sys.stdout.writelines(f"{line}\n" for note in notes for line in wrapped(note, room))


def wrapped(text: str, room: int | None, indent: str = "  ") -> list[str]:
    """Return a text as lines that fit; a word that is longer than a line, such as a path, stays whole."""
    if room is None:
        return [text]
    return textwrap.wrap(text, room, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
