"""A worker: every end a trial can have, and what is recorded of it."""

import dataclasses
import math
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from mlpsweep.data.dataset import Dataset
from mlpsweep.errors import StorageError
from mlpsweep.search.claims import Claim
from mlpsweep.search.recipe import winner_recipe
from mlpsweep.search.scores import row_scores
from mlpsweep.search.services import ReusableResult
from mlpsweep.search.study import Plan, Study, open_study
from mlpsweep.search.winner import state_of
from mlpsweep.search.worker import SearchEnd, work
from mlpsweep.settings import TrainSettings
from mlpsweep.training.identity import run_key
from mlpsweep.training.run import run_training
from tests.search_lab import (
    Book,
    an_owner,
    fake_run_key,
    make_plan,
    make_record,
    make_services,
    make_space,
    make_trainer,
    new_study,
    outcome,
    rob,
    search_settings,
)

CHOICES = {"type": "categorical", "choices": ["sigmoid", "relu"]}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return new_study(tmp_path)


@pytest.fixture
def book() -> Book:
    return Book()


def number_of(study: Study) -> int:
    """Number of the trial under way."""
    (running,) = (trial.number for trial in study.trials() if trial.state == TrialState.RUNNING)
    return running


def optunas(study: Study) -> optuna.Study:
    return optuna.load_study(study_name=study.name, storage=study.ledger.database.url)


def test_what_somebody_enqueued_is_trained_and_the_rest_is_drawn(tmp_path: Path) -> None:
    study, drawn = new_study(tmp_path / "one"), new_study(tmp_path / "two")
    for one in (study, drawn):
        work(one, search_settings(n_trials=1), make_services())
    optunas(study).enqueue_trial({"learning_rate": 0.123, "hidden_sizes.depth": 3})
    for one in (study, drawn):
        work(one, search_settings(n_trials=2), make_services())
    mine, usual = (one.trials()[1].params for one in (study, drawn))
    assert (mine["learning_rate"], mine["hidden_sizes.depth"], len(mine)) == (0.123, 3, 7)
    assert {name: mine[name] for name in ("activation", "l2_lambda")} == {
        name: usual[name] for name in ("activation", "l2_lambda")
    }


