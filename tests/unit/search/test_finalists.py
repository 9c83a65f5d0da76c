"""Finalists: which configurations, on which seeds, trained once whoever does it, and never lost."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlpsweep.errors import DivergenceError
from mlpsweep.search import winner
from mlpsweep.search.claims import Claim, Claims
from mlpsweep.search.finalists import SLOT_DIGITS, finalists, repeats, train_finalists
from mlpsweep.search.interrupt import Interrupt
from mlpsweep.search.leases import SCORE
from mlpsweep.search.recipe import winner_recipe
from mlpsweep.search.services import Services
from mlpsweep.search.settings import WinnerSettings
from mlpsweep.search.study import Plan, Study
from mlpsweep.search.worker import work
from mlpsweep.settings import TrainSettings
from tests.search_lab import (
    N_ROWS,
    Book,
    Page,
    an_owner,
    fake_run_key,
    make_services,
    make_trainer,
    new_study,
    search_settings,
)

WINNER = WinnerSettings(top_k=2, n_seeds=3)


class Bench:
    """Services that count trainings and keep records and notices."""

    def __init__(self, **options: Any) -> None:
        self.started: list[TrainSettings] = []
        self.book, self.notices = Book(), list[str]()
        self.train = make_trainer(self.started.append, **options)

    def services(self, train: Callable[..., Any] | None = None) -> Services:
        return make_services(train or self.train, self.book, notice=self.notices.append)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Six complete trials; the worker has kept the scores of each."""
    study = new_study(tmp_path)
    work(study, search_settings(n_trials=6), make_services())
    return study


def test_only_further_seeds_are_trained_and_each_once(study: Study) -> None:
    bench = Bench()
    assert train_finalists(study, WINNER, bench.services()) is None
    best = [trial.number for trial in study.complete()[:2]]
    assert [(run["trial"], run["place"]) for run in bench.book.runs.values()] == [(n, k) for n in best for k in (1, 2)]
    assert len({settings.seed for settings in bench.started}) == 4
    assert {run["status"] for run in bench.book.runs.values()} == {"complete"}
    again = Bench()
    train_finalists(study, WINNER, again.services())
    assert again.started == []


def test_more_seeds_keep_the_earlier_ones(study: Study) -> None:
    train_finalists(study, WINNER, Bench().services())
    bench = Bench()
    train_finalists(study, WinnerSettings(top_k=2, n_seeds=4), bench.services())
    assert len(bench.started) == 2


def test_the_trials_own_value_is_the_first(study: Study) -> None:
    train_finalists(study, WINNER, Bench().services())
    values = {trial.number: trial.value for trial in study.complete()}
    for one in finalists(study, WINNER, fake_run_key):
        assert one.values[0] == pytest.approx(values[one.number], abs=0.5 / N_ROWS)
        assert len(one.values) == 3


def test_a_trial_without_scores_is_trained_once_more(study: Study) -> None:
    study.ledger.database.run(lambda connection: connection.execute(SCORE.update().values(scores=b"damaged")))
    bench = Bench()
    train_finalists(study, WINNER, bench.services())
    assert len(bench.started) == 6


def test_until_all_are_trained_there_is_no_comparison(study: Study) -> None:
    assert finalists(study, WINNER, fake_run_key) == []
    assert winner.winning_trial(study, []) == study.complete()[0]


