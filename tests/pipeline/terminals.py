"""Doors in a terminal of a given width: what a person sees there."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Final

from tests.pipeline.doors import PATHS, own_environment

# Colours, and what moves the cursor or clears a line.
ESCAPE: Final = re.compile(r"\033\[[0-9;?]*[a-zA-Z]")


def in_terminal(folder: Path, width: int, *words: str, **environment: str) -> tuple[int, str]:
    """Run ``python -m pipeline.<words>`` in a terminal and return its exit code and all that it was sent."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    kept = {name: value for name, value in own_environment().items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", f"pipeline.{words[0]}", *words[1:]],
        cwd=folder,
        env=kept | PATHS | {"TERM": "xterm"} | environment,
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    sent = b""
    try:
        while piece := _read(ours):
            sent += piece
        return process.wait(60), sent.decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that nobody has the other end open any more
        return b""


def plain_lines(sent: str) -> list[str]:
    """Return what was sent as lines without colours; what a bar has shown one after the other are lines, too."""
    return [line for line in re.split(r"[\r\n]+", ESCAPE.sub("", sent)) if line]
