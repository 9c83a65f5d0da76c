"""The ledger: who may train what, decided by the database; the same on SQLite and on PostgreSQL."""

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from mlpsweep.search.claims import Claim, LostClaimError
from mlpsweep.search.database import open_database
from mlpsweep.search.leases import COMPLETE, FAILED, PAUSED, PRUNED, WAITING, Leases, Row
from mlpsweep.search.ledger import Ledger
from mlpsweep.search.promotion import Ladder
from mlpsweep.search.study import Study
from mlpsweep.search.turns import Standing
from mlpsweep.search.view import EXCESS, SLOT, STRAY, is_paused
from tests.postgres import new_database
from tests.search_lab import an_owner, make_plan, new_study, rob

LEASE_S = 0.4
BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
PARAMS = make_plan().space.baseline() or {}


@pytest.fixture(params=BOTH)
def storage(request: pytest.FixtureRequest) -> Iterator[str | None]:
    if request.param == "sqlite":
        yield None
    else:
        with new_database() as url:
            yield url


@pytest.fixture
def study(tmp_path: Path, storage: str | None) -> Study:
    return new_study(tmp_path, storage=storage)


@pytest.fixture
def ledger(study: Study, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger that tells Optuna everything at once."""
    monkeypatch.setattr("mlpsweep.search.ledger.SHOWN_AFTER_S", 0.0)
    return study.ledger


def take(ledger: Ledger, owner: str | None = None, target: int = 3, *, lives: bool = True) -> Claim:
    """A claim by somebody who has none yet, or by ``owner``."""
    claim = ledger.claim(owner or an_owner(uuid.uuid4().hex, lives=lives), target)
    assert isinstance(claim, Claim)
    return claim


def shown(ledger: Ledger) -> list[FrozenTrial]:
    """What Optuna's own reader sees."""
    storage = ledger.database.storage
    return storage.get_all_trials(ledger.view.study_id)


def states(ledger: Ledger) -> list[str]:
    return [trial.state.name for trial in ledger.trials()]


def other(ledger: Ledger) -> Ledger:
    """The same study as another process sees it."""
    url = ledger.database.url
    again = open_database(url, Path(os.devnull), ledger.database.patience_s)
    return Ledger(again, ledger.name, ledger.key.partition("-")[2], ledger.claims.lease_s, ledger.view.kinds)


@pytest.mark.parametrize("storage", BOTH[1:], indirect=True)
def test_who_falls_silent_inside_a_transaction_keeps_nobody_waiting(tmp_path: Path, storage: str | None) -> None:
    ledger = new_study(tmp_path, storage=storage, lease_s=LEASE_S).ledger
    claim, begun, other_is_done, told = take(ledger), threading.Event(), threading.Event(), list[bool]()

    def silent(leases: Leases) -> bool:
        leases.pass_gate()
        is_first = not begun.is_set()
        begun.set()
        told.append(is_first and other_is_done.wait(10.0))
        return leases.keep(claim.number, claim.token)

    sleeper = threading.Thread(target=ledger.claims.run, args=(silent,))
    sleeper.start()
    assert begun.wait(10.0)
    take(other(ledger))
    other_is_done.set()
    sleeper.join()
    assert told == [True, False]  # the other one was done before it woke, and it tried again


def test_slots_are_given_out_up_to_the_target(ledger: Ledger) -> None:
    assert [take(ledger).number for _ in range(3)] == [0, 1, 2]
    assert ledger.claim(an_owner("a"), 3) == Standing(n_counted=0, n_running=3)


@pytest.mark.parametrize("state", [COMPLETE, PRUNED, FAILED])
def test_every_end_counts_towards_the_target(ledger: Ledger, state: str) -> None:
    ledger.tell(take(ledger, target=1), state, None if state == FAILED else 0.5, {})
    assert ledger.claim(an_owner("a"), 1) == Standing(n_counted=1, n_running=0)


def test_a_refused_proposal_gives_its_slot_back(ledger: Ledger) -> None:
    ledger.refuse(take(ledger, target=1), PARAMS, excess=0.5)
    assert take(ledger, target=1).number == 1
    (trial,) = shown(ledger)
    assert (trial.state, trial.system_attrs[EXCESS], trial.params) == (TrialState.PRUNED, 0.5, PARAMS)


def test_a_raised_target_is_the_difference(ledger: Ledger) -> None:
    ledger.tell(take(ledger, target=1), COMPLETE, 0.5, {})
    assert take(ledger, target=2).number == 1


def test_a_limit_ends_the_slots_before_the_target(ledger: Ledger) -> None:
    take(ledger)
    assert ledger.claim(an_owner("a"), 3, 1) == Standing(n_counted=0, n_running=1)


def test_a_dead_workers_trial_is_adopted_before_a_new_one_is_made(ledger: Ledger) -> None:
    first = take(ledger, lives=False)
    claim = take(ledger)
    assert (claim.number, claim.retries, claim.token > first.token) == (0, 1, True)
    assert take(ledger).number == 1


def test_each_death_is_a_retry(ledger: Ledger) -> None:
    for n in range(3):
        assert take(ledger, lives=False).retries == n


def test_who_claims_again_did_not_hear_that_it_got_the_slot(ledger: Ledger) -> None:
    owner = an_owner("a")
    take(ledger, owner)
    again = take(ledger, owner)
    assert (again.number, again.retries) == (0, 0)


def test_a_silent_workers_trial_is_adopted_when_its_lease_is_over_and_not_before(tmp_path: Path, storage: str) -> None:
    ledger = new_study(tmp_path, storage=storage, lease_s=LEASE_S).ledger
    elsewhere = " ".join((*an_owner("far").split(" ")[:2], "another-boot", "pid:[1]", "1", "1"))
    lost = take(ledger, elsewhere, target=1)
    assert ledger.claim(an_owner("a"), 1) == Standing(0, 1)
    time.sleep(1.5 * LEASE_S)
    assert (take(ledger, target=1).number, lost.number) == (0, 0)
    with pytest.raises(LostClaimError):
        ledger.report(lost, 1, 0.5)


def test_a_lease_is_renewed_as_long_as_its_block_runs(tmp_path: Path, storage: str) -> None:
    ledger = new_study(tmp_path, storage=storage, lease_s=LEASE_S).ledger
    claim = take(ledger, target=1)
    with ledger.held(claim):
        time.sleep(2.5 * LEASE_S)
        assert ledger.claim(an_owner("a"), 1) == Standing(0, 1)
    time.sleep(1.5 * LEASE_S)
    assert ledger.deserted() == [0]
    ledger.report(claim, 1, 0.5)  # over, but not taken: it is still the worker's, and begins anew
    assert ledger.deserted() == []


def test_a_thread_tells_of_a_row_that_another_has_taken_and_does_not_renew_it(tmp_path: Path, storage: str) -> None:
    ledger = new_study(tmp_path, storage=storage, lease_s=LEASE_S).ledger
    claim = take(ledger)
    with ledger.held(claim) as is_lost:
        time.sleep(LEASE_S)
        assert not is_lost()
        rob(ledger, 0)
        time.sleep(LEASE_S)
        assert is_lost()
        assert ledger.deserted() == [0]


def test_one_promise_is_given_once(ledger: Ledger) -> None:
    ledgers, got = [other(ledger) for _ in range(4)], list[Claim | Standing]()
    start = threading.Barrier(len(ledgers))

    def claim(mine: Ledger) -> None:
        start.wait()
        got.append(mine.claim(an_owner(uuid.uuid4().hex), 2))

    threads = [threading.Thread(target=claim, args=(mine,)) for mine in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.number for one in got if isinstance(one, Claim)) == [0, 1]


def test_an_interrupted_trial_waits_and_is_no_retry(ledger: Ledger) -> None:
    claim = take(ledger)
    ledger.propose(claim, PARAMS)
    ledger.release(claim)
    assert [trial.state for trial in shown(ledger)] == [TrialState.WAITING]
    claim = take(ledger)
    assert (claim.number, claim.retries) == (0, 0)
    assert [trial.state for trial in shown(ledger)] == [TrialState.RUNNING]


@pytest.mark.parametrize("end", [Ledger.release, Ledger.pause])
def test_a_trial_that_was_put_down_is_its_last_workers_until_another_takes_it(
    ledger: Ledger, end: Callable[[Ledger, Claim], None]
) -> None:
    claim = take(ledger)
    ledger.propose(claim, PARAMS)
    assert ledger.claims.is_latest(claim)
    end(ledger, claim)
    assert ledger.claims.is_latest(claim)
    again = ledger.claims.take(claim.number, "another")
    assert again is not None
    assert [ledger.claims.is_latest(one) for one in (claim, again)] == [False, True]
    ledger.tell(again, COMPLETE, 0.5, {})
    assert [ledger.claims.is_latest(one) for one in (claim, again)] == [False, True]


def test_trials_at_work_whose_worker_is_gone_are_deserted_and_left_once(ledger: Ledger) -> None:
    ledger.tell(take(ledger), COMPLETE, 0.5, {})
    kept, lost = take(ledger), take(ledger, lives=False)
    assert ledger.deserted() == [lost.number]
    for _ in range(2):
        ledger.leave()
        assert states(ledger) == ["COMPLETE", "RUNNING", "WAITING"]
    assert ledger.deserted() == []
    with pytest.raises(LostClaimError, match="slot 2"):
        ledger.report(lost, 1, 0.5)
    ledger.report(kept, 1, 0.5)
    claim = take(ledger)
    assert (claim.number, claim.retries) == (2, 1)


def test_a_dead_workers_trial_beyond_a_lowered_target_is_surplus(ledger: Ledger) -> None:
    ledger.tell(take(ledger), COMPLETE, 0.5, {})
    take(ledger, lives=False)
    claim = take(ledger, target=1)
    assert (claim.number, claim.is_surplus) == (1, True)
    ledger.release(claim)
    assert ledger.claim(an_owner("a"), 1) == Standing(n_counted=1, n_running=0)


def test_an_adopted_trial_keeps_parameters_and_reports(ledger: Ledger) -> None:
    claim = take(ledger, lives=False)
    ledger.propose(claim, PARAMS)
    ledger.report(claim, 1, 0.25)
    ledger.report(claim, 2, 0.5)
    adopted = ledger.trial(take(ledger))
    assert (adopted.params, adopted.intermediate_values) == (PARAMS, {1: 0.25, 2: 0.5})


def test_complete_trials_are_found_by_a_note(ledger: Ledger) -> None:
    for state, key in ((COMPLETE, "a"), (FAILED, "b"), (COMPLETE, "b"), (COMPLETE, "b")):
        claim = take(ledger, target=9)
        ledger.propose(claim, PARAMS)
        ledger.report(claim, 1, 0.25)
        ledger.tell(claim, state, 0.5 if state == COMPLETE else None, {"run_key": key})
    assert [trial.number for trial in ledger.complete_with("run_key", "b")] == [2, 3]
    assert ledger.complete_with("run_key", "b")[0].intermediate_values == {1: 0.25}
    assert ledger.complete_with("run_key", "c") == []


def test_the_same_report_twice_is_one(ledger: Ledger) -> None:
    claim = take(ledger)
    ledger.report(claim, 1, 0.25)
    ledger.report(claim, 1, 0.25)
    assert ledger.values_at(1) == {0: 0.25}


def test_values_of_an_epoch_come_from_every_trial_that_reached_it(ledger: Ledger) -> None:
    for value in (0.1, 0.2):
        claim = take(ledger)
        ledger.report(claim, 1, value)
    ledger.report(claim, 2, 0.3)
    assert ledger.values_at(1) == {0: 0.1, 1: 0.2}
    assert ledger.values_at(2) == {1: 0.3}


def test_a_study_sees_nothing_of_another_in_its_database(ledger: Ledger, tmp_path: Path, storage: str | None) -> None:
    beside = new_study(tmp_path, study="beside", storage=storage).ledger
    assert ledger.database.url == beside.database.url
    for value in (0.7, 0.8):
        claim = take(beside)
        beside.propose(claim, PARAMS)
        beside.report(claim, 1, value)
    beside.tell(claim, COMPLETE, 0.8, {})
    paused(beside, {2: 0.95})
    mine, ladder = take(ledger), Ladder(rungs=(1,), n_complete=3, goal=0.9)
    ledger.propose(mine, PARAMS)
    ledger.report(mine, 1, 0.1)
    assert (mine.number, ledger.values_at(1), beside.values_at(1)) == (0, {0: 0.1}, {0: 0.7, 1: 0.8, 2: 0.95})
    assert (states(ledger), states(beside)) == (["RUNNING"], ["RUNNING", "COMPLETE", "WAITING"])
    assert ledger.claim(an_owner("a"), 1, None, ladder) == Standing(n_counted=0, n_running=1)
    ledger.release(mine)
    assert beside.claim(an_owner("b"), 3) == Standing(n_counted=2, n_running=1)
    assert take(ledger, target=1).number == 0


def test_an_added_trial_is_seen_though_another_study_shows_one_of_its_number(
    ledger: Ledger, tmp_path: Path, storage: str | None
) -> None:
    beside = new_study(tmp_path, study="beside", storage=storage).ledger
    beside.propose(take(beside), PARAMS)
    assert [trial.number for trial in shown(beside)] == [0]
    study = optuna.load_study(study_name=ledger.name, storage=ledger.database.storage)
    kinds = {name: ledger.view.kinds[name] for name in PARAMS}
    study.add_trial(create_trial(params=PARAMS, distributions=kinds, value=0.9))
    assert (states(ledger), take(ledger).number) == (["COMPLETE"], 1)


@pytest.mark.parametrize(
    "write",
    [
        lambda ledger, claim: ledger.report(claim, 1, 0.5),
        lambda ledger, claim: ledger.tell(claim, COMPLETE, 0.5, {}),
        lambda ledger, claim: ledger.propose(claim, PARAMS),
        lambda ledger, claim: ledger.refuse(claim, PARAMS, 0.5),
        lambda ledger, claim: ledger.release(claim),
    ],
    ids=["report", "tell", "propose", "refuse", "release"],
)
def test_a_worker_whose_trial_was_taken_cannot_write_any_more(
    ledger: Ledger, write: Callable[[Ledger, Claim], None]
) -> None:
    lost = take(ledger)
    rob(ledger, 0)
    before = ledger.trials()
    with pytest.raises(LostClaimError, match="slot 0"):
        write(ledger, lost)
    assert ledger.trials() == before


def test_a_trial_cannot_end_twice_but_its_end_may_be_told_again(ledger: Ledger) -> None:
    claim = take(ledger)
    for _ in range(2):
        ledger.tell(claim, COMPLETE, 0.5, {})
    with pytest.raises(LostClaimError):
        ledger.tell(claim, FAILED, None, {})


def test_optuna_is_told_all_that_its_dashboard_shows(ledger: Ledger) -> None:
    claim = take(ledger)
    ledger.propose(claim, PARAMS)
    ledger.report(claim, 1, 0.25)
    ledger.tell(claim, COMPLETE, 0.5, {"validation/loss": 1.5, "weights_hash": "ab"})
    (trial,) = shown(ledger)
    assert (trial.state, trial.value, trial.params) == (TrialState.COMPLETE, 0.5, PARAMS)
    assert (trial.intermediate_values, trial.user_attrs) == ({1: 0.25}, {SLOT: 0, "validation/loss": 1.5})


def test_what_optuna_lacks_it_is_told_at_rest(ledger: Ledger) -> None:
    claim = take(ledger)
    ledger.propose(claim, PARAMS)
    leases, key = ledger.claims, claim.number

    def untold(rows: Any) -> None:
        rows.report(key, {1: 0.25})
        rows.change(key, state=COMPLETE, value=0.5, ended=rows.now)

    leases.run(untold)
    ledger.settle()
    (trial,) = shown(ledger)
    assert (trial.state, trial.value, trial.intermediate_values) == (TrialState.COMPLETE, 0.5, {1: 0.25})


def test_many_may_tell_optuna_the_same_at_once(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.propose(take(ledger), PARAMS)

    def untold(rows: Any) -> None:
        for slot in range(3):
            rows.report(slot, {epoch: 0.25 for epoch in range(1, 9)})
            rows.change(slot, state=COMPLETE, value=0.5, ended=rows.now, notes={"reason": "x", "validation/loss": 1.0})

    ledger.claims.run(untold)
    ledgers, faults = [other(ledger) for _ in range(6)], list[BaseException]()
    start = threading.Barrier(len(ledgers))

    def settle(mine: Ledger) -> None:
        start.wait()
        try:
            mine.settle()
        except BaseException as error:  # noqa: BLE001 - shown by the test
            faults.append(error)

    threads = [threading.Thread(target=settle, args=(mine,)) for mine in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert [(trial.value, len(trial.intermediate_values)) for trial in shown(ledger)] == [(0.5, 8)] * 3


def test_a_trial_that_its_maker_did_not_bind_is_bound_by_who_adopts_the_slot(ledger: Ledger) -> None:
    claim = take(ledger, lives=False)
    ledger.claims.keep(claim, params=PARAMS)
    row, _ = ledger._read(0)
    assert row is not None
    ledger.view.add(row, {})
    take(ledger)
    (trial,) = shown(ledger)
    assert ledger.claims.run(lambda leases: leases.shown()) == {trial.number}


def test_a_trial_whose_slot_has_another_is_set_aside(ledger: Ledger) -> None:
    claim = take(ledger)
    ledger.propose(claim, PARAMS)
    row, _ = ledger._read(0)
    assert row is not None
    stray = ledger.view.add(row, {})
    ledger.settle()  # somebody is at work, and its maker may be
    assert [trial.state for trial in shown(ledger)] == [TrialState.RUNNING] * 2
    ledger.tell(claim, COMPLETE, 0.5, {})
    ledger.settle()
    assert shown(ledger)[stray].state == TrialState.PRUNED
    assert shown(ledger)[stray].user_attrs[STRAY]
    assert states(ledger) == ["COMPLETE"]


@pytest.mark.parametrize(("sign", "value", "is_there"), [(1.0, 0.91, True), (1.0, 0.89, False), (-1.0, 0.91, False)])
def test_a_search_goes_on_if_the_trial_that_reported_its_target_ends_below_it(
    ledger: Ledger, sign: float, value: float, is_there: bool
) -> None:
    ladder = Ladder(sign=sign, goal=0.9)
    claim = ledger.claim(an_owner("a"), 3, None, ladder)
    assert isinstance(claim, Claim)
    ledger.propose(claim, PARAMS)
    ledger.report(claim, 1, 0.9)
    assert ledger.claim(an_owner("b"), 3, None, ladder) == Standing(n_counted=0, n_running=1)
    ledger.tell(claim, COMPLETE, value, {})
    assert isinstance(ledger.claim(an_owner("b"), 3, None, ladder), Standing) == is_there


@pytest.mark.parametrize("state", [COMPLETE, PAUSED])
def test_a_short_trial_is_told_whole_at_its_end(ledger: Ledger, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlpsweep.search.ledger.SHOWN_AFTER_S", 60.0)
    claim = take(ledger)
    ledger.propose(claim, PARAMS)
    ledger.report(claim, 1, 0.25)
    assert shown(ledger) == []
    ledger.tell(claim, COMPLETE, 0.5, {"reason": "done"}) if state == COMPLETE else ledger.pause(claim)
    (trial,) = shown(ledger)
    assert (trial.params, trial.intermediate_values) == (PARAMS, {1: 0.25})
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.5) if state == COMPLETE else (TrialState.WAITING, None)
    assert trial.user_attrs[SLOT] == 0


@pytest.mark.parametrize("state", [COMPLETE, PRUNED, FAILED])
def test_of_two_that_show_an_ended_slot_at_once_one_is_set_aside(
    ledger: Ledger, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlpsweep.search.ledger.SHOWN_AFTER_S", 60.0)
    claim, add, another = take(ledger), ledger.view.add, other(ledger)
    ledger.propose(claim, PARAMS)

    def added(row: Row, reports: Any) -> int:
        another.settle()  # sees a slot that has ended and that nothing shows
        return add(row, reports)

    monkeypatch.setattr(ledger.view, "add", added)
    ledger.tell(claim, state, None if state == FAILED else 0.5, {})
    strays = [trial for trial in shown(ledger) if STRAY in trial.user_attrs]
    (trial,) = [trial for trial in shown(ledger) if trial not in strays]
    assert {stray.state for stray in strays} == {TrialState.PRUNED}
    assert (trial.state, trial.params) == (ledger.trials()[0].state, PARAMS)


def test_who_knows_no_distributions_leaves_a_trial_in_order_all_the_same(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlpsweep.search.ledger.SHOWN_AFTER_S", 60.0)
    ledger.propose(take(ledger, lives=False), PARAMS)
    Ledger(ledger.database, ledger.name, ledger.key.partition("-")[2]).leave()  # as the doctor does
    assert (states(ledger), shown(ledger)) == (["WAITING"], [])
    ledger.settle()
    assert [trial.params for trial in shown(ledger)] == [PARAMS]


def test_a_trial_that_its_maker_did_not_bind_is_left_in_order(ledger: Ledger) -> None:
    claim = take(ledger, lives=False)
    ledger.claims.keep(claim, params=PARAMS)
    row, _ = ledger._read(0)
    assert row is not None
    ledger.view.add(row, {})
    doctors = Ledger(ledger.database, ledger.name, ledger.key.partition("-")[2])
    doctors.leave()
    assert doctors.deserted() == []
    assert ([trial.state for trial in shown(ledger)], states(ledger)) == ([TrialState.WAITING], ["WAITING"])


@pytest.mark.parametrize("state", [WAITING, PAUSED])
def test_a_trial_that_is_being_bound_is_not_set_aside_at_rest(ledger: Ledger, state: str) -> None:
    claim = take(ledger)
    ledger.claims.keep(claim, params=PARAMS)
    row, _ = ledger._read(0)
    assert row is not None
    ledger.view.add(row, {})
    # Its worker has left the slot, and is about to bind the trial.
    ledger.claims.run(lambda leases: leases.change(0, state=state, owner=None))
    ledger.settle()
    (trial,) = shown(ledger)
    assert (trial.state, STRAY in trial.user_attrs) == (TrialState.WAITING, False)
    assert ledger.claims.run(lambda leases: leases.shown()) == {trial.number}


def test_of_those_that_paused_at_the_first_look_the_best_goes_on_to_the_next_rung(ledger: Ledger) -> None:
    ladder, params = Ladder(rungs=(0, 1), n_complete=1), iter([0.01, 0.02, 0.03])
    for value in (0.3, 0.9, 0.5):
        claim = ledger.claim(an_owner("a"), 9, None, ladder)
        assert isinstance(claim, Claim)
        assert claim.rung == 0
        ledger.propose(claim, {**PARAMS, "learning_rate": next(params)})
        ledger.report(claim, 0, value)
        ledger.pause(claim)
    assert {trial.user_attrs["reason"] for trial in ledger.trials()} == {"paused in epoch 1"}
    assert [(trial.state, trial.intermediate_values) for trial in shown(ledger)] == [
        (TrialState.WAITING, {0: value}) for value in (0.3, 0.9, 0.5)
    ]
    promoted = ledger.claim(an_owner("b"), 9, None, ladder)
    assert isinstance(promoted, Claim)
    assert (promoted.number, promoted.rung) == (1, 1)
    started = ledger.claim(an_owner("c"), 9, None, ladder)
    assert isinstance(started, Claim)
    assert (started.number, started.rung) == (3, 0)


def test_each_workers_time_at_a_trial_is_noted(ledger: Ledger) -> None:
    ladder = Ladder(rungs=(1,), n_complete=1)
    before = time.time()
    for worker, state in (("a", PAUSED), ("b", "waiting"), ("c", COMPLETE)):
        claim = ledger.claim(an_owner(worker), 1, None, ladder)
        assert isinstance(claim, Claim)
        if state == PAUSED:
            ledger.pause(claim)
        elif state == COMPLETE:
            ledger.tell(claim, state, 0.5, {})
        else:
            ledger.release(claim)
    (trial,) = ledger.trials()
    stints = trial.user_attrs["stints"]
    assert [worker for worker, _, _ in stints] == ["a", "b", "c"]
    times = [at for _, *times in stints for at in times]
    assert times == sorted(times)
    assert before - 1 < times[0] < times[-1] < time.time() + 1


def test_a_trial_that_lasts_is_told_while_it_is_at_work(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlpsweep.search.ledger.SHOWN_AFTER_S", 0.2)
    claim = take(ledger)
    ledger.propose(claim, PARAMS)
    time.sleep(0.25)
    ledger.report(claim, 1, 0.25)
    ledger.report(claim, 2, 0.5)
    (trial,) = shown(ledger)
    assert (trial.state, trial.intermediate_values) == (TrialState.RUNNING, {1: 0.25, 2: 0.5})


def test_trials_that_have_no_row_are_shown_and_get_one_at_the_next_claim(ledger: Ledger) -> None:
    study = optuna.load_study(study_name=ledger.name, storage=ledger.database.storage)
    ledger.tell(take(ledger), COMPLETE, 0.5, {})
    kinds = {name: ledger.view.kinds[name] for name in PARAMS}
    study.add_trial(create_trial(params=PARAMS, distributions=kinds, value=0.9, intermediate_values={1: 0.8}))
    study.enqueue_trial({"learning_rate": 0.123})
    study.ask({})  # takes what was enqueued: somebody's own work, of which nothing is known yet
    study.enqueue_trial({"learning_rate": 0.124})
    before = ledger.trials()
    assert [(t.number, t.state.name) for t in before] == [(0, "COMPLETE"), (1, "COMPLETE"), (2, "WAITING")]
    claim = take(other(ledger), target=4)
    assert claim.number == 2
    assert ledger.trial(claim).system_attrs == {"fixed_params": {"learning_rate": 0.124}}
    assert ledger.values_at(1) == {1: 0.8}


def test_a_worker_reads_no_trial_of_optuna_that_shows_anothers_slot(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, workers = take(ledger, target=40), other(ledger)
    for _ in range(3):
        theirs = take(workers, target=40)
        workers.propose(theirs, PARAMS)
        workers.tell(theirs, COMPLETE, 0.5, {})
    read, get = list[FrozenTrial](), ledger.database.storage.get_trial
    monkeypatch.setattr(ledger.view, "trials", None)
    monkeypatch.setattr(ledger.database.storage, "get_trial", lambda one: read.append(get(one)) or read[-1])
    ledger.propose(claim, PARAMS)
    ledger.tell(claim, COMPLETE, 0.5, {})
    take(ledger, target=40)
    assert len(ledger.trials()) == 5
    assert {trial.user_attrs[SLOT] for trial in read} == {claim.number}


@pytest.mark.parametrize("n_trials", [2, 30])
def test_trials_that_have_no_row_are_found_be_they_few_or_many(ledger: Ledger, n_trials: int) -> None:
    ledger.propose(take(ledger, target=40), PARAMS)
    study = optuna.load_study(study_name=ledger.name, storage=ledger.database.storage)
    for _ in range(n_trials):
        study.enqueue_trial({"learning_rate": 0.123})
    assert len(ledger.trials()) == n_trials + 1


def test_a_claim_reads_no_row_of_a_living_worker_elsewhere(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = [f"{n} elsewhere other pid:[1] 7 7" for n in range(50)]
    claims = [take(ledger, worker, 99) for worker in workers]
    read, rows = list[int](), Leases.rows

    def counting(leases: Leases, *wheres: Any) -> list[Row]:
        found = rows(leases, *wheres)
        read.extend(row.slot for row in found)
        return found

    monkeypatch.setattr(Leases, "rows", counting)
    mine = take(ledger, target=99)
    assert (mine.number, mine.is_new, set(read) - {mine.number}) == (50, True, set())
    again = take(ledger, workers[7], target=99)
    assert (again.number, again.is_new) == (claims[7].number, False)


@pytest.mark.parametrize("many", [0, 1000], ids=["read whole", "asked one by one"])
def test_who_has_read_ended_trials_sees_what_a_newcomer_sees(
    ledger: Ledger, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlpsweep.search.ledger.MANY", many)
    reader, rng, steps = other(ledger), np.random.default_rng(0), Ladder((1,), 1.0, 1)
    optunas = optuna.load_study(study_name=ledger.name, storage=ledger.database.storage)
    ends: list[Callable[[Claim], object]] = [
        lambda claim: ledger.tell(claim, COMPLETE, float(rng.random()), {"run_key": "k"}),
        lambda claim: ledger.tell(claim, FAILED, None, {"reason": "r"}),
        lambda claim: ledger.refuse(claim, PARAMS, 0.5),
        ledger.pause,
        ledger.release,
        lambda claim: optunas.enqueue_trial({"learning_rate": 0.123}),  # and the worker dies
    ]
    for _ in range(25):
        claim = ledger.claim(an_owner(uuid.uuid4().hex, lives=False), 99, None, steps)
        assert isinstance(claim, Claim)
        ledger.propose(claim, PARAMS)
        ledger.report(claim, 1 + claim.retries, float(rng.random()))
        ends[int(rng.integers(len(ends)))](claim)
        assert reader.trials() == other(ledger).trials()


def test_a_trial_that_has_ended_is_read_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, at_work = take(ledger), take(ledger)
    ledger.tell(ended, COMPLETE, 0.5, {})
    before, rows, read = ledger.trials(), Leases.rows, list[int]()

    def counting(leases: Leases, *wheres: Any) -> list[Row]:
        found = rows(leases, *wheres)
        read.extend(row.slot for row in found)
        return found

    monkeypatch.setattr(Leases, "rows", counting)
    assert ledger.trials() == before
    assert read == [at_work.number]


def test_a_copied_study_keeps_its_slots(ledger: Ledger) -> None:
    for value in (0.5, 0.6):
        claim = take(ledger)
        ledger.propose(claim, PARAMS)
        ledger.tell(claim, COMPLETE, value, {})
    storage = ledger.database.storage
    optuna.copy_study(from_study_name=ledger.name, from_storage=storage, to_storage=storage, to_study_name="copy")
    copied = Ledger(ledger.database, "copy", kinds=ledger.view.kinds)
    assert [(trial.number, trial.value) for trial in copied.trials()] == [(0, 0.5), (1, 0.6)]


@pytest.mark.slow
def test_a_claim_takes_no_longer_with_five_thousand_slots(ledger: Ledger) -> None:
    def seconds() -> float:
        start = time.perf_counter()
        ledger.release(take(ledger, target=10_000))
        return time.perf_counter() - start

    rows = [Row(slot, COMPLETE, token=1, value=0.5, params=PARAMS) for slot in range(1, 5001)]

    def filled(leases: Any) -> None:
        for row in rows:
            leases.insert(row)

    few = min(seconds() for _ in range(5))
    ledger.claims.run(filled)
    assert min(seconds() for _ in range(5)) < 2 * few + 0.05


def paused(ledger: Ledger, values: dict[int, float], rung: int = 1) -> None:
    """Slots that wait at a rung with their values."""

    def filled(leases: Any) -> None:
        for slot, value in values.items():
            leases.insert(Row(slot, PAUSED, token=0, rung=rung))
            leases.report(slot, {rung: value})

    ledger.claims.run(filled)


def test_of_eight_who_ask_for_one_promotable_trial_one_gets_it(ledger: Ledger) -> None:
    paused(ledger, {0: 0.5, 1: 0.9, 2: 0.7})
    ladder, got = Ladder((1, 5), 1.0, 0), list[Claim | Standing]()
    start = threading.Barrier(8)

    def claim(mine: Ledger) -> None:
        start.wait()
        got.append(mine.claim(an_owner(uuid.uuid4().hex), 3, ladder=ladder))

    threads = [threading.Thread(target=claim, args=(other(ledger),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (claim_,) = [one for one in got if isinstance(one, Claim)]
    assert (claim_.number, claim_.rung) == (1, 5)


def test_the_highest_rung_goes_first_then_a_new_trial_then_the_best_that_is_needed(ledger: Ledger) -> None:
    paused(ledger, {0: 0.5, 1: 0.6, 2: 0.7})
    paused(ledger, {3: 0.1, 4: 0.2, 5: 0.3}, rung=5)
    ladder = Ladder((1, 5), 1.0, 4)
    claims = [ledger.claim(an_owner(uuid.uuid4().hex), 7, ladder=ladder) for _ in range(6)]
    assert [(c.number, c.rung) for c in claims if isinstance(c, Claim)] == [(5, None), (2, 5), (6, 1), (4, None)]
    assert claims[-1] == Standing(3, 4)


def test_a_low_metric_promotes_the_lowest(ledger: Ledger) -> None:
    paused(ledger, {0: 0.5, 1: 0.9, 2: 0.7})
    claim = ledger.claim(an_owner("a"), 3, ladder=Ladder((1, 5), -1.0, 0))
    assert isinstance(claim, Claim)
    assert claim.number == 0


def test_a_promoted_trial_whose_worker_died_goes_on_to_the_same_rung(ledger: Ledger) -> None:
    paused(ledger, {0: 0.5, 1: 0.9, 2: 0.7})
    ladder = Ladder((1, 5), 1.0, 0)
    ledger.claim(an_owner("a", lives=False), 3, ladder=ladder)
    claim = ledger.claim(an_owner("b"), 3, ladder=ladder)
    assert isinstance(claim, Claim)
    assert (claim.number, claim.rung, claim.retries) == (1, 5, 1)


def test_a_paused_trial_waits_in_optuna_and_keeps_its_values(ledger: Ledger) -> None:
    claim = ledger.claim(an_owner("a"), 1, ladder=Ladder((1, 5), 1.0, 0))
    assert isinstance(claim, Claim)
    ledger.propose(claim, PARAMS)
    ledger.report(claim, 1, 0.5)
    ledger.pause(claim)
    (trial,) = shown(ledger)
    assert (trial.state, trial.intermediate_values) == (TrialState.WAITING, {1: 0.5})
    assert is_paused(ledger.trials()[0])
    assert ledger.claim(an_owner("b"), 1) == Standing(1, 0)