def test_settings_are_made_of_no_more_trials_than_become_finalists(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, make = list[dict[str, Any]](), Plan.trial_settings
    monkeypatch.setattr(Plan, "trial_settings", lambda plan, params: made.append(params) or make(plan, params))
    assert len(repeats(study, WINNER, fake_run_key)) == len(made) == WINNER.top_k


def test_a_diverging_seed_rules_a_configuration_out(study: Study) -> None:
    first, second = repeats(study, WINNER, fake_run_key).values()
    bench = Bench()

    def train(settings: TrainSettings, **hooks: Any) -> Any:
        if settings == first[2].settings:
            raise DivergenceError(1, 1, settings.learning_rate, float("nan"))
        return bench.train(settings, **hooks)

    train_finalists(study, WINNER, bench.services(train))
    assert bench.book.runs[first[2].run_key]["status"] == "failed"
    assert [one.number for one in finalists(study, WINNER, fake_run_key)] == [second[0].trial]


def test_the_recipe_and_the_summary_name_values_ties_and_winner(study: Study) -> None:
    train_finalists(study, WINNER, Bench().services())
    compared = finalists(study, WINNER, fake_run_key)
    told, text = winner.summary(study, compared), winner_recipe(study, {}, compared)
    assert told["tied"] == [one["trial"] for one in told["finalists"] if one["is_tied"]]
    (won,) = [one for one in told["finalists"] if one["is_winner"]]
    assert told["winner"]["trial"] == won["trial"]
    assert won["n_parameters"] == min(one["n_parameters"] for one in told["finalists"] if one["is_tied"])
    assert text.count("# finalist: trial") == 2
    assert f"mean {won['mean']:.5f}, tied, winner" in text


def test_records_of_a_training_that_is_done_stay_its_workers_and_of_an_interrupted_one_go_to_the_next(
    study: Study,
) -> None:
    bench, kept = Bench(), list[Callable[[], bool]]()

    def opened(*words: Any) -> Page:
        kept.append(words[-1])
        return bench.book.open_finalist(*words)

    def taken_by_another() -> None:
        for found in repeats(study, WINNER, fake_run_key).values():
            for one in found:
                study.ledger.finalists.take(int(one.run_key[:SLOT_DIGITS], 16), an_owner("another"))

    services = make_services(bench.train, bench.book, open_finalist=opened)
    with signalled_after(bench, 1):
        assert train_finalists(study, WINNER, services) == signal.SIGTERM
    (interrupted,) = kept
    assert interrupted()
    train_finalists(study, WINNER, services)
    assert [is_ours() for is_ours in kept] == [False, *[True] * 4]
    taken_by_another()
    assert [is_ours() for is_ours in kept] == [False, *[True] * 4]


@contextlib.contextmanager
def signalled_after(bench: Bench, n_epochs: int) -> Iterator[None]:
    """Send this process SIGTERM when ``n_epochs`` epochs have been logged in all."""
    n_logged = 0
    log = Page.log_epoch

    def counted(page: Page, record: Any) -> None:
        nonlocal n_logged
        log(page, record)
        n_logged += 1
        if n_logged == n_epochs:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Page, "log_epoch", counted)
        yield


@pytest.mark.parametrize("n_epochs", [1, 3, 5])
def test_a_signal_leaves_a_training_that_goes_on(study: Study, n_epochs: int) -> None:
    bench = Bench()
    with signalled_after(bench, n_epochs):
        assert train_finalists(study, WINNER, bench.services()) == signal.SIGTERM
    *done, stopped = (run["status"] for run in bench.book.runs.values())
    assert (set(done) <= {"complete"}, stopped) == (True, "interrupted")
    assert finalists(study, WINNER, fake_run_key) == []
    assert train_finalists(study, WINNER, bench.services()) is None
    assert {len(run["epochs"]) for run in bench.book.runs.values()} == {3}
    assert {run["status"] for run in bench.book.runs.values()} == {"complete"}
    values = [one.values for one in finalists(study, WINNER, fake_run_key)]
    keys = [repeat.run_key for one in repeats(study, WINNER, fake_run_key).values() for repeat in one[1:]]
    study.ledger.database.run(lambda connection: connection.execute(SCORE.delete().where(SCORE.c.run_key.in_(keys))))
    train_finalists(study, WINNER, Bench().services())
    assert [one.values for one in finalists(study, WINNER, fake_run_key)] == values


def test_who_finds_every_training_taken_waits_before_it_asks_again(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims, bench, n_asked, waits, take = study.ledger.finalists, Bench(), 0, list[float](), Claims.take
    missing = [one for found in repeats(study, WINNER, fake_run_key).values() for one in found[1:]]
    taken = [claims.take(int(one.run_key[:SLOT_DIGITS], 16), an_owner("another")) for one in missing]

    def counted(self: Claims, slot: int, owner: str) -> Claim | None:
        nonlocal n_asked
        n_asked += 1
        assert n_asked <= 3 * len(missing), "it asks without a pause"
        return take(self, slot, owner)

    def wait(self: Interrupt, seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            for claim in taken:
                claims.put_down(claim)

    monkeypatch.setattr(Claims, "take", counted)
    monkeypatch.setattr(Interrupt, "wait", wait)
    assert train_finalists(study, WINNER, bench.services()) is None
    assert (len(waits), n_asked, len(bench.started)) == (2, 3 * len(missing), len(missing))


def test_a_training_that_another_worker_has_is_left_to_it(study: Study) -> None:
    """Two processes share the work: none is done twice, and both wait for the last."""
    mine = Bench(epoch_s=0.05)
    child = os.fork()
    if child == 0:
        theirs = Bench(epoch_s=0.05)
        train_finalists(study, WinnerSettings(top_k=3, n_seeds=4), theirs.services())
        os._exit(len(theirs.started))
    train_finalists(study, WinnerSettings(top_k=3, n_seeds=4), mine.services())
    assert len(finalists(study, WinnerSettings(top_k=3, n_seeds=4), fake_run_key)) == 3
    n_theirs = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert len(mine.started) + n_theirs == 9
    assert n_theirs > 0
