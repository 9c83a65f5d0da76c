"""The simulation behind docs/scaling.md, in cases whose answer is known."""

import pytest

from benchmarks.events import CLAIM, PROPOSE, REPORT, TELL, Costs, simulate

COSTS = {CLAIM: [0.01], PROPOSE: [0.003], REPORT: [0.002], TELL: [0.004]}
N_EPOCHS = 8
ALONE_S = 0.01 + 0.003 + N_EPOCHS * 0.002 + 0.004
SPAN = (1.0, 21.0)


def test_one_worker_without_training_takes_the_sum_of_its_operations() -> None:
    done = simulate(Costs(COSTS, 4), 1, [0.0], N_EPOCHS, SPAN)
    assert done.trials_s == pytest.approx(1 / ALONE_S, rel=0.01)
    assert done.idle == 1.0


def test_a_database_with_one_clerk_serves_any_number_of_workers_as_fast_as_one() -> None:
    done = simulate(Costs(COSTS, 1), 16, [0.0], N_EPOCHS, SPAN)
    assert done.trials_s == pytest.approx(1 / ALONE_S, rel=0.02)


def test_with_clerks_enough_the_gate_is_the_limit() -> None:
    done = simulate(Costs(COSTS, 64), 64, [0.0], N_EPOCHS, SPAN)
    assert done.trials_s == pytest.approx(1 / COSTS[CLAIM][0], rel=0.02)
    assert max(done.waits[CLAIM]) > 10 * COSTS[CLAIM][0]


def test_workers_whose_trials_last_hardly_wait() -> None:
    # 20 workers ask for 2 trials a second of a database that can do 30.
    done = simulate(Costs(COSTS, 1), 20, [1.25], N_EPOCHS, (100.0, 1100.0))
    assert done.trials_s == pytest.approx(20 / (10 + ALONE_S), rel=0.02)
    assert done.idle == pytest.approx(ALONE_S / (10 + ALONE_S), rel=0.2)


def test_every_trial_has_each_operation_as_often() -> None:
    done = simulate(Costs(COSTS, 2), 7, [0.1, 0.5], N_EPOCHS, (0.0, 500.0))
    n_trials = len(done.waits[TELL])
    assert n_trials > 500
    for name, n_each in ((CLAIM, 1), (PROPOSE, 1), (REPORT, N_EPOCHS)):
        assert 0 <= len(done.waits[name]) - n_each * n_trials <= 7 * n_each
