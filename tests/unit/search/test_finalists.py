"""Finalists: which configurations, on which seeds, trained once whoever does it, and never lost."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlpsweep.errors import DivergenceError
from mlpsweep.search import winner
from mlpsweep.search.finalists import FinalistHands, finalists, repeats, scores_of, train_finalists
from mlpsweep.search.settings import WinnerSettings
from mlpsweep.search.study import Study
from mlpsweep.search.worker import work
from mlpsweep.settings import TrainSettings
from tests.search_lab import Book, Page, fake_run_key, make_hands, make_trainer, new_study, search_settings

N_ROWS = 200
WINNER = WinnerSettings(top_k=2, n_seeds=3)


class FinalistBook(Book):
    def open_finalist(self, trial: int, place: int, run_key: str, settings: TrainSettings, folder: Path) -> Page:
        run = self.runs.setdefault(run_key, {"trial": trial, "place": place, "epochs": [], "settings": settings})
        run |= {"status": "RUNNING"}
        return Page(run)


class Bench:
    """Hands that count trainings, and score rows such that their mean is the training's accuracy."""

    def __init__(self, **options: Any) -> None:
        self.started: list[TrainSettings] = []
        self.book, self.notices = FinalistBook(), list[str]()
        self._train = make_trainer(self.started.append, **options)

    def train_one(self, settings: TrainSettings, **hooks: Any) -> Any:
        result = self._train(settings, **hooks)
        result.model.n_right = round(N_ROWS * result.objective("validation/accuracy"))
        return result

    @staticmethod
    def score(model: Any) -> Any:
        return (np.arange(N_ROWS) < model.n_right).astype(np.float32)

    def hands(self) -> FinalistHands:
        return FinalistHands(self.train_one, self.score, self.book, fake_run_key, self.notices.append)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Six complete trials, the scores of each kept as the door keeps them."""
    study, bench = new_study(tmp_path), Bench()

    def train_one(settings: TrainSettings, **hooks: Any) -> Any:
        result = bench.train_one(settings, **hooks)
        scores_of(study).save(fake_run_key(settings), bench.score(result.model))
        return result

    work(study, search_settings(n_trials=6), make_hands(train_one))
    return study


def test_only_further_seeds_are_trained_and_each_once(study: Study) -> None:
    bench = Bench()
    assert train_finalists(study, WINNER, bench.hands()) is None
    best = [trial.number for trial in study.complete()[:2]]
    assert [(run["trial"], run["place"]) for run in bench.book.runs.values()] == [(n, k) for n in best for k in (1, 2)]
    assert len({settings.seed for settings in bench.started}) == 4
    assert {run["status"] for run in bench.book.runs.values()} == {"complete"}
    again = Bench()
    train_finalists(study, WINNER, again.hands())
    assert again.started == []


def test_more_seeds_keep_the_earlier_ones(study: Study) -> None:
    train_finalists(study, WINNER, Bench().hands())
    bench = Bench()
    train_finalists(study, WinnerSettings(top_k=2, n_seeds=4), bench.hands())
    assert len(bench.started) == 2


def test_the_trials_own_value_is_the_first(study: Study) -> None:
    train_finalists(study, WINNER, Bench().hands())
    for one in finalists(study, WINNER, fake_run_key):
        assert one.values[0] == pytest.approx(one.trial.value, abs=0.5 / N_ROWS)
        assert len(one.values) == 3


def test_a_trial_without_scores_is_trained_once_more(study: Study) -> None:
    for file in scores_of(study).folder.glob("*.npz"):
        file.write_bytes(b"damaged")
    bench = Bench()
    train_finalists(study, WINNER, bench.hands())
    assert len(bench.started) == 6


def test_until_all_are_trained_there_is_no_comparison(study: Study) -> None:
    assert finalists(study, WINNER, fake_run_key) == []
    assert winner.winning_trial(study, []) == study.complete()[0]


def test_a_diverging_seed_rules_a_configuration_out(study: Study) -> None:
    first, second = repeats(study, WINNER, fake_run_key).values()
    bench = Bench()

    def train_one(settings: TrainSettings, **hooks: Any) -> Any:
        if settings == first[2].settings:
            raise DivergenceError(1, 1, settings.learning_rate, float("nan"))
        return bench.train_one(settings, **hooks)

    hands = FinalistHands(train_one, bench.score, bench.book, fake_run_key)
    train_finalists(study, WINNER, hands)
    assert bench.book.runs[first[2].run_key]["status"] == "failed"
    assert [one.trial.number for one in finalists(study, WINNER, fake_run_key)] == [second[0].trial]


def test_the_recipe_and_the_summary_name_values_ties_and_winner(study: Study) -> None:
    train_finalists(study, WINNER, Bench().hands())
    compared = finalists(study, WINNER, fake_run_key)
    told, text = winner.summary(study, compared), winner.recipe(study, {}, compared)
    assert told["tied"] == [one["trial"] for one in told["finalists"] if one["is_tied"]]
    (won,) = [one for one in told["finalists"] if one["is_winner"]]
    assert told["winner"]["trial"] == won["trial"]
    assert won["n_parameters"] == min(one["n_parameters"] for one in told["finalists"] if one["is_tied"])
    assert text.count("# finalist: trial") == 2
    assert f"mean {won['mean']:.5f}, tied, winner" in text


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
        assert train_finalists(study, WINNER, bench.hands()) == signal.SIGTERM
    assert finalists(study, WINNER, fake_run_key) == []
    assert train_finalists(study, WINNER, bench.hands()) is None
    assert {len(run["epochs"]) for run in bench.book.runs.values()} == {3}
    assert {run["status"] for run in bench.book.runs.values()} == {"complete"}
    stopped = [one.values for one in finalists(study, WINNER, fake_run_key)]
    for one in repeats(study, WINNER, fake_run_key).values():
        for repeat in one[1:]:
            (scores_of(study).folder / f"{repeat.run_key}.npz").unlink()
    train_finalists(study, WINNER, Bench().hands())
    assert [one.values for one in finalists(study, WINNER, fake_run_key)] == stopped


def test_a_training_that_another_worker_has_is_left_to_it(study: Study) -> None:
    """Two processes share the work: none is done twice, and both wait for the last."""
    mine = Bench(epoch_s=0.05)
    child = os.fork()
    if child == 0:
        theirs = Bench(epoch_s=0.05)
        train_finalists(study, WinnerSettings(top_k=3, n_seeds=4), theirs.hands())
        os._exit(len(theirs.started))
    train_finalists(study, WinnerSettings(top_k=3, n_seeds=4), mine.hands())
    assert len(finalists(study, WinnerSettings(top_k=3, n_seeds=4), fake_run_key)) == 3
    n_theirs = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert len(mine.started) + n_theirs == 9
    assert n_theirs > 0
