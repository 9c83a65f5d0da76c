"""Every pruning rule: reads what was reported, keeps no note, and stops what it should."""

import functools
from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np
import optuna
import pytest

from mlpsweep.search.pruners import PRUNERS, Curve, asha
from mlpsweep.search.rungs import ETA, rungs
from mlpsweep.search.settings import PRUNER_NAMES

N_EPOCHS = 16
Curves = dict[int, list[float]]


def curve(curves: Curves, number: int, epoch: int) -> Curve:
    """What trial ``number`` looks like after ``epoch``, all others having gone as far as their lists."""

    def peers_at(at: int) -> Mapping[int, float]:
        return {peer: values[at - 1] for peer, values in curves.items() if len(values) >= at}

    own = {at: curves[number][at - 1] for at in range(1, epoch + 1)}
    return Curve(number, N_EPOCHS, own, peers_at)


def run(rule: Callable[[Curve], bool], whole: Curves) -> Curves:
    """One worker's study under a rule: trial after trial, each as far as the rule lets it."""
    seen: Curves = {}
    for number, values in whole.items():
        seen[number] = []
        for epoch, value in enumerate(values, start=1):
            seen[number].append(value)
            if rule(curve(seen, number, epoch)):
                break
    return seen


def random_curves(n: int, seed: int = 0) -> Curves:
    rng = np.random.default_rng(seed)
    heights = rng.uniform(0.2, 1.0, size=n)
    return {i: list(heights[i] * (1 - np.exp(-np.arange(1, N_EPOCHS + 1) / 3))) for i in range(n)}


@pytest.fixture(params=sorted(PRUNERS))
def rule(request: pytest.FixtureRequest) -> Callable[[Curve], bool]:
    return PRUNERS[str(request.param)]


def test_the_table_holds_what_the_settings_offer() -> None:
    assert set(PRUNERS) == set(PRUNER_NAMES)


def test_asked_twice_a_rule_answers_the_same(rule: Callable[[Curve], bool]) -> None:
    seen = run(rule, random_curves(30))
    for number, values in seen.items():
        assert rule(curve(seen, number, len(values))) == rule(curve(seen, number, len(values)))


def test_the_first_trial_is_never_stopped(rule: Callable[[Curve], bool]) -> None:
    assert len(run(rule, {0: [0.0] * N_EPOCHS})[0]) == N_EPOCHS


def test_a_trial_better_than_all_others_is_never_stopped(rule: Callable[[Curve], bool]) -> None:
    curves = random_curves(30)
    curves[30] = [value + 1.0 for value in curves[0]]
    assert len(run(rule, curves)[30]) == N_EPOCHS


@pytest.mark.parametrize("name", sorted(set(PRUNERS) - {"median"}))  # which may stop anywhere
def test_a_trial_stops_at_a_rung_or_not_at_all(name: str) -> None:
    seen = run(PRUNERS[name], random_curves(60))
    assert {len(values) for values in seen.values()} <= {*rungs(N_EPOCHS), N_EPOCHS}


@pytest.mark.parametrize("name", ["asha", "median"])
def test_a_rule_saves_epochs_and_keeps_the_best(name: str) -> None:
    whole = random_curves(60)
    seen = run(PRUNERS[name], whole)
    best = max(whole, key=lambda number: whole[number][-1])
    assert len(seen[best]) == N_EPOCHS
    assert sum(len(values) for values in seen.values()) < 0.75 * 60 * N_EPOCHS


def test_without_a_rule_every_trial_has_all_epochs() -> None:
    assert all(len(values) == N_EPOCHS for values in run(PRUNERS["none"], random_curves(9)).values())


def test_asha_keeps_the_best_third_of_a_rung() -> None:
    first = rungs(N_EPOCHS)[0]
    ranked = {number: [float(number)] * first for number in range(9)}
    kept = [number for number in ranked if not PRUNERS["asha"](curve(ranked, number, first))]
    assert kept == [6, 7, 8]
    assert ETA == 3


def test_asha_keeps_ties_at_the_threshold() -> None:
    first = rungs(N_EPOCHS)[0]
    equal = {number: [0.5] * first for number in range(9)}
    assert not any(PRUNERS["asha"](curve(equal, number, first)) for number in equal)


@pytest.mark.parametrize("seed", range(5))
def test_asha_decides_as_optunas_halving_does(seed: int) -> None:
    """Optuna's rule, which keeps notes, is the oracle; only its last rung, at the end of the budget, is left out."""
    whole = random_curves(30, seed)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=ETA)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    expected: dict[int, int] = {}
    for number, values in whole.items():
        trial = study.ask()
        for epoch, value in enumerate(values, start=1):
            trial.report(value, epoch)
            expected[number] = epoch
            if trial.should_prune():
                break
        study.tell(trial, values[expected[number] - 1])
    rule = functools.partial(asha, shares=[Fraction(rung, N_EPOCHS) for rung in (1, 3, 9)])
    assert {number: len(values) for number, values in run(rule, whole).items()} == expected


def test_median_waits_for_five_others() -> None:
    others = {number: [0.9] for number in range(4)}
    assert not PRUNERS["median"](curve(others | {9: [0.1]}, 9, 1))
    assert PRUNERS["median"](curve(others | {4: [0.9], 9: [0.1]}, 9, 1))


def test_median_remembers_a_trials_best_epoch() -> None:
    others = {number: [0.5, 0.5] for number in range(6)}
    assert not PRUNERS["median"](curve(others | {9: [0.6, 0.1]}, 9, 2))
