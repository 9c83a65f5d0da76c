"""Every sampler: draws inside the space, from the slot and the past alone."""

import math
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.samplers import TPESampler
from optuna.trial import TrialState, create_trial

from mlpsweep.errors import SettingsError
from mlpsweep.metric import metric_named
from mlpsweep.search.proposals import SAMPLERS, Past, Slot, build_proposer, derive_seed, last_values
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
ACCURACY, LOSS = "validation/accuracy", "validation/loss"
BASE: dict[str, Any] = {"n_epochs": 2, "hidden_sizes": (16,)}
SPACE = make_space({"dimensions": DIMENSIONS, "max_parameters": None}, **BASE)


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
    assert len({trial.user_attrs["weights_hash"] for trial in study.counted()}) == len(study.counted()) == 9


def test_a_grid_too_large_to_list_is_refused() -> None:
    deep = {"type": "widths", "depth": {"low": 1, "high": 8}, "width": {"low": 1, "high": 99}}
    space = make_space({"dimensions": {"hidden_sizes": deep}, "max_parameters": None})
    with pytest.raises(SettingsError, match="grid over more than 100,000 points; expected fewer"):
        build_proposer("grid", space, ACCURACY)


def test_points_of_a_grid_are_counted_before_they_are_listed() -> None:
    many = {"type": "int", "low": 1, "high": 10**7}
    space = make_space({"dimensions": {"batch_size": many}, "max_parameters": None})
    started = time.perf_counter()
    with pytest.raises(SettingsError, match="grid over more than 100,000 points; expected fewer"):
        build_proposer("grid", space, ACCURACY)
    assert space.draw(lambda leaf: leaf.from_unit(0.5)) == {"batch_size": 5_000_001}
    assert time.perf_counter() - started < 1


def test_a_seed_depends_on_every_part_and_on_nothing_else() -> None:
    seeds = [derive_seed(*parts) for parts in [(0,), (1,), (0, 0), (0, "a"), (0, "b"), ("0",), (0, {"b": 1, "a": 2})]]
    assert len(set(seeds)) == len(seeds)
    assert derive_seed(0, {"a": 2, "b": 1}) == seeds[-1]
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_a_finite_space_is_used_up_without_a_repetition(sampler: str, tmp_path: Path) -> None:
    study = searched(tmp_path, sampler, n_trials=50, dimensions=STEPS)
    configurations = [tuple(params.items()) for params in drawn(study)]
    assert len(set(configurations)) == len(configurations) == 9


def test_a_repeated_point_is_drawn_again(sampler: str) -> None:
    space = make_space({"dimensions": DIMENSIONS, "max_parameters": None}, **BASE)
    proposer = build_proposer(sampler, space, ACCURACY)
    for number in (0, 5, 30):
        first = proposer.propose(Slot(number))
        again = proposer.propose(Slot(number, (Past(99, first, {}, is_complete=False),)))
        assert again != first


def test_where_every_draw_is_there_already_the_first_is_taken(sampler: str) -> None:
    space = make_space({"dimensions": {"activation": STEPS["activation"]}, "max_parameters": None})
    past = tuple(
        Past(slot, {"activation": name}, {}, is_complete=False) for slot, name in enumerate(["sigmoid", "relu", "tanh"])
    )
    proposer = build_proposer(sampler, space, ACCURACY)
    assert proposer.limit == 3
    assert proposer.propose(Slot(0, past)) == space.baseline()
    assert proposer.propose(Slot(7, past))["activation"] in STEPS["activation"]["choices"]


@pytest.mark.parametrize("low", [0.0, 0.01], ids=["with the baseline", "without"])
def test_tpe_begins_with_spread_points(low: float) -> None:
    steps = {"type": "float", "low": low, "high": 0.1}
    choices = {"type": "categorical", "choices": ["sigmoid", "relu", "tanh"]}
    space = make_space({"dimensions": {"activation": choices, "l2_lambda": steps}, "max_parameters": None})
    proposer = build_proposer("tpe", space, ACCURACY)
    past: tuple[Past, ...] = ()
    for number in range(10 + (low == 0.0)):
        past += (Past(number, proposer.propose(Slot(number, past)), {1: 0.5}, is_complete=False),)
    points = [one.params for one in past][-10:]
    turns = [[point["activation"] for point in points[first : first + 3]] for first in (0, 3, 6)]
    assert all(sorted(turn) == ["relu", "sigmoid", "tanh"] for turn in turns)
    # Eight points of a Sobol sequence hold each eighth of a range once.
    eighths = [int(8 * (point["l2_lambda"] - low) / (0.1 - low)) for point in points[:8]]
    assert sorted(eighths) == list(range(8))


def curves(*values: list[float], n_epochs: int = 3) -> list[Past]:
    return [
        Past(slot, {}, dict(enumerate(known, start=1)), len(known) == n_epochs) for slot, known in enumerate(values)
    ]


