"""The matrix products of a training step in every layout, and the fastest of each on this machine."""

import functools
import itertools
import time
from collections.abc import Callable, Sequence

import numpy as np
from scipy.linalg import blas

Call = Callable[[], object]


def fastest_products(layer_sizes: Sequence[int], batch_size: int, threads: int) -> list[Call]:
    """Return one call for each product of a step: forward, gradient of the input (not the first), of the weights."""
    rng = np.random.default_rng(0)
    calls: list[Call] = []
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(layer_sizes)):
        x, w, d = (
            rng.normal(size=s).astype(np.float32)
            for s in ((batch_size, fan_in), (fan_in, fan_out), (batch_size, fan_out))
        )
        calls.append(_fastest(x, w, threads))
        calls.append(_fastest(x.T, d, threads))
        if layer:
            calls.append(_fastest(d, w.T, threads))
    return calls


def _fastest(left: np.ndarray, right: np.ndarray, threads: int) -> Call:
    """Return the fastest way to compute ``left @ right`` where each operand may be stored either way round."""
    pairs = itertools.product((np.ascontiguousarray, np.asfortranarray), repeat=2)
    stored = [(store_left(left), store_right(right)) for store_left, store_right in pairs]
    candidates: list[Call] = []
    for a, b in stored:
        if threads == 1:
            candidates.append(functools.partial(np.matmul, a, b, out=np.empty((len(a), b.shape[1]), np.float32)))
        out = np.zeros((len(a), b.shape[1]), np.float32, order="F")
        (first, swaps_first), (second, swaps_second) = ((m, 0) if m.flags.f_contiguous else (m.T, 1) for m in (a, b))
        candidates.append(
            functools.partial(
                blas.sgemm, 1.0, first, second, 0.0, out, trans_a=swaps_first, trans_b=swaps_second, overwrite_c=1
            )
        )
        out_t = np.zeros((b.shape[1], len(a)), np.float32, order="F")  # the same product with the roles exchanged
        candidates.append(
            functools.partial(
                blas.sgemm, 1.0, second, first, 0.0, out_t,
                trans_a=1 - swaps_second, trans_b=1 - swaps_first, overwrite_c=1,
            )
        )  # fmt: skip
    seconds: list[list[float]] = [[] for _ in candidates]
    for _ in range(15):
        for spent, call in zip(seconds, candidates, strict=True):
            start = time.perf_counter()
            for _ in range(10):
                call()
            spent.append(time.perf_counter() - start)
    return candidates[int(np.argmin([np.median(spent) for spent in seconds]))]
