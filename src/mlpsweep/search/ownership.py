"""Who a worker is, such that others on its machine see at once whether it still lives; elsewhere its lease tells."""

import os
import socket
import uuid
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")


def new_owner() -> str:
    """Return the name of a new worker in this process, which no other worker ever has.

    It holds the host, for people, then what the kernel knows the process by: the boot, the namespace of process
    numbers, the number, and the time of the start.
    """
    return " ".join((uuid.uuid4().hex[:12], socket.gethostname(), *machine(), str(os.getpid()), _birth(os.getpid())))


def is_gone(owner: str | None) -> bool:
    """Return whether a worker is known to be dead: nobody, or a process of this machine that is no more.

    Whether a worker on another machine lives cannot be seen from here, and neither can one in another container.
    """
    if owner is None:
        return True
    boot, space, number, birth = owner.split(" ")[2:]
    return (boot, space) == machine() != ("", "") and _birth(int(number)) != birth


def machine() -> tuple[str, str]:
    """Return what a worker's name says of its machine: the boot, and the namespace of process numbers."""
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip(), (PROC / "self/ns/pid").readlink().name
    except OSError:  # no Linux
        return "", ""


def _birth(number: int) -> str:
    """Return when a process was started, in the kernel's ticks; "-" if it is no more, or no more than a zombie."""
    try:
        state, *fields = (PROC / str(number) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "-"
    return "-" if state in "ZX" else fields[18]
