"""Processes of a benchmark, one for each system, which work in turns on a given number of threads."""

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Final

THREAD_VARIABLES: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")

KERNEL: Final = "OPENBLAS_CORETYPE"


def choose_kernel(name: str | None = None) -> None:
    """Let OpenBLAS choose its kernel, or name one; the environment would bind NumPy and not the others."""
    forced = os.environ.pop(KERNEL, None)
    if name is not None:
        os.environ[KERNEL] = name
    elif forced is not None:
        print(f"{KERNEL}={forced} is left out: each system takes the instructions it chooses", file=sys.stderr)


def start(work: Callable[..., None], system: str, *arguments: Any, threads: int) -> Connection | None:
    """Return the way to a new process of ``work(connection, system, *arguments)``; None if its system is not here.

    The process first sends None, when it is ready to work, or the reason why it cannot.
    """
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=work, args=(there, system, *arguments), daemon=True).start()
    there.close()  # or a worker that dies would be waited for
    reason = here.recv()
    if reason is None:
        return here
    print(f"  {system}: left out, {reason}", file=sys.stderr)
    return None
