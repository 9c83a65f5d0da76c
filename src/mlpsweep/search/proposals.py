"""How configurations are proposed: a table of samplers, each a function of the slot and of what was tried before.

A proposal depends on the study's seed, the slot and the past, never on a generator that lives on between trials nor on
the shared study's states: a trial whose worker died is proposed as if nothing had happened.
"""

import hashlib
import itertools
import json
import math
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import optuna
from optuna.samplers import TPESampler

from mlpsweep.errors import SettingsError
from mlpsweep.metric import Metric, metric_named
from mlpsweep.search.dimensions import Categorical, Leaf, Range, Value
from mlpsweep.search.memory import study_in_memory
from mlpsweep.search.space import Params, Space

MAX_GRID: Final = 100_000
"""Points beyond which a grid is refused."""

MAX_FINITE: Final = 10_000
"""Points beyond which a space counts as endless."""

N_SPREAD: Final = 10
"""Points that are spread evenly before TPE learns from anything."""

SMALLEST: Final = 1e-6
"""Shares are kept this far from 0 and 1, where log-odds have no end."""

N_REDRAWS: Final = 20
"""How often a configuration that is there already is drawn again."""


@dataclass(frozen=True)
class Past:
    """A configuration that was proposed, whatever became of it.

    Parameters
    ----------
    slot : int
        Its slot.
    params : mapping
        Its drawn leaves.
    values : mapping
        The metric by epoch, as reported; empty if there is none yet, or none to learn from, as of a failed trial.
    is_complete : bool
        Whether it was trained to its end.
    """

    slot: int
    params: Mapping[str, Any]
    values: Mapping[int, float]
    is_complete: bool


@dataclass(frozen=True)
class Slot:
    """What a proposal may look at: its number, from 0, and the other slots that have a configuration."""

    number: int
    past: tuple[Past, ...] = ()


@dataclass(frozen=True)
class Proposer:
    """Proposes configurations of one space.

    Parameters
    ----------
    propose : callable
        Returns the configuration of a slot. It equals an earlier one only if none other was drawn in many attempts.
    limit : int or None
        Number of configurations it can propose; None if there is no end.
    """

    propose: Callable[[Slot], Params]
    limit: int | None = None


@dataclass(frozen=True)
class Sampler:
    """One way to propose.

    Parameters
    ----------
    candidates : callable
        Yields what a slot may become, the most wanted first; without end.
    points : sequence or None
        Every configuration there is; None if there is no end.
    """

    candidates: Callable[[Slot], Iterator[Params]]
    points: Sequence[Params] | None


def build_proposer(sampler: str, space: Space, metric: str) -> Proposer:
    """Return the proposer that ``sampler`` names: slot 0 is the published network where the space holds it.

    Parameters
    ----------
    sampler : str
        Key of ``SAMPLERS``.
    space : Space
        What is searched; the seed of its base is the study's.
    metric : str
        Name of the metric that the past's values are of.

    Raises
    ------
    SettingsError
        If the space is too large for a grid.
    """
    chosen, baseline = SAMPLERS[sampler](space, metric_named(metric)), space.baseline()

    def propose(slot: Slot) -> Params:
        known = {frozenset(past.params.items()) for past in slot.past}
        published = [baseline] if slot.number == 0 and baseline is not None else []
        drawn = itertools.islice(chosen.candidates(slot), N_REDRAWS + 1)
        # Of a space that has an end, what is left comes last: so it is used up when the limit is reached.
        candidates = itertools.chain(published, drawn, chosen.points or ())
        first = next(candidates)
        unknown = (one for one in itertools.chain([first], candidates) if frozenset(one.items()) not in known)
        return next(unknown, first)

    if chosen.points is None:
        return Proposer(propose)
    is_one_more = baseline is not None and baseline not in chosen.points
    return Proposer(propose, len(chosen.points) + is_one_more)


def derive_seed(*parts: Any) -> int:
    """Return a seed in 0 .. 2^32-1 that depends on every part; parts are JSON values.

    Examples
    --------
    >>> derive_seed(0, 7, "learning_rate") == derive_seed(0, 7, "learning_rate")
    True
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def random(space: Space, metric: Metric) -> Sampler:
    """Draw each leaf uniformly, or uniformly in its logarithm."""

    def candidates(slot: Slot) -> Iterator[Params]:
        rng = np.random.default_rng(derive_seed(space.base.seed, slot.number))
        while True:
            yield space.draw(lambda leaf: leaf.from_unit(float(rng.random())))

    return Sampler(candidates, _all_points(space))


def tpe(space: Space, metric: Metric) -> Sampler:
    """Begin with spread points, then draw as Optuna's tree-structured Parzen estimator does, from every last value."""
    n_first = int(space.baseline() is not None)

    def candidates(slot: Slot) -> Iterator[Params]:
        if 0 <= (number := slot.number - n_first) < N_SPREAD:
            yield _spread(space, number)
        study = _study_of(space, metric, slot)
        while True:
            # A proposal that is not taken stays in this study as one under way, and TPE keeps away from it.
            yield space.with_values(study.ask(space.distributions()).params, {})

    return Sampler(candidates, _all_points(space))


