"""The live view: a table on a terminal, lines in a pipe, both read from the study."""

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from mlpsweep.search import live
from mlpsweep.search.live import Board, look, table, watch
from mlpsweep.search.services import ReusableResult
from mlpsweep.search.study import Study
from mlpsweep.search.worker import work
from mlpsweep.settings import TrainSettings
from tests.search_lab import an_owner, make_plan, make_services, make_trainer, new_study, search_settings


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return new_study(tmp_path)


def shown(study: Study, board: Board) -> str:
    return table(study, board).to_text(100)


def test_the_board_tells_what_the_study_holds(study: Study) -> None:
    work(study, search_settings(n_trials=3), make_services())
    board = look(study, 5)
    best = study.complete()[0]
    assert [row.state for row in board.rows] == ["complete"] * 3
    assert (board.n_counted, board.target) == (3, 5)
    assert board.best is not None
    value = f"{100 * best.value:.2f} %"
    assert (board.best.number, board.best.value, board.best.epoch) == (best.number, value, 3)
    assert board.headline(60.0) == f"3 of 5 trials, best {value} (trial {best.number}), about 1 min 00 s left"


def test_an_empty_study_has_an_empty_board(study: Study) -> None:
    assert look(study, 5).headline(None) == "0 of 5 trials, nothing complete yet"


def test_a_look_reads_the_study_once(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    study.ledger.claim(an_owner("a"), 5)
    read, trials = [], study.ledger.trials
    monkeypatch.setattr(study.ledger, "trials", lambda: read.append(1) or trials())
    look(study, 5)
    assert len(read) == 1


def test_a_look_that_takes_long_is_taken_less_often(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, first = list[float](), look

    def slow(one: Study, target: int) -> Board:
        looks.append(time.monotonic())
        time.sleep(0.05)
        return first(one, target)

    monkeypatch.setattr("mlpsweep.search.live.PERIOD_S", 0.0)
    monkeypatch.setattr("mlpsweep.search.live.look", slow)
    with watch(study, 5, Console(file=io.StringIO())):
        time.sleep(0.8)
    assert len(looks) <= 4  # one before, and one at the end


def test_a_trial_under_way_shows_its_last_epoch(study: Study) -> None:
    claim = study.ledger.claim(an_owner("a"), 1)
    study.ledger.report(claim, 1, 0.25)  # type: ignore[arg-type]
    study.ledger.report(claim, 2, 0.5)  # type: ignore[arg-type]
    (row,) = look(study, 1).rows
    assert (row.state, row.epoch, row.value, row.settings) == ("running", 2, "50.00 %", ())


def test_the_table_names_trial_state_epoch_value_and_settings(study: Study) -> None:
    work(study, search_settings(n_trials=2), make_services())
    text = shown(study, look(study, 4))
    for part in ("trial", "state", "epoch", "accuracy", "complete", "3/3", "sigmoid", "[500,250,100]"):
        assert part in text
    assert "* the best" in text


def test_a_trial_that_was_reused_says_so(study: Study) -> None:
    facts = {"validation/loss": 0.5, "weights_hash": "a" * 64, "epoch_of_weights": 3}
    known = ReusableResult("run 0123", 0.9, facts, {1: 0.5, 2: 0.7, 3: 0.9})
    work(study, search_settings(n_trials=1), make_services(find=lambda key: known))
    assert [row.state for row in look(study, 1).rows] == ["reused"]


def test_a_long_study_keeps_the_best_in_sight(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "N_FINISHED", 2)
    monkeypatch.setattr("tests.search_lab.accuracy", lambda settings, epoch: 0.9 if settings.l2_lambda == 0 else 0.1)
    work(study, search_settings(n_trials=6), make_services())
    text = shown(study, look(study, 6))
    assert [line.split("complete")[0].strip(" *") for line in text.splitlines() if "complete" in line] == [
        "0",
        "4",
        "5",
    ]


def test_piped_it_is_a_line_for_each_trial_that_ends(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PERIOD_S", 0.05)
    work(study, search_settings(n_trials=1), make_services())
    text = io.StringIO()

    def slow(settings: TrainSettings) -> None:
        time.sleep(0.2)

    with watch(study, 3, Console(file=text, width=40)):
        work(study, search_settings(n_trials=3), make_services(make_trainer(slow)))
    lines = text.getvalue().splitlines()
    assert [line.split(":")[0] for line in lines if line.startswith("trial")] == [
        "trial 1 complete after epoch 3/3",
        "trial 2 complete after epoch 3/3",
    ]
    assert lines[-1].startswith("3 of 3 trials, best ")
    assert "\x1b" not in text.getvalue()


def test_a_trial_that_paused_at_its_first_look_did_so_in_epoch_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PERIOD_S", 0.05)
    study, text = new_study(tmp_path, make_plan(n_epochs=8, averaging=0.99, n_updates=1000)), io.StringIO()
    with watch(study, 2, Console(file=text, width=40)):
        work(study, search_settings(n_trials=2, pruner="promote"), make_services(), n_complete=0)
    told = [line.partition(":")[0] for line in text.getvalue().splitlines() if line.startswith("trial")]
    assert told == ["trial 0 paused in epoch 1", "trial 1 paused in epoch 1"]


def test_on_a_terminal_it_is_one_table_that_renews_itself(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PERIOD_S", 0.05)
    text = io.StringIO()
    with watch(study, 2, Console(file=text, width=160, force_terminal=True)):
        work(study, search_settings(n_trials=2), make_services())
    assert "\x1b" in text.getvalue()
    assert "2 of 2 trials" in text.getvalue()
