"""The simulation behind docs/scaling.md, in cases whose answer is known."""

import pytest

from benchmarks.events import CLAIM, REPORT, TELL, Costs, simulate

COSTS = {CLAIM: [0.01], REPORT: [0.002], TELL: [0.004]}
N_EPOCHS = 8
ALONE_S = 0.01 + N_EPOCHS * 0.002 + 0.004


def test_one_worker_without_training_takes_the_sum_of_its_operations() -> None:
    done = simulate(Costs(COSTS, 4), 1, 50, [0.0], N_EPOCHS)
    assert done.trials_s == pytest.approx(1 / ALONE_S)
    assert done.idle == 1.0


def test_a_database_with_one_clerk_serves_any_number_of_workers_as_fast_as_one() -> None:
    done = simulate(Costs(COSTS, 1), 16, 400, [0.0], N_EPOCHS)
    assert done.trials_s == pytest.approx(1 / ALONE_S, rel=0.01)


def test_with_clerks_enough_the_gate_is_the_limit() -> None:
    done = simulate(Costs(COSTS, 64), 64, 2000, [0.0], N_EPOCHS)
    assert done.trials_s == pytest.approx(1 / COSTS[CLAIM][0], rel=0.02)
    assert max(done.waits[CLAIM]) > 10 * COSTS[CLAIM][0]


def test_workers_whose_trials_last_hardly_wait() -> None:
    # 20 workers ask for 2 trials a second of a database that can do 33.
    done = simulate(Costs(COSTS, 1), 20, 2000, [1.25], N_EPOCHS)
    assert done.trials_s == pytest.approx(20 / (10 + ALONE_S), rel=0.02)
    assert done.idle < 0.02


def test_every_operation_of_every_trial_is_done_once() -> None:
    done = simulate(Costs(COSTS, 2), 7, 30, [0.1, 0.5], N_EPOCHS)
    assert {name: len(waits) for name, waits in done.waits.items()} == {CLAIM: 30, REPORT: 30 * N_EPOCHS, TELL: 30}