def log_odds(share: float) -> float:
    return math.log(share / (1 - share))


def test_a_last_value_has_the_median_gain_of_those_that_went_further() -> None:
    # Log-odds of 0.5, 0.9, 0.99 are 0, log 9, log 99.
    ends = last_values(curves([0.5, 0.9, 0.99], [0.9], [0.5, 0.5], []), metric_named(ACCURACY))
    assert ends == pytest.approx(
        {
            0: math.log(99),
            2: math.log(99) - math.log(9),  # what 0 gained from epoch 2
            1: math.log(9) + (math.log(99) + math.log(99 / 9)) / 2,  # of 0's gain and of 2's, counted to the end
        }
    )


def test_who_ended_early_gains_nothing_more() -> None:
    past = [Past(0, {}, {1: 0.5, 2: 0.9}, is_complete=True), Past(1, {}, {1: 0.5}, is_complete=False)]
    assert last_values(past, metric_named(ACCURACY)) == pytest.approx({0: log_odds(0.9), 1: log_odds(0.9)})


def test_of_a_loss_less_is_better_and_shares_of_0_and_1_are_finite() -> None:
    losses = last_values(curves([1.0, 0.5, 0.1], [0.5]), metric_named(LOSS))
    assert losses == pytest.approx({0: math.log(10), 1: math.log(20)})
    assert math.isfinite(last_values(curves([0.0]), metric_named(LOSS))[0])
    shares = last_values(curves([0.0], [1.0]), metric_named(ACCURACY))
    assert all(map(math.isfinite, shares.values()))
    assert shares[0] < shares[1]


def test_tpe_learns_from_trials_that_did_not_go_to_the_end() -> None:
    space = make_space({"dimensions": {"l2_lambda": {"type": "float", "low": 0.0, "high": 0.1}}})
    proposer, rng = build_proposer("tpe", space, ACCURACY), np.random.default_rng(0)
    values = rng.uniform(0.0, 0.1, 40)
    past = tuple(
        Past(slot, {"l2_lambda": value}, {1: 1 - 5 * abs(value - 0.08)}, is_complete=False)
        for slot, value in enumerate(values.tolist())
    )
    proposed = [proposer.propose(Slot(40 + i, past))["l2_lambda"] for i in range(20)]
    assert statistics.mean(abs(value - 0.08) for value in proposed) < 0.012  # type: ignore[operator]


def test_a_proposal_depends_on_the_set_of_past_trials_only() -> None:
    space = make_space({"dimensions": DIMENSIONS, "max_parameters": None}, **BASE)
    proposer = build_proposer("tpe", space, ACCURACY)
    draws = build_proposer("random", space, ACCURACY)
    past = [Past(i, draws.propose(Slot(i)), {1: i / 20}, is_complete=False) for i in range(15)]
    assert proposer.propose(Slot(15, tuple(past))) == proposer.propose(Slot(15, tuple(reversed(past))))


FATES = st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.floats(0.01, 0.99)), max_size=12)


@given(fates=FATES, later=FATES)
def test_tpe_proposes_what_it_would_over_trials_that_optuna_made(fates: list[Any], later: list[Any]) -> None:
    draws, proposer = build_proposer("random", SPACE, ACCURACY), build_proposer("tpe", SPACE, ACCURACY)
    for past_of in (fates, later):  # the same trials under way, paused and complete, with other values later
        past = tuple(
            Past(slot, draws.propose(Slot(slot)), {epoch: value for epoch in range(1, n + 1)}, is_complete)
            for slot, (n, is_complete, value) in enumerate(past_of)
        )
        ends, kinds = last_values(past, metric_named(ACCURACY)), SPACE.distributions()
        sampler = TPESampler(seed=derive_seed(SPACE.base.seed, 40), n_startup_trials=1)
        study = optuna.create_study(sampler=sampler, direction="maximize")
        for one in past:
            state = TrialState.COMPLETE if one.slot in ends else TrialState.RUNNING
            own = {name: kinds[name] for name in one.params}
            study.add_trial(
                create_trial(state=state, value=ends.get(one.slot), params=dict(one.params), distributions=own)
            )
        assert proposer.propose(Slot(40, past)) == SPACE.with_values(study.ask(kinds).params, {})


@pytest.mark.slow
def test_a_proposal_after_5000_trials_takes_seconds_at_most(sampler: str) -> None:
    space = make_space({"dimensions": DIMENSIONS, "max_parameters": None}, **BASE)
    draws, proposer = build_proposer("random", space, ACCURACY), build_proposer(sampler, space, ACCURACY)
    past = tuple(Past(i, draws.propose(Slot(i)), {1: 0.5, 2: i / 5000}, is_complete=i % 3 == 0) for i in range(5000))
    started = time.perf_counter()
    proposer.propose(Slot(5000, past))
    assert time.perf_counter() - started < 5  # 0.2 s on an idle core
