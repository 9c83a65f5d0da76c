"""Every sampler: draws inside the space, from the slot and the finished trials alone."""

import math
import time
from pathlib import Path
from typing import Any

import pytest

from mlpsweep.errors import SettingsError
from mlpsweep.search.samplers import SAMPLERS, derive_seed
from mlpsweep.search.settings import SAMPLER_NAMES
from mlpsweep.search.study import Study
from mlpsweep.search.worker import work
from tests.search_lab import make_plan, make_services, make_space, new_study, search_settings

N_TRIALS = 13  # more than the ten that TPE draws blindly
DIMENSIONS = {
    "activation": {"type": "categorical", "choices": ["sigmoid", "relu"]},
    "learning_rate": {"type": "float", "low": 0.01, "high": 1.0, "log": True},
    "hidden_sizes": {"type": "widths", "depth": {"low": 0, "high": 2}, "width": {"low": 8, "high": 64, "log": True}},
}
BASE: dict[str, Any] = {"n_epochs": 2, "hidden_sizes": (16,)}


def searched(root: Path, sampler: str, n_trials: int = N_TRIALS, seed: int = 0, **space: Any) -> Study:
    settings = {"dimensions": DIMENSIONS, "max_parameters": None, **space}
    study = new_study(root, make_plan(settings, seed=seed, **BASE))
    work(study, search_settings(sampler=sampler, n_trials=n_trials), make_services())
    return study


def drawn(study: Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.ledger.trials()]


def test_the_table_holds_what_the_settings_offer() -> None:
    assert set(SAMPLERS) == set(SAMPLER_NAMES)


@pytest.fixture(scope="module", params=sorted(SAMPLERS))
def sampler(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def study(sampler: str, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A finished study of each sampler, to be looked at only."""
    return searched(tmp_path_factory.mktemp(sampler), sampler)


def test_every_proposal_lies_in_the_space(study: Study) -> None:
    leaves = study.plan.space.leaves()
    for params in drawn(study):
        expected = {"activation", "learning_rate", "hidden_sizes.depth"}
        assert params.keys() == expected | {f"hidden_sizes.{i + 1}" for i in range(params["hidden_sizes.depth"])}
        assert all(leaves[name].contains(value) for name, value in params.items())


def test_slot_0_is_the_baseline_and_no_other_is(study: Study) -> None:
    first, *others = drawn(study)
    assert first == study.plan.space.baseline()
    assert first not in others


def test_no_two_proposals_are_equal(study: Study) -> None:
    assert len({tuple(params.items()) for params in drawn(study)}) == N_TRIALS


def test_a_study_extended_equals_one_run_at_once(sampler: str, study: Study, tmp_path: Path) -> None:
    searched(tmp_path, sampler, n_trials=4)
    assert drawn(searched(tmp_path, sampler)) == drawn(study)


def test_another_seed_gives_other_proposals(sampler: str, study: Study, tmp_path: Path) -> None:
    other = drawn(searched(tmp_path, sampler, n_trials=4, seed=1))
    first = drawn(study)[:4]
    assert first[0] == other[0]
    assert all(one not in other for one in first[1:])


def test_a_network_over_the_bound_is_proposed_but_not_trained_nor_counted(sampler: str, tmp_path: Path) -> None:
    study = searched(tmp_path, sampler, n_trials=6, max_parameters=2_000)
    space = study.plan.space
    over = [trial for trial in study.ledger.trials() if space.excess(trial.params) > 0]
    assert over, "the bound excludes no proposal, so this test shows nothing"
    assert all(trial.state.name == "PRUNED" and not trial.intermediate_values for trial in over)
    assert all(trial.constraints["n_parameters"] == space.excess(trial.params) for trial in over)
    assert len(study.counted()) == 6
    assert not {trial.number for trial in over} & {trial.number for trial in study.counted()}


def test_tpe_goes_where_values_were_high(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.search_lab.accuracy", lambda settings, epoch: 1 - 10 * abs(settings.l2_lambda - 0.08))
    space: dict[str, Any] = {"dimensions": {"l2_lambda": {"type": "float", "low": 0.0, "high": 0.1}}}
    searched(tmp_path, "random", n_trials=20, **space)
    values = [params["l2_lambda"] for params in drawn(searched(tmp_path, "tpe", n_trials=30, **space))]
    # Uniform draws would be 0.034 away on average.
    assert sum(abs(value - 0.08) for value in values[20:]) / 10 < 0.017


def test_qmc_puts_one_point_into_each_part_of_a_range(tmp_path: Path) -> None:
    # Points 0 .. 15 of a Sobol sequence hold each 16th once; the baseline has the place of the first.
    params = drawn(searched(tmp_path, "qmc", n_trials=16))[1:]
    decades = [math.log10(one["learning_rate"]) + 2 for one in params]
    assert len({int(8 * decade) for decade in decades}) == 15


STEPS: dict[str, Any] = {
    "activation": {"type": "categorical", "choices": ["sigmoid", "relu", "tanh"]},
    "l2_lambda": {"type": "float", "low": 0.0, "high": 0.1, "step": 0.05},
}


def test_a_grid_is_gone_through_once_and_ends(tmp_path: Path) -> None:
    study = searched(
        tmp_path, "grid", n_trials=50, dimensions={**STEPS, "dropout": {**STEPS["l2_lambda"], "low": 0.05}}
    )
    assert study.plan.space.baseline() is None
    configurations = [study.plan.space.overrides(params) for params in drawn(study)]
    expected = [study.plan.space.overrides(params) for params in study.plan.space.points()]
    assert sorted(configurations, key=str) == sorted(expected, key=str)


def test_a_grid_with_the_baseline_on_it_trains_that_once(tmp_path: Path) -> None:
    study = searched(tmp_path, "grid", n_trials=50, dimensions=STEPS)
    assert len(study.counted()) == 10
    assert sum("reused_from" in trial.user_attrs for trial in study.counted()) == 1
    assert len({trial.user_attrs["weights_hash"] for trial in study.counted()}) == 9


def test_a_grid_too_large_to_list_is_refused() -> None:
    deep = {"type": "widths", "depth": {"low": 1, "high": 8}, "width": {"low": 1, "high": 99}}
    space = make_space({"dimensions": {"hidden_sizes": deep}, "max_parameters": None})
    with pytest.raises(SettingsError, match="grid over more than 100,000 points; expected fewer"):
        SAMPLERS["grid"](space, 0)


def test_points_of_a_grid_are_counted_before_they_are_listed() -> None:
    many = {"type": "int", "low": 1, "high": 10**7}
    space = make_space({"dimensions": {"batch_size": many}, "max_parameters": None})
    started = time.perf_counter()
    with pytest.raises(SettingsError, match="grid over more than 100,000 points; expected fewer"):
        SAMPLERS["grid"](space, 0)
    assert space.draw(lambda leaf: leaf.from_unit(0.5)) == {"batch_size": 5_000_001}
    assert time.perf_counter() - started < 1


def test_a_seed_depends_on_every_part_and_on_nothing_else() -> None:
    seeds = [derive_seed(*parts) for parts in [(0,), (1,), (0, 0), (0, "a"), (0, "b"), ("0",), (0, {"b": 1, "a": 2})]]
    assert len(set(seeds)) == len(seeds)
    assert derive_seed(0, {"a": 2, "b": 1}) == seeds[-1]
    assert all(0 <= seed < 2**32 for seed in seeds)
