"""The simulation behind docs/scaling.md, in cases whose answer is known."""

import pytest

from benchmarks.events import (
    CLAIM,
    COMMIT,
    FILE,
    GATE,
    NAPS_S,
    PROPOSE,
    REPORT,
    TELL,
    Segment,
    Site,
    Trial,
    simulate,
)

N_EPOCHS = 8
SPAN = (1.0, 21.0)


def operation(name: str, client_s: float, server_s: float, else_s: float = 0.0, lock: str = "") -> list[Segment]:
    return [Segment(name, "", 1, 0.0, 0.0, 0.0, 0.0), Segment(name, lock, 1, 0.0, client_s, server_s, else_s)]


def trial(gate_s: float = 0.004, lock: str = GATE) -> Trial:
    reports = [operation(REPORT, 0.001, 0.001) for _ in range(N_EPOCHS)]
    claim, tell = operation(CLAIM, 0.001, gate_s, lock=lock), operation(TELL, 0.003, 0.001)
    return [claim, operation(PROPOSE, 0.001, 0.001), *reports, tell]


ALONE_S = 0.005 + 0.002 + N_EPOCHS * 0.002 + 0.004
SERVER_S = 0.004 + 0.001 + N_EPOCHS * 0.001 + 0.001


def test_one_worker_takes_the_sum_of_its_segments() -> None:
    done = simulate([trial()], Site(2, True), 1, [0.0], SPAN)
    assert done.trials_s == pytest.approx(1 / ALONE_S, rel=0.01)
    assert done.idle == 1.0


@pytest.mark.parametrize(("n_cores", "n_workers"), [(1, 5), (2, 16)])
def test_on_one_machine_its_processors_are_the_limit(n_cores: int, n_workers: int) -> None:
    done = simulate([trial(0.001)], Site(n_cores, True), n_workers, [0.0], SPAN)
    assert done.trials_s == pytest.approx(n_cores / (ALONE_S - 0.003), rel=0.03)


def test_workers_elsewhere_share_the_servers_processors_only() -> None:
    done = simulate([trial(0.001, "")], Site(1, False), 64, [0.0], SPAN)
    assert done.trials_s == pytest.approx(1 / (SERVER_S - 0.003), rel=0.03)


def test_with_processors_enough_the_gate_is_the_limit() -> None:
    done = simulate([trial()], Site(64, False), 64, [0.0], SPAN)
    assert done.trials_s == pytest.approx(1 / 0.005, rel=0.02)
    assert max(done.waits[CLAIM]) > 10 * 0.005


def test_trials_at_work_make_claims_longer() -> None:
    done = simulate([trial()], Site(64, False, row_s=0.001), 10, [0.0], SPAN)
    assert done.trials_s == pytest.approx(1 / 0.015, rel=0.02)


def test_workers_whose_trials_last_hardly_wait() -> None:
    # 20 workers ask for 2 trials a second of a server that can do 70.
    done = simulate([trial()], Site(1, False), 20, [10.0], (100.0, 1100.0))
    assert done.trials_s == pytest.approx(20 / (10 + ALONE_S), rel=0.02)
    assert done.idle == pytest.approx(ALONE_S / (10 + ALONE_S), rel=0.2)


def test_every_trial_has_each_operation_as_often() -> None:
    done = simulate([trial()], Site(2, False), 7, [0.8, 4.0], (0.0, 500.0))
    n_trials = len(done.waits[TELL])
    assert n_trials > 500
    for name, n_each in ((CLAIM, 1), (PROPOSE, 1), (REPORT, N_EPOCHS)):
        assert 0 <= len(done.waits[name]) - n_each * n_trials <= 7 * n_each


def written(seconds: float) -> Trial:
    """A trial of one operation on a file: most of it is the commit, and all of it the disk's."""
    parts = [(FILE, 0.1 * seconds), (COMMIT, 0.9 * seconds), ("", 0.0)]
    return [
        [Segment(TELL, lock, 1, 0.0, 0.0, 0.0, else_s) for lock, else_s in parts],
        operation(REPORT, 0.0, 0.0, 0.001),
    ]


def test_of_writers_of_a_file_one_is_served_at_a_time() -> None:
    done = simulate([written(0.02)], Site(2, True), 4, [0.0], SPAN)
    assert 0.8 / 0.02 < done.trials_s <= 1.01 / 0.02


def test_who_finds_a_file_taken_sleeps_longer_each_time() -> None:
    done = simulate([written(0.5)], Site(2, True), 2, [0.0], (0.0, 60.0))
    slept = [sum(NAPS_S[:n]) for n in range(len(NAPS_S))]
    assert 0.5 < max(done.waits[TELL]) < 60.0
    assert slept[-1] < 0.5
