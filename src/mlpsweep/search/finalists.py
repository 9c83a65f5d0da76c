"""The best configurations, trained again on further seeds and compared; what is written about them is in winner."""

import contextlib
import dataclasses
import fcntl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from optuna.trial import FrozenTrial

from mlpsweep.errors import NoResultError
from mlpsweep.files import write_atomic
from mlpsweep.search.choice import Difference, choose
from mlpsweep.search.interrupt import Interrupt, PausedError
from mlpsweep.search.observer import TrialLog
from mlpsweep.search.samplers import derive_seed
from mlpsweep.search.scores import ScoreStore
from mlpsweep.search.settings import WinnerSettings
from mlpsweep.search.study import Study
from mlpsweep.search.worker import TrainOne
from mlpsweep.settings import TrainSettings
from mlpsweep.training.checkpoint import CheckpointStore
from mlpsweep.training.history import EpochRecord
from mlpsweep.training.model import Model
from mlpsweep.types import FloatArray

POLL_S = 0.5


@dataclass(frozen=True)
class Repeat:
    """One training of a finalist.

    Parameters
    ----------
    trial : int
        The finalist.
    place : int
        Of its seeds; 0 is the trial's own training.
    settings : TrainSettings
    run_key : str
    """

    trial: int
    place: int
    settings: TrainSettings
    run_key: str


@dataclass(frozen=True)
class Finalist:
    """One configuration, compared.

    Parameters
    ----------
    trial : FrozenTrial
        Where it comes from.
    values : tuple of float
        The study's metric, one per seed, the trial's own first.
    n_parameters : int
        Weights and biases.
    difference : Difference
        The best finalist's score less this one's.
    is_winner : bool
    """

    trial: FrozenTrial
    values: tuple[float, ...]
    n_parameters: int
    difference: Difference
    is_winner: bool

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return float(np.mean(self.values))

    @property
    def spread(self) -> float | None:
        """Standard deviation over the seeds; None for a single one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None


class FinalistRecorder(Protocol):
    """Opens records of finalists; the tracker's side."""

    def open_finalist(self, trial: int, place: int, run_key: str, settings: TrainSettings, folder: Path) -> TrialLog:
        """Open the record of one training: a new one, or the one that was left open."""


@dataclass(frozen=True)
class FinalistHands:
    """What the comparison of finalists needs done by others.

    Parameters
    ----------
    train_one : TrainOne
        Trains one configuration.
    score : callable
        Returns a model's score on each validation row.
    recorder : FinalistRecorder
        Where trainings are recorded.
    run_key : callable
        Returns what two equal trainings share.
    notice : callable
        Takes a line for the user about each training.
    """

    train_one: TrainOne
    score: Callable[[Model], FloatArray]
    recorder: FinalistRecorder
    run_key: Callable[[TrainSettings], str]
    notice: Callable[[str], object] = lambda line: None


def scores_of(study: Study) -> ScoreStore:
    """Return where a study keeps its trainings' scores."""
    return ScoreStore(study.folder / "scores")


def repeats(study: Study, settings: WinnerSettings, run_key: Callable[[TrainSettings], str]) -> dict[int, list[Repeat]]:
    """Return the trainings of each finalist by its trial's number, best first; equal configurations count once."""
    chosen: dict[str, list[Repeat]] = {}
    for trial in study.complete():
        own = study.plan.trial_settings(trial.params)
        seeds = [own.seed, *(derive_seed(own.seed, "finalist", place) for place in range(1, settings.n_seeds))]
        seeded = [dataclasses.replace(own, seed=seed) for seed in seeds]
        if len(chosen) < settings.top_k and (key := run_key(own)) not in chosen:
            chosen[key] = [Repeat(trial.number, place, one, run_key(one)) for place, one in enumerate(seeded)]
    return {found[0].trial: found for found in chosen.values()}


