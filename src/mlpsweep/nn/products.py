"""The matrix products of a training step, as BLAS calls that are bound to their arrays once.

NumPy and SciPy each bring a BLAS with a thread pool of its own. Only SciPy's lets a product be added to an array, so
one thread uses both; with more, two pools would fight for the processors, and everything goes through SciPy's.

A small network's step is mostly calls. A call that is bound to its arrays beforehand costs a quarter of one that is
given them each time, and as little as Python can make it.
"""

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from scipy.linalg import blas

from mlpsweep.types import FloatArray

_GEMM: Final[Mapping[np.dtype[Any], Callable[..., Any]]] = MappingProxyType(
    {np.dtype(np.float32): blas.sgemm, np.dtype(np.float64): blas.dgemm}
)
_AXPY: Final[Mapping[np.dtype[Any], Callable[..., Any]]] = MappingProxyType(
    {np.dtype(np.float32): blas.saxpy, np.dtype(np.float64): blas.daxpy}
)
_DOT: Final[Mapping[np.dtype[Any], Callable[..., float]]] = MappingProxyType(
    {np.dtype(np.float32): blas.sdot, np.dtype(np.float64): blas.ddot}
)

LARGEST: Final[Mapping[np.dtype[Any], Callable[..., int]]] = MappingProxyType(
    {np.dtype(np.float32): blas.isamax, np.dtype(np.float64): blas.idamax}
)
"""The index of a vector's number of largest size, by dtype."""

Call = Callable[[], object]
"""A piece of work that is bound to its arrays."""
Bind = Callable[[FloatArray, FloatArray, FloatArray], Call]
"""Called as ``bind(left, right, out)``: returns the call that writes ``left @ right`` into ``out``, C-contiguous."""


def bind_numpy(left: FloatArray, right: FloatArray, out: FloatArray) -> Call:
    """Return the call that writes ``left @ right`` into ``out`` with NumPy's BLAS."""
    return functools.partial(left.dot, right, out)


def bind_scipy(left: FloatArray, right: FloatArray, out: FloatArray) -> Call:
    """Return the call that writes ``left @ right`` into ``out`` with SciPy's BLAS."""
    return functools.partial(bind_sum(left, right, out), 1.0, 0.0)


def bind_for(threads: int) -> Bind:
    """Return the way of plain products with a number of BLAS threads."""
    return bind_numpy if threads == 1 else bind_scipy


def bind_sum(left: FloatArray, right: FloatArray, out: FloatArray) -> Callable[[float, float], object]:
    """Return a call of ``scale`` and ``keep`` that makes ``out`` ``keep * out + scale * left @ right``, in place.

    Parameters
    ----------
    left, right : ndarray of shape (n, k) and (k, m)
        C- or Fortran-contiguous.
    out : ndarray of shape (n, m)
        C-contiguous, same dtype. Where ``keep`` is 0, what it held is not read.
    """
    # BLAS counts columns first: C-contiguous arrays are its transposes, and out.T = right.T @ left.T.
    first, is_first_transposed = (right, 1) if right.flags.f_contiguous else (right.T, 0)
    second, is_second_transposed = (left, 1) if left.flags.f_contiguous else (left.T, 0)
    gemm, target = _GEMM[out.dtype], out.T

    def add(scale: float, keep: float) -> None:
        gemm(scale, first, second, keep, target, is_first_transposed, is_second_transposed, 1)

    return add


def bind_add(values: FloatArray, out: FloatArray) -> Callable[[float], object]:
    """Return a call of ``scale`` that adds ``scale * values`` to ``out``, as :func:`add_scaled` does."""
    axpy, n = _AXPY[out.dtype], out.size
    return lambda scale: axpy(values, out, n, scale)


def add_scaled(values: FloatArray, scale: float, out: FloatArray) -> None:
    """Add ``scale * values`` to ``out``, both vectors of one dtype, in place, with SciPy's BLAS."""
    _AXPY[out.dtype](values, out, a=scale)


def sum_of_squares(values: FloatArray) -> float:
    """Return the sum of squares of a C-contiguous array, with SciPy's BLAS."""
    vector = values.reshape(-1)
    return float(_DOT[values.dtype](vector, vector))
