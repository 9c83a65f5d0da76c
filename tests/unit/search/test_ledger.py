"""The ledger: who may train what, decided in one transaction."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from mlpsweep.errors import StorageError
from mlpsweep.search.ledger import Claim, Ledger, LostClaimError, Standing, open_storage
from tests.search_lab import new_study


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return new_study(tmp_path).ledger


def only(*living: str) -> Callable[[str | None], bool]:
    return lambda owner: owner in living


def take(ledger: Ledger, owner: str = "a", target: int = 3, living: tuple[str, ...] = ("a", "b")) -> Claim:
    claim = ledger.claim(owner, target, None, only(*living))
    assert isinstance(claim, Claim)
    return claim


def test_slots_are_given_out_up_to_the_target(ledger: Ledger) -> None:
    assert [take(ledger).number for _ in range(3)] == [0, 1, 2]
    assert ledger.claim("a", 3, None, only("a")) == Standing(n_counted=0, n_running=3)


@pytest.mark.parametrize(
    "state", [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL], ids=lambda state: state.name
)
def test_every_end_counts_towards_the_target(ledger: Ledger, state: TrialState) -> None:
    ledger.tell(take(ledger, target=1), state, 0.5, {})
    assert ledger.claim("a", 1, None, only("a")) == Standing(n_counted=1, n_running=0)


def test_a_refused_proposal_gives_its_slot_back(ledger: Ledger) -> None:
    ledger.refuse(take(ledger, target=1), {}, {}, excess=0.5)
    assert take(ledger, target=1).number == 1


def test_a_raised_target_is_the_difference(ledger: Ledger) -> None:
    ledger.tell(take(ledger, target=1), TrialState.COMPLETE, 0.5, {})
    assert take(ledger, target=2).number == 1


def test_a_limit_ends_the_slots_before_the_target(ledger: Ledger) -> None:
    take(ledger)
    assert ledger.claim("a", 3, 1, only("a")) == Standing(n_counted=0, n_running=1)


def test_a_dead_workers_trial_is_adopted_before_a_new_one_is_made(ledger: Ledger) -> None:
    first = take(ledger, "dead", living=("dead",))
    assert take(ledger, "a") == Claim(first.trial_id, 0, "a", retries=1)
    assert take(ledger, "b").number == 1


def test_each_death_is_a_retry(ledger: Ledger) -> None:
    for n in range(3):
        assert take(ledger, f"dead {n}", living=()).retries == n


def test_an_interrupted_trial_waits_and_is_no_retry(ledger: Ledger) -> None:
    ledger.release(take(ledger))
    assert [trial.state for trial in ledger.trials()] == [TrialState.WAITING]
    claim = take(ledger)
    assert (claim.number, claim.retries) == (0, 0)
    assert [trial.state for trial in ledger.trials()] == [TrialState.RUNNING]


def test_trials_at_work_whose_worker_is_gone_are_deserted(ledger: Ledger) -> None:
    ledger.tell(take(ledger, "dead"), TrialState.COMPLETE, 0.5, {})
    lost, kept = (take(ledger, owner, living=("a", "dead")) for owner in ("dead", "a"))
    assert ledger.deserted(only("a")) == [lost.number]
    assert ledger.deserted(only("a", "dead")) == []
    assert ledger.deserted(only()) == [lost.number, kept.number]
    ledger.release(kept)  # it waits, which is in order
    assert ledger.deserted(only()) == [lost.number]


def test_deserted_trials_are_left_waiting_once_and_each_has_lost_a_worker(ledger: Ledger) -> None:
    lost, kept = take(ledger, "dead"), take(ledger, "a", living=("a", "dead"))
    for _ in range(2):
        ledger.leave(only("a"))
        assert [trial.state for trial in ledger.trials()] == [TrialState.WAITING, TrialState.RUNNING]
    assert ledger.deserted(only("a")) == []
    with pytest.raises(LostClaimError, match="trial 0"):
        ledger.report(lost, 1, 0.5)
    ledger.report(kept, 1, 0.5)
    assert take(ledger, "b") == Claim(lost.trial_id, lost.number, "b", retries=1)


def test_a_dead_workers_trial_beyond_a_lowered_target_is_surplus(ledger: Ledger) -> None:
    ledger.tell(take(ledger), TrialState.COMPLETE, 0.5, {})
    take(ledger, "dead", living=("dead",))
    claim = take(ledger, target=1)
    assert (claim.number, claim.is_surplus) == (1, True)
    ledger.release(claim)
    assert ledger.claim("a", 1, None, only("a")) == Standing(n_counted=1, n_running=0)


def test_an_adopted_trial_keeps_parameters_and_reports(ledger: Ledger) -> None:
    claim = take(ledger, "dead", living=("dead",))
    ledger.report(claim, 1, 0.25)
    ledger.report(claim, 2, 0.5)
    assert ledger.trial(take(ledger)).intermediate_values == {1: 0.25, 2: 0.5}


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


@pytest.mark.parametrize(
    "write",
    [
        lambda ledger, claim: ledger.report(claim, 1, 0.5),
        lambda ledger, claim: ledger.tell(claim, TrialState.COMPLETE, 0.5, {}),
        lambda ledger, claim: ledger.propose(claim, {}, {}),
        lambda ledger, claim: ledger.release(claim),
    ],
    ids=["report", "tell", "propose", "release"],
)
def test_a_worker_taken_for_dead_cannot_write_any_more(ledger: Ledger, write: Callable[[Ledger, Claim], None]) -> None:
    lost = take(ledger, "a", living=())
    take(ledger, "b", living=())
    before = ledger.trials()
    with pytest.raises(LostClaimError, match="trial 0"):
        write(ledger, lost)
    assert ledger.trials() == before


def test_a_trial_cannot_end_twice(ledger: Ledger) -> None:
    claim = take(ledger)
    ledger.tell(claim, TrialState.COMPLETE, 0.5, {})
    with pytest.raises(LostClaimError):
        ledger.tell(claim, TrialState.FAIL, None, {})


def test_from_its_first_look_a_claim_keeps_all_other_writers_out(ledger: Ledger) -> None:
    hasty = RDBStorage(ledger.storage.url, engine_kwargs={"connect_args": {"timeout": 0.05}})
    with ledger._transaction(), pytest.raises(StorageError, match="database is locked"):
        take(Ledger(hasty, ledger.name))
    assert take(Ledger(hasty, ledger.name)).number == 0


def test_the_journal_is_the_rollback_kind(tmp_path: Path) -> None:
    new_study(tmp_path)
    with sqlite3.connect(tmp_path / "mlruns/optuna.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"not a database at all" * 100, "file is not a database"),
        (lambda data: data[: len(data) // 2], "malformed|damaged"),
        (lambda data: data[:4096] + bytes(8192) + data[12288:], "malformed|damaged"),
    ],
    ids=["text", "half", "zeroed pages"],
)
def test_a_damaged_database_is_refused_and_left_as_it_is(
    tmp_path: Path, damage: Callable[[bytes], bytes], message: str
) -> None:
    new_study(tmp_path)
    file = tmp_path / "mlruns/optuna.db"
    file.write_bytes(damage(file.read_bytes()))
    before = file.read_bytes()
    with pytest.raises(StorageError, match=rf"optuna.db: .*({message})"):
        new_study(tmp_path)
    assert file.read_bytes() == before


def test_a_database_in_a_place_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StorageError, match="folder.db: unable to open database file"):
        open_storage(f"sqlite:///{tmp_path / 'folder.db'}", tmp_path / ".lock")


def test_another_optunas_database_is_refused(tmp_path: Path) -> None:
    new_study(tmp_path)
    with sqlite3.connect(tmp_path / "mlruns/optuna.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    with pytest.raises(StorageError, match="made by another Optuna"):
        new_study(tmp_path)