def train_finalists(study: Study, settings: WinnerSettings, hands: FinalistHands) -> int | None:
    """Train what is missing, together with any other worker that is at it; return the signal that stopped it, or None.

    It needs the main thread, for signals.

    Raises
    ------
    OSError
        If the study's folder cannot be written; the training under way can be continued.
    """
    store, planned = scores_of(study), repeats(study, settings, hands.run_key)
    with Interrupt() as interrupt:
        while missing := [one for found in planned.values() for one in found if store.load(one.run_key) is None]:
            n_mine = 0
            for one in missing:
                with _claimed(store.folder / f"{one.run_key}.lock") as is_mine:
                    if interrupt.is_requested:
                        return interrupt.signal
                    if is_mine and store.load(one.run_key) is None:
                        n_mine += 1
                        hands.notice(_train(study, one, hands, interrupt))
            if not n_mine:
                interrupt.wait(POLL_S)
        return interrupt.signal


def _train(study: Study, one: Repeat, hands: FinalistHands, interrupt: Interrupt) -> str:
    """Do one training and say how it ended; left for later, with its checkpoint, if the search shall stop."""
    name, folder = f"finalist trial {one.trial}, seed {one.place + 1}", study.folder / "finalists" / one.run_key[:16]
    checkpoints = CheckpointStore(folder / "checkpoints")
    log = hands.recorder.open_finalist(one.trial, one.place, one.run_key, one.settings, folder)

    def on_epoch(record: EpochRecord) -> None:
        log.log_epoch(record)

    try:
        with interrupt.allowed():
            result = hands.train_one(one.settings, on_epoch=interrupt.held_back(on_epoch), checkpoints=checkpoints)
    except PausedError:
        log.close("interrupted", "interrupted", {})
        return f"{name}: interrupted"
    except NoResultError as error:
        log.close("failed", str(error), {"run_key": one.run_key})
        scores_of(study).save(one.run_key, np.empty(0, np.float32))
        return f"{name}: {error}"
    write_atomic(folder / "history.csv", result.history.to_csv().encode())
    facts = {
        "run_key": one.run_key,
        "seed": one.settings.seed,
        "weights_hash": result.model.weights_hash,
        "epoch_of_weights": result.epoch_of_weights,
    }
    # The tracker first, as for a trial: a worker that dies between the two leaves a training that ends at once.
    log.close("complete", None, facts)
    scores_of(study).save(one.run_key, hands.score(result.model))
    checkpoints.clear()
    return f"{name}: {study.plan.metric} {result.objective(study.plan.metric):.4f}"


def finalists(study: Study, settings: WinnerSettings, run_key: Callable[[TrainSettings], str]) -> list[Finalist]:
    """Return the finalists whose trainings all ended well, compared, best mean first; none if some are still missing.

    A configuration that fails with any of its seeds is none to be recommended.
    """
    store, planned = scores_of(study), repeats(study, settings, run_key)
    scores: dict[int, FloatArray] = {}
    for number, found in planned.items():
        rows = [one_rows for one in found if (one_rows := store.load(one.run_key)) is not None]
        if len(rows) < len(found):
            return []
        if all(one.size for one in rows):
            scores[number] = np.stack(rows)
    if not scores:
        return []
    trials = {trial.number: trial for trial in study.complete()}
    sizes = [study.plan.space.n_parameters(planned[number][0].settings) for number in scores]
    choice = choose(list(scores.values()), sizes)
    compared = [
        Finalist(
            trials[number],
            tuple(study.plan.sign * float(one.mean(dtype=np.float64)) for one in scores[number]),
            sizes[place],
            choice.differences[place],
            place == choice.winner,
        )
        for place, number in enumerate(scores)
    ]
    return sorted(compared, key=lambda one: (one.difference.mean, one.trial.number))


@contextlib.contextmanager
def _claimed(path: Path) -> Iterator[bool]:
    """Yield whether no other worker has this lock; the kernel lets it go at any death."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
