"""Hypothesis strategies for what the network computes on."""

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

Array = npt.NDArray[Any]
Dtype = type[np.floating[Any]]
Labelled = tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]


def floats(limit: float) -> st.SearchStrategy[float]:
    """Numbers of either sign up to ``limit``, none so small that its square underflows."""
    return st.floats(-limit, limit, allow_subnormal=False).filter(lambda v: v == 0 or abs(v) > 1e-100)


@st.composite
def logits_and_labels(draw: st.DrawFn, *, limit: float = 50.0, min_rows: int = 1, max_rows: int = 6) -> Labelled:
    """Scores of shape (b, n_classes) in float64 and a label for each row."""
    shape = draw(st.tuples(st.integers(min_rows, max_rows), st.integers(2, 5)))
    logits = draw(hnp.arrays(np.float64, shape, elements=floats(limit)))
    labels = draw(hnp.arrays(np.intp, shape[0], elements=st.integers(0, shape[1] - 1)))
    return logits, labels


def layer_sizes(max_width: int = 5) -> st.SearchStrategy[tuple[int, ...]]:
    """Widths of networks with none to two hidden layers."""
    return st.lists(st.integers(1, max_width), min_size=2, max_size=4).map(tuple)


def batches(n_features: int, *, max_rows: int = 8) -> st.SearchStrategy[npt.NDArray[Any]]:
    """Inputs of shape (b, n_features) in float64."""
    return st.integers(1, max_rows).flatmap(
        lambda rows: hnp.arrays(np.float64, (rows, n_features), elements=floats(3.0))
    )


def with_ones(x: Array) -> Array:
    """Rows with the column of ones that a network's first biases meet."""
    return np.column_stack([x, np.ones(len(x), x.dtype)])
