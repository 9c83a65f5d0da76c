"""How configurations are proposed: a table of samplers, each a function of the slot and of what the study holds.

A proposal depends on the study's seed, the trial's number and what the study holds, never on a generator that lives on
between trials, and the ledger stores it whole: a trial whose worker died is proposed as if nothing had happened.
"""

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from optuna import Study
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial

from mlpsweep.errors import SettingsError
from mlpsweep.search.dimensions import Leaf, Value
from mlpsweep.search.space import Params, Space, distribution

MAX_GRID: Final = 100_000
"""Points beyond which a grid is refused."""


@dataclass(frozen=True)
class Slot:
    """What a proposal may look at.

    Parameters
    ----------
    trial : FrozenTrial
        The trial that needs parameters.
    load_study : callable
        Returns the study with a given sampler in it, its trials read anew.
    """

    trial: FrozenTrial
    load_study: Callable[[BaseSampler], Study]


@dataclass(frozen=True)
class Proposer:
    """Proposes configurations of one space.

    Parameters
    ----------
    propose : callable
        Returns the configuration of a slot.
    limit : int or None
        Number of trials it can propose; None if there is no end.
    """

    propose: Callable[[Slot], Params]
    limit: int | None = None


def derive_seed(*parts: Any) -> int:
    """Return a seed in 0 .. 2^32-1 that depends on every part; parts are JSON values.

    Examples
    --------
    >>> derive_seed(0, 7, "learning_rate") == derive_seed(0, 7, "learning_rate")
    True
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def random(space: Space, seed: int) -> Proposer:
    """Draw each leaf uniformly, or uniformly in its logarithm."""

    def propose(slot: Slot) -> Params:
        rng = np.random.default_rng(derive_seed(seed, slot.trial.number))
        return space.draw(lambda leaf: leaf.from_unit(float(rng.random())))

    return Proposer(propose)


def tpe(space: Space, seed: int) -> Proposer:
    """Draw as Optuna's tree-structured Parzen estimator does: first the leaves all trials share, then the others."""

    def propose(slot: Slot) -> Params:
        sampler = TPESampler(seed=derive_seed(seed, slot.trial.number))
        study = slot.load_study(sampler)
        together = sampler.sample_relative(study, slot.trial, sampler.infer_relative_search_space(study, slot.trial))

        def draw(leaf: Leaf) -> Value:
            if leaf.name in together:
                return _plain(together[leaf.name])
            return _plain(sampler.sample_independent(study, slot.trial, leaf.name, distribution(leaf)))

        return space.draw(draw)

    return Proposer(propose)


def qmc(space: Space, seed: int) -> Proposer:
    """Take point number ``slot`` of one scrambled Sobol sequence over all leaves (Sobol, 1967; Owen, 1998)."""

    def propose(slot: Slot) -> Params:
        from scipy.stats.qmc import Sobol

        leaves = space.leaves()
        engine = Sobol(len(leaves), scramble=True, rng=derive_seed(seed, "qmc"))
        if slot.trial.number:
            engine.fast_forward(slot.trial.number)
        point = dict(zip(leaves, engine.random(1)[0].tolist(), strict=True))
        return space.draw(lambda leaf: leaf.from_unit(point[leaf.name]))

    return Proposer(propose)


def grid(space: Space, seed: int) -> Proposer:
    """Take point number ``slot`` of the grid, in an order shuffled so that a part of it covers the space evenly.

    Raises
    ------
    SettingsError
        If the grid is too large to list.
    """
    is_long = any(leaf.n_levels > MAX_GRID for leaf in space.leaves().values())  # counted before they are listed
    points = [] if is_long else list(itertools.islice(space.points(), MAX_GRID + 1))
    if is_long or len(points) > MAX_GRID:
        raise SettingsError(
            f"search.sampler: grid over more than {MAX_GRID:,} points; expected fewer. "
            "Give ranges a step, narrow them, or choose search.sampler=qmc"
        )
    order = np.random.default_rng(derive_seed(seed, "grid")).permutation(len(points))
    # The baseline takes the place of the grid's first point, which then comes last.
    limit = len(points) + (space.baseline() is not None)
    return Proposer(lambda slot: points[int(order[slot.trial.number % len(points)])], limit)


SAMPLERS: Final[Mapping[str, Callable[[Space, int], Proposer]]] = MappingProxyType(
    {"tpe": tpe, "random": random, "qmc": qmc, "grid": grid}
)


def _plain(value: Any) -> Value:
    plain: Value = value.item() if isinstance(value, np.generic) else value
    return plain