def test_what_is_enqueued_outside_the_space_is_told(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    optunas(study).enqueue_trial({"learning_rate": 99.0})
    with pytest.raises(StorageError, match=r"trial 0 of .* has learning_rate = 99.0; expected"):
        new_study(tmp_path)


def test_a_trial_that_somebody_added_counts_and_is_ranked_without_the_tie_breaker(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    work(study, search_settings(n_trials=2), make_services())
    known = study.trials()[1]
    optunas(study).add_trial(
        optuna.trial.create_trial(params=known.params, distributions=known.distributions, value=0.99)
    )
    work(study, search_settings(n_trials=4), make_services())
    assert [trial.number for trial in study.counted()] == [0, 1, 2, 3]
    assert study.complete()[0].number == 2
    assert "# validation/accuracy 0.99000.\n" in winner_recipe(study, {})


def test_a_study_is_worked_to_its_target_and_no_further(study: Study, book: Book) -> None:
    assert work(study, search_settings(n_trials=3), make_services(book=book)) == SearchEnd(3)
    assert work(study, search_settings(n_trials=3), make_services(book=book)) == SearchEnd(3)
    assert [run["status"] for run in book.runs.values()] == ["complete"] * 3


def test_a_complete_trial_tells_all_that_a_winner_needs(study: Study, book: Book) -> None:
    work(study, search_settings(n_trials=1), make_services(book=book))
    (trial,) = study.counted()
    settings = study.plan.trial_settings(trial.params)
    expected = {"run_key": fake_run_key(settings), "seed": settings.seed, "epoch_of_weights": 3}
    assert trial.user_attrs.items() >= expected.items()
    assert trial.user_attrs.keys() >= {"weights_hash", "validation/loss"}
    value = {"validation/accuracy": trial.value}
    assert book.runs["0000"]["facts"].items() <= (trial.user_attrs | value).items()
    assert trial.value == trial.intermediate_values[3] == book.runs["0000"]["epochs"][-1].validation_accuracy


def test_the_trials_folder_holds_its_history_and_no_checkpoint(study: Study) -> None:
    work(study, search_settings(n_trials=1), make_services())
    files = sorted(path.name for path in study.trial_folder(0).rglob("*"))
    assert files == ["batches.csv", "history.csv"]
    assert (study.trial_folder(0) / "history.csv").read_text().count("\n") == 4


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("no such thing"), "ValueError: no such thing"),
        (MemoryError(), "MemoryError: "),
        (RecursionError("deep"), "RecursionError: deep"),
        (SystemExit(3), "SystemExit: 3"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_training_that_raises_is_a_failed_trial_with_a_reason(
    study: Study, book: Book, error: BaseException, reason: str
) -> None:
    def fail(settings: TrainSettings) -> None:
        if number_of(study) == 1:
            raise error

    assert work(study, search_settings(n_trials=3), make_services(make_trainer(fail), book)) == SearchEnd(3)
    assert [trial.state.name for trial in study.counted()] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert study.counted()[1].user_attrs["reason"] == book.runs["0001"]["reason"] == reason
    assert book.runs["0001"]["status"] == "failed"


def test_a_diverged_training_names_epoch_and_learning_rate(study: Study) -> None:
    work(study, search_settings(n_trials=8), make_services(make_trainer(diverge_above=0.03)))
    states = [trial.state.name for trial in study.counted()]
    assert set(states) == {"COMPLETE", "FAIL"}
    failed = study.counted()[states.index("FAIL")]
    assert "DivergenceError: training: the loss is nan at epoch 1" in failed.user_attrs["reason"]


def test_a_value_that_is_not_finite_fails_the_trial(study: Study) -> None:
    def blind(settings: TrainSettings, *, on_epoch: Any, checkpoints: Any) -> Any:
        on_epoch(dataclasses.replace(make_record(settings, 1), validation_accuracy=math.nan))

    work(study, search_settings(n_trials=1), make_services(blind))
    assert study.counted()[0].user_attrs["reason"].startswith("NoResultError: validation/accuracy is nan after epoch 1")


def test_a_pruned_trial_has_the_value_of_its_last_epoch(study: Study, book: Book) -> None:
    work(study, search_settings(n_trials=12, pruner="asha"), make_services(book=book))
    pruned = [trial for trial in study.counted() if trial.state == TrialState.PRUNED]
    assert pruned
    for trial in pruned:
        last = max(trial.intermediate_values)
        assert (trial.value, last) in {(trial.intermediate_values[last], rung) for rung in (1, 2)}
        assert trial.user_attrs["reason"] == f"stopped by asha after epoch {last}"
        assert (study.trial_folder(trial.number) / "history.csv").read_text().count("\n") == 1 + last
    assert book.runs[f"{pruned[0].number:04d}"]["status"] == "pruned"


def test_a_trial_over_its_time_fails_and_the_next_begins(study: Study) -> None:
    def hang(settings: TrainSettings) -> None:
        if number_of(study) == 0:
            time.sleep(60)

    start = time.monotonic()
    work(study, search_settings(n_trials=2, trial_timeout_s=1.0), make_services(make_trainer(hang)))
    assert time.monotonic() - start < 10
    assert [trial.state.name for trial in study.counted()] == ["FAIL", "COMPLETE"]
    assert study.counted()[0].user_attrs["reason"] == "timed out after 1 s"


def test_a_search_over_its_time_leaves_its_trial_and_goes_on_later(study: Study, book: Book) -> None:
    def hang(settings: TrainSettings) -> None:
        if number_of(study) == 1:
            time.sleep(60)

    ended = work(study, search_settings(n_trials=3, timeout_s=1.5), make_services(make_trainer(hang), book))
    assert ended == SearchEnd(1, timed_out=True)
    assert ended.remark(3) == "search.timeout_s is over after 1 trial; the same command goes on\n"
    assert [trial.state.name for trial in study.trials()] == ["COMPLETE", "WAITING"]
    assert book.runs["0001"]["status"] == "interrupted"
    assert work(study, search_settings(n_trials=3), make_services(book=book)) == SearchEnd(3)
    assert [run["status"] for run in book.runs.values()] == ["complete"] * 3
    assert "retries" not in study.counted()[1].user_attrs or study.counted()[1].user_attrs["retries"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_trial_with_its_checkpoint(study: Study, book: Book, number: signal.Signals) -> None:
    train_one = make_trainer()

    def interrupted(settings: TrainSettings, *, on_epoch: Any, checkpoints: Any) -> Any:
        def then_signal(record: Any) -> None:
            on_epoch(record)
            if number_of(study) == 1 and record.epoch == 2:
                signal.raise_signal(number)

        return train_one(settings, on_epoch=then_signal, checkpoints=checkpoints)

    handler = signal.getsignal(number)
    ended = work(study, search_settings(n_trials=3), make_services(interrupted, book))
    assert ended == SearchEnd(1, signal=number)
    assert signal.getsignal(number) is handler
    assert [trial.state.name for trial in study.trials()] == ["COMPLETE", "WAITING"]
    assert list((study.trial_folder(1) / "checkpoints").iterdir())
    work(study, search_settings(n_trials=3), make_services(book=book))
    assert [record.epoch for record in book.runs["0001"]["epochs"]] == [1, 2, 3]


def test_a_trial_whose_workers_keep_dying_fails_for_good(study: Study, book: Book) -> None:
    for owner in ("first", "second", "third"):
        study.ledger.claim(an_owner(owner, lives=False), 1)
    work(study, search_settings(n_trials=1, max_retries=2), make_services(book=book))
    assert study.counted()[0].user_attrs["reason"] == "its worker died 3 times (out of memory?)"
    assert study.counted()[0].state == TrialState.FAIL
    assert book.runs["0000"]["status"] == "failed"


def test_a_trial_may_outlive_as_many_workers_as_allowed(study: Study) -> None:
    for owner in ("first", "second"):
        study.ledger.claim(an_owner(owner, lives=False), 1)
    work(study, search_settings(n_trials=1, max_retries=2), make_services())
    assert study.counted()[0].state == TrialState.COMPLETE


def test_a_surplus_orphan_is_left_as_interrupted(study: Study, book: Book) -> None:
    work(study, search_settings(n_trials=1), make_services(book=book))
    study.ledger.claim(an_owner("dead", lives=False), 2)
    assert work(study, search_settings(n_trials=1), make_services(book=book)) == SearchEnd(1)
    assert [trial.state.name for trial in study.trials()] == ["COMPLETE", "WAITING"]
    assert book.runs["0001"]["status"] == "interrupted"


def test_a_lost_claim_drops_the_result_and_the_worker_goes_on(study: Study) -> None:
    thefts: list[int] = []

    def steal(settings: TrainSettings) -> None:
        if not thefts:
            thefts.append(1)
            rob(study.ledger, 0)

    book = Book()
    ended = work(study, search_settings(n_trials=2), make_services(make_trainer(steal), book))
    # The thief never lived, so its trial is adopted once more, and counted once.
    assert ended == SearchEnd(2)
    assert [run.get("left", 0) for run in book.runs.values()] == [1, 0]
    assert [trial.state.name for trial in study.counted()] == ["COMPLETE", "COMPLETE"]


def test_a_lost_claim_is_noticed_while_reported_epochs_are_trained_again(tmp_path: Path) -> None:
    study = new_study(tmp_path, make_plan(n_epochs=30), lease_s=0.1)
    claim = study.ledger.claim(an_owner("dead", lives=False), 1)
    assert isinstance(claim, Claim)
    study.ledger.propose(claim, study.plan.space.baseline() or {})
    for epoch in range(1, 31):  # what the dead worker reported; its checkpoints are out of reach
        study.ledger.report(
            claim,
            epoch,
            make_record(study.plan.trial_settings(study.plan.space.baseline() or {}), epoch).validation_accuracy,
        )
    trained: list[int] = []

    def steal(settings: TrainSettings) -> None:
        trained.append(1)
        if len(trained) == 1:
            rob(study.ledger, 0)

    book = Book()
    trainer = make_trainer(steal, epoch_s=0.02)
    work(study, search_settings(n_trials=1, lease_s=0.1), make_services(trainer, book))
    # Half a second of epochs; a renewal each fortieth of a second.
    assert book.runs["0000"]["left"] == 1
    assert study.counted()[0].state == TrialState.COMPLETE


def test_a_folder_that_cannot_be_written_is_a_storage_fault(study: Study) -> None:
    (study.folder / "trials").mkdir(parents=True)
    study.trial_folder(0).write_text("in the way")
    with pytest.raises(StorageError, match="0000/checkpoints: Not a directory; expected a folder that can be written"):
        work(study, search_settings(n_trials=1), make_services())


def test_an_equal_configuration_is_trained_once(tmp_path: Path) -> None:
    space = {
        "dimensions": {"activation": {"type": "categorical", "choices": ["sigmoid", "relu"]}},
        "max_parameters": None,
    }
    trained: list[str] = []
    study, book = new_study(tmp_path, make_plan(space, seed=1)), Book()
    services = make_services(make_trainer(lambda settings: trained.append(str(settings.activation))), book)
    for activation in ["sigmoid", "relu", "relu"] * 2:
        optunas(study).enqueue_trial({"activation": activation})
    work(study, search_settings(n_trials=6, sampler="random"), services)
    assert sorted(trained) == ["relu", "sigmoid"]
    values = {(trial.params["activation"], trial.value, trial.user_attrs["weights_hash"]) for trial in study.counted()}
    assert len(values) == 2
    reused = [trial for trial in study.counted() if "reused_from" in trial.user_attrs]
    assert len(reused) == 4
    originals = {f"trial {trial.number}" for trial in study.counted() if trial not in reused}
    assert {trial.user_attrs["reused_from"] for trial in reused} <= originals
    assert all(book.runs[f"{trial.number:04d}"]["facts"]["reused_from"] for trial in reused)


def test_without_reuse_an_equal_configuration_is_trained_again(tmp_path: Path) -> None:
    space = {"dimensions": {"activation": {"type": "categorical", "choices": ["sigmoid"]}}, "max_parameters": None}
    trained: list[str] = []
    study = new_study(tmp_path, make_plan(space))
    services = make_services(make_trainer(lambda settings: trained.append("")))
    for _ in range(3):
        optunas(study).enqueue_trial({"activation": "sigmoid"})
    work(study, search_settings(n_trials=3, sampler="random", reuse=False), services)
    assert len(trained) == 3
    assert len({trial.user_attrs["weights_hash"] for trial in study.counted()}) == 1


@pytest.mark.parametrize("pruner", ["none", "asha"])
def test_reuse_changes_no_trial(tmp_path: Path, pruner: str) -> None:
    space = {"dimensions": {"batch_size": {"type": "int", "low": 1, "high": 4}}, "max_parameters": None}
    outcomes = []
    for reuse in (True, False):
        study = new_study(tmp_path / str(reuse), make_plan(space))
        work(study, search_settings(n_trials=12, sampler="random", pruner=pruner, reuse=reuse), make_services())
        outcomes.append([{**trial, "reused_from": None} for trial in outcome(study)])
    assert outcomes[0] == outcomes[1]


def test_a_training_found_elsewhere_is_not_repeated(study: Study, book: Book) -> None:
    facts = {"validation/loss": 0.5, "weights_hash": "f" * 64, "epoch_of_weights": 3}
    wanted = fake_run_key(study.plan.trial_settings(study.plan.space.baseline() or {}))
    find = {wanted: ReusableResult("run 4711", 0.75, facts, {1: 0.25, 2: 0.5, 3: 0.75})}.get
    work(study, search_settings(n_trials=2), make_services(book=book, find=find))
    first, second = study.counted()
    assert (first.value, first.user_attrs["reused_from"], first.user_attrs["weights_hash"]) == (
        0.75,
        "run 4711",
        "f" * 64,
    )
    assert first.intermediate_values == {1: 0.25, 2: 0.5, 3: 0.75}
    assert book.runs["0000"]["epochs"] == []
    assert "reused_from" not in second.user_attrs


def test_real_networks_are_searched_resumed_and_reproduced(tmp_path: Path, tiny_dataset: Dataset) -> None:
    """The real training, an interruption between two epochs, and the same weights as without it."""
    digest = tiny_dataset.manifest.digest
    space = {"dimensions": {"learning_rate": {"type": "float", "low": 0.01, "high": 0.5}}, "max_parameters": None}
    plan = Plan("digits", digest, "s", make_space(space, hidden_sizes=(16,), n_epochs=2), "validation/accuracy")

    def search(root: Path, fatal: int | None) -> Study:
        study = open_study(plan, search_settings(), root)

        def train_one(settings: TrainSettings, *, on_epoch: Any, checkpoints: Any) -> Any:
            def observe(record: Any) -> None:
                on_epoch(record)
                if number_of(study) == fatal and record.epoch == 1:
                    signal.raise_signal(signal.SIGINT)

            return run_training(settings, tiny_dataset, on_epoch=observe, checkpoints=checkpoints)

        services = make_services(
            train_one,
            run_key=lambda settings: run_key(settings, digest),
            score=lambda model: row_scores(model, tiny_dataset.validation, "validation/accuracy"),
        )
        assert (work(study, search_settings(n_trials=3), services).signal is None) == (fatal is None)
        return study

    whole = search(tmp_path / "whole", None)
    search(tmp_path / "interrupted", 1)
    resumed = search(tmp_path / "interrupted", None)
    assert outcome(resumed) == outcome(whole)
    assert len({trial.user_attrs["weights_hash"] for trial in whole.counted()}) == 3


@pytest.mark.parametrize(
    ("n_trials", "n_promoted", "n_complete"), [(1, 0, 1), (2, 0, 2), (3, 1, 3), (8, 2, 3), (20, 6, 3)]
)
def test_trials_pause_and_the_best_go_on(tmp_path: Path, n_trials: int, n_promoted: int, n_complete: int) -> None:
    study, book = new_study(tmp_path, make_plan(n_epochs=8)), Book()
    search = search_settings(n_trials=n_trials, pruner="promote", sampler="random")
    assert work(study, search, make_services(book=book), n_complete=3) == SearchEnd(n_trials)
    counts = Counter(state_of(trial) for trial in study.trials())
    assert counts == {"complete": n_complete} | ({"paused": n_trials - n_complete} if n_trials > n_complete else {})
    assert {trial.state for trial in study.trials()} <= {TrialState.COMPLETE, TrialState.WAITING}
    reached = [max(trial.intermediate_values) for trial in study.trials()]
    assert set(reached) <= {1, 3, 8}
    assert sum(epoch > 1 for epoch in reached) >= n_promoted
    # The best of a rung went on, and each epoch was recorded once.
    first = {trial.number: trial.intermediate_values[1] for trial in study.trials()}
    assert reached[max(first, key=lambda number: first[number])] > 1
    for number, run in enumerate(book.runs.values()):
        assert run["status"] == state_of(study.trials()[number])
        assert [record.epoch for record in run["epochs"]] == list(range(1, reached[number] + 1))


def test_a_paused_trial_goes_on_from_its_checkpoint_and_without_it_from_the_start_alike(tmp_path: Path) -> None:
    outcomes = []
    for name in ("kept", "lost"):
        study = new_study(tmp_path / name, make_plan(n_epochs=8))
        search = {"pruner": "promote", "sampler": "random"}
        work(study, search_settings(n_trials=2, **search), make_services(), n_complete=0)
        assert [state_of(trial) for trial in study.trials()] == ["paused", "paused"]
        checkpoints = [path for number in (0, 1) for path in study.trial_folder(number).rglob("*.ckpt")]
        assert len(checkpoints) >= 2
        if name == "lost":
            for path in checkpoints:
                path.unlink()
        work(study, search_settings(n_trials=8, **search), make_services(), n_complete=3)
        outcomes.append(outcome(study))
    assert outcomes[0] == outcomes[1]


LOOKED = {"n_epochs": 8, "averaging": 0.99, "n_updates": 1000}


def test_trials_pause_at_the_first_look_and_the_best_begin_again(tmp_path: Path) -> None:
    study, book = new_study(tmp_path, make_plan(**LOOKED)), Book()
    search = search_settings(n_trials=20, pruner="promote", sampler="random")
    assert work(study, search, make_services(book=book), n_complete=3) == SearchEnd(20)
    trials = study.trials()
    reached = [max(trial.intermediate_values) for trial in trials]
    assert set(reached) == {0, 1, 8}
    # One in three is what goes on at the least: who was among the best of fewer went on, too.
    assert 20 // 3 <= sum(epoch > 0 for epoch in reached) < 20
    assert reached.count(8) >= 3
    looks = {trial.number: trial.intermediate_values[0] for trial in trials}
    assert reached[max(looks, key=lambda number: looks[number])] > 0
    for trial, epoch, run in zip(trials, reached, book.runs.values(), strict=True):
        assert sorted(trial.intermediate_values) == list(range(epoch + 1))
        assert [record.epoch for record in run["epochs"]] == list(range(1, epoch + 1))
        if epoch == 0:
            assert run["reason"] == trial.user_attrs["reason"] == "paused in epoch 1"
            assert run["facts"].keys() == {"run_key", "validation/accuracy"}
            assert run["facts"]["validation/accuracy"] == looks[trial.number]
            assert not list(study.trial_folder(trial.number).rglob("*.ckpt"))


def test_a_first_look_is_taken_once(tmp_path: Path) -> None:
    n_looks = Counter[int]()
    search = search_settings(n_trials=8, pruner="promote", sampler="random")
    study = new_study(tmp_path, make_plan(**LOOKED))
    train = make_trainer()

    def counted(settings: TrainSettings, *, look: Any = None, **hooks: Any) -> Any:
        n_looks[settings.seed] += look is not None
        return train(settings, look=look, **hooks)

    work(study, search, make_services(counted), n_complete=3)
    assert set(n_looks.values()) == {1}


def test_without_averaged_weights_nothing_pauses_within_an_epoch(tmp_path: Path) -> None:
    plan = make_plan(**LOOKED | {"averaging": None})
    assert (plan.rungs, make_plan(**LOOKED).rungs) == ((1, 3), (0, 1))


def test_with_one_epoch_nothing_pauses(tmp_path: Path) -> None:
    study = new_study(tmp_path, make_plan(n_epochs=1))
    work(study, search_settings(n_trials=3, pruner="promote"), make_services(), n_complete=1)
    assert {trial.state for trial in study.trials()} == {TrialState.COMPLETE}


@pytest.mark.parametrize("pruner", ["promote", "asha", "none"])
def test_at_the_target_nothing_more_is_started_and_its_trial_goes_to_its_end(tmp_path: Path, pruner: str) -> None:
    whole = new_study(tmp_path / "whole", make_plan(n_epochs=8))
    work(whole, search_settings(n_trials=12, pruner=pruner, sampler="random"), make_services(), n_complete=3)
    first = {trial.number: trial.intermediate_values[1] for trial in whole.trials()}
    found = max(first, key=lambda number: (first[number], -number))
    study = new_study(tmp_path / "target", make_plan(n_epochs=8))
    search = {"pruner": pruner, "sampler": "random", "target": first[found]}
    work(study, search_settings(n_trials=12, **search), make_services(), n_complete=3)
    good = [t for t in study.trials() if max(t.intermediate_values.values()) >= first[found]]
    assert good
    assert all(state_of(trial) == "complete" for trial in good)
    assert len(study.trials()) <= found + 1
    # A second time there is nothing to do; without the target the search goes on.
    before = outcome(study)
    work(study, search_settings(n_trials=12, **search), make_services(), n_complete=3)
    assert outcome(study) == before
    assert work(study, search_settings(n_trials=12, sampler="random"), make_services()).n_counted == 12


def test_a_search_ends_after_so_many_configurations_without_a_better_one(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    end = work(study, search_settings(n_trials=60, sampler="random", patience=4), make_services())
    values = [trial.value for trial in study.trials()]
    best = values.index(max(v for v in values if v is not None))
    assert (end.n_counted, len(values)) == (best + 5, best + 5)
    assert end.n_counted < 60
