"""The order of a file's rows from which every validation split is cut."""

from typing import Final

import numpy as np
import numpy.typing as npt

from mlpsweep.types import LabelArray

SPLIT_SEED: Final = 0
"""Seed of the order, fixed, so that trainings of all seeds have the same validation rows."""


def stratified_order(labels: LabelArray, seed: int = SPLIT_SEED) -> npt.NDArray[np.int32]:
    """Return a random order of all rows in which every prefix has nearly the class balance of the whole.

    Each class is put in random order and spread evenly over the whole length, so a prefix of k rows holds
    ``k * share`` rows of a class give or take ``1 + n_classes / 2 * share``.

    Parameters
    ----------
    labels : ndarray of shape (n_samples,)
        Not modified.
    seed : int
        Seed of the order.

    Returns
    -------
    ndarray of shape (n_samples,), int32
        A permutation of the row numbers.
    """
    # Only Generator.random is used: its stream has not changed between NumPy versions, that of a shuffle may.
    draws = np.random.default_rng(seed).random(len(labels))
    by_class = np.lexsort((draws, labels))
    counts = np.bincount(labels)
    sizes = np.repeat(counts, counts)
    rank_in_class = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    position = (rank_in_class + 0.5) / sizes
    return by_class[np.lexsort((draws[by_class], position))].astype(np.int32)


def cut_test(labels: LabelArray) -> npt.NDArray[np.bool_]:
    """Return which rows are the test split of a file that has none: a fifth, with the class balance of the whole.

    Parameters
    ----------
    labels : ndarray of shape (n_samples,)
        Not modified.

    Returns
    -------
    ndarray of shape (n_samples,), bool
        The same on every machine. The only row of a class stays with the training rows.
    """
    is_test = np.zeros(len(labels), bool)
    is_test[stratified_order(labels)[: -(-len(labels) // 5)]] = True
    return is_test & (np.bincount(labels)[labels] > 1)
