"""The number of BLAS threads in a block of code."""

import contextlib
import functools
from collections.abc import Iterator

from threadpoolctl import ThreadpoolController

import mlpsweep.nn.products  # noqa: F401  # loads NumPy's and SciPy's libraries: what is not loaded is not found


@functools.cache
def controller() -> ThreadpoolController:
    """Return the handle on the BLAS libraries of this process; looking for them takes milliseconds."""
    return ThreadpoolController()


@contextlib.contextmanager
def blas_threads(threads: int) -> Iterator[None]:
    """Let every BLAS library use ``threads`` threads inside the block; the number is part of what fixes the bits."""
    with controller().limit(limits=threads, user_api="blas"):
        yield
