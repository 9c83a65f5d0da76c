"""How worker processes begin: forked from a process without threads that has done the imports; nothing heavy here."""

import multiprocessing
import signal
from collections.abc import Iterable
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Final

HEAVY: Final = ("numpy", "optuna.samplers", "optuna.storages", "scipy.linalg", "scipy.stats")
"""What a worker imports of other packages. Nothing of ours: a copy of the project has modules of its own."""


def context() -> ForkServerContext | SpawnContext:
    """Return the way in which worker processes begin: from the server of forks, where the system has one."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("forkserver")
    return multiprocessing.get_context("spawn")


def warm_up(modules: Iterable[str]) -> None:
    """Start the server of forks, if there is one, which imports modules while this process goes on.

    Its environment is the one of now; what is set later reaches a worker only as an argument.
    """
    if context().get_start_method() == "forkserver":
        multiprocessing.set_forkserver_preload([*HEAVY, *modules])
        # Ctrl-C must not end a process that has not yet left the terminal's group; it inherits the mask.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        forkserver.ensure_running()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