def qmc(space: Space, metric: Metric) -> Sampler:
    """Take point number ``slot`` of one scrambled Sobol sequence over all leaves (Sobol, 1967; Owen, 1998)."""
    redraws = random(space, metric)

    def candidates(slot: Slot) -> Iterator[Params]:
        point = _sobol(space, slot.number)
        yield space.draw(lambda leaf: leaf.from_unit(point[leaf.name]))
        yield from redraws.candidates(slot)

    return Sampler(candidates, redraws.points)


def grid(space: Space, metric: Metric) -> Sampler:
    """Take point number ``slot`` of the grid, in an order shuffled so that a part of it covers the space evenly.

    Raises
    ------
    SettingsError
        If the grid is too large to list.
    """
    points = _points(space, MAX_GRID)
    if points is None:
        raise SettingsError(
            f"search.sampler: grid over more than {MAX_GRID:,} points; expected fewer. "
            "Give ranges a step, narrow them, or choose search.sampler=qmc"
        )
    order = np.random.default_rng(derive_seed(space.base.seed, "grid")).permutation(len(points))
    shuffled = [points[int(i)] for i in order]
    return Sampler(lambda slot: itertools.islice(itertools.cycle(shuffled), slot.number, None), shuffled)


SAMPLERS: Final[Mapping[str, Callable[[Space, Metric], Sampler]]] = MappingProxyType(
    {"tpe": tpe, "random": random, "qmc": qmc, "grid": grid}
)


def last_values(past: Iterable[Past], metric: Metric) -> dict[int, float]:
    """Return by slot how good each configuration is, as its last value promises; more is better.

    A value counts in log-odds (a loss: minus its logarithm). To one that did not go to the end the median gain is added
    of those that went further from there, whose own gains are counted to the end in the same way.
    """
    curves = {one.slot: one.values for one in past if one.values}
    whole = {one.slot for one in past if one.is_complete}
    ends: dict[int, float] = {}

    def order(slot: int) -> tuple[bool, int]:
        return slot not in whole, -max(curves[slot])

    def at(epoch: int, slot: int) -> float:
        return _log_odds(curves[slot][epoch], metric)

    for (is_part, minus_epoch), slots in itertools.groupby(sorted(curves, key=order), key=order):
        epoch = -minus_epoch
        gains = [end - at(epoch, slot) for slot, end in ends.items() if is_part and epoch in curves[slot]]
        gain = statistics.median(gains) if gains else 0.0
        ends |= {slot: at(epoch, slot) + gain for slot in slots}
    return ends


def _log_odds(value: float, metric: Metric) -> float:
    if not metric.is_share:
        return -math.log(max(value, sys.float_info.min))
    share = min(max(value, SMALLEST), 1 - SMALLEST)
    return metric.sign * math.log(share / (1 - share))


def _study_of(space: Space, metric: Metric, slot: Slot) -> optuna.Study:
    """Return a study in memory in which the past is complete with what it promises, or under way if it has no value."""
    sampler = TPESampler(seed=derive_seed(space.base.seed, slot.number), n_startup_trials=1)
    ends, past = last_values(slot.past, metric), sorted(slot.past, key=lambda past: past.slot)
    tried = [(one.params, ends.get(one.slot)) for one in past]
    return study_in_memory("maximize", tried, space.distributions(), sampler)


def _sobol(space: Space, number: int) -> dict[str, float]:
    """Return one point of the study's scrambled Sobol sequence: for each leaf a number in 0 .. 1."""
    from scipy.stats.qmc import Sobol

    leaves = space.leaves()
    engine = Sobol(len(leaves), scramble=True, rng=derive_seed(space.base.seed, "qmc"))
    if number:
        engine.fast_forward(number)
    return dict(zip(leaves, engine.random(1)[0].tolist(), strict=True))


def _spread(space: Space, number: int) -> Params:
    """Return a Sobol point whose choices come in turn, each leaf's in an order of its own that is drawn every round."""
    point = _sobol(space, number)

    def draw(leaf: Leaf) -> Value:
        if isinstance(leaf, Categorical):
            turn, place = divmod(number, leaf.n_levels)
            rng = np.random.default_rng(derive_seed(space.base.seed, leaf.name, turn))
            return leaf.labels[int(rng.permutation(leaf.n_levels)[place])]
        return leaf.from_unit(point[leaf.name])

    return space.draw(draw)


def _points(space: Space, most: int) -> list[Params] | None:
    """Return the grid over the space, or None if it has more than ``most`` points."""
    if any(leaf.n_levels > most for leaf in space.leaves().values()):  # counted before they are listed
        return None
    points = list(itertools.islice(space.points(), most + 1))
    return points if len(points) <= most else None


def _all_points(space: Space) -> list[Params] | None:
    """Return every configuration of a space, or None if it has no end; a range in logarithms counts as one without."""
    is_endless = any(
        isinstance(leaf, Range) and (leaf.log or not (leaf.integer or leaf.step)) for leaf in space.leaves().values()
    )
    return None if is_endless else _points(space, MAX_FINITE)
