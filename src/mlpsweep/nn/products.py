"""The matrix products of a training step, as BLAS calls that write into given arrays.

NumPy and SciPy each bring a BLAS with a thread pool of its own. Only SciPy's lets a product be added to an array, so
one thread uses both; with more, two pools would fight for the processors, and everything goes through SciPy's.
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
_GEMV: Final[Mapping[np.dtype[Any], Callable[..., Any]]] = MappingProxyType(
    {np.dtype(np.float32): blas.sgemv, np.dtype(np.float64): blas.dgemv}
)
_AXPY: Final[Mapping[np.dtype[Any], Callable[..., Any]]] = MappingProxyType(
    {np.dtype(np.float32): blas.saxpy, np.dtype(np.float64): blas.daxpy}
)
_DOT: Final[Mapping[np.dtype[Any], Callable[..., float]]] = MappingProxyType(
    {np.dtype(np.float32): blas.sdot, np.dtype(np.float64): blas.ddot}
)


def multiply_numpy(left: FloatArray, right: FloatArray, out: FloatArray) -> None:
    """Write ``left @ right`` into ``out`` with NumPy's BLAS."""
    np.matmul(left, right, out=out)


def multiply_scipy(left: FloatArray, right: FloatArray, out: FloatArray) -> None:
    """Write ``left @ right`` into ``out``, which is C-contiguous, with SciPy's BLAS."""
    add_product(left, right, 1.0, out, keep=0.0)


def add_product(left: FloatArray, right: FloatArray, scale: float, out: FloatArray, keep: float = 1.0) -> None:
    """Make ``out`` the sum ``keep * out + scale * left @ right``, in place, with SciPy's BLAS.

    Parameters
    ----------
    left, right : ndarray of shape (n, k) and (k, m)
        C- or Fortran-contiguous; anything else would be copied first.
    scale, keep : float
        Where ``keep`` is 0, what ``out`` held is not read.
    out : ndarray of shape (n, m)
        C-contiguous, same dtype; modified in place.
    """
    # BLAS counts columns first: C-contiguous arrays are its transposes, and out.T = right.T @ left.T.
    first, is_first_transposed = (right, 1) if right.flags.f_contiguous else (right.T, 0)
    second, is_second_transposed = (left, 1) if left.flags.f_contiguous else (left.T, 0)
    _GEMM[out.dtype](
        scale, first, second, keep, out.T, trans_a=is_first_transposed, trans_b=is_second_transposed, overwrite_c=1
    )


def add_column_sums(matrix: FloatArray, scale: float, out: FloatArray) -> None:
    """Add ``scale`` times the sum over rows of ``matrix`` to ``out``, in place, with SciPy's BLAS.

    Parameters
    ----------
    matrix : ndarray of shape (n, m), C-contiguous
    scale : float
    out : ndarray of shape (m,)
    """
    _GEMV[out.dtype](scale, matrix.T, _ones(len(matrix), out.dtype), 1.0, out, overwrite_y=1)


def add_scaled(values: FloatArray, scale: float, out: FloatArray) -> None:
    """Add ``scale * values`` to ``out``, both vectors of one dtype, in place, with SciPy's BLAS."""
    _AXPY[out.dtype](values, out, a=scale)


@functools.cache
def _ones(n: int, dtype: np.dtype[Any]) -> FloatArray:
    return np.ones(n, dtype)


def sum_of_squares(values: FloatArray) -> float:
    """Return the sum of squares of a vector, with SciPy's BLAS."""
    return float(_DOT[values.dtype](values, values))


Multiply = Callable[[FloatArray, FloatArray, FloatArray], None]


def multiply_for(threads: int) -> Multiply:
    """Return the plain product to use with a number of BLAS threads."""
    return multiply_numpy if threads == 1 else multiply_scipy
