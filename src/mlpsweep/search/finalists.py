"""The best configurations, trained again on further seeds and compared; winner and recipe write about them."""

import contextlib
import dataclasses
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from mlpsweep.errors import NoResultError
from mlpsweep.files import FOLDER_WANTED, storage_errors
from mlpsweep.metric import metric_named
from mlpsweep.search.choice import choose
from mlpsweep.search.claims import Claim, Claims, LostClaimError
from mlpsweep.search.interrupt import Interrupt, PausedError
from mlpsweep.search.ownership import new_owner
from mlpsweep.search.proposals import derive_seed
from mlpsweep.search.rows import Finalist
from mlpsweep.search.services import Services
from mlpsweep.search.settings import WinnerSettings
from mlpsweep.search.study import Study
from mlpsweep.settings import TrainSettings
from mlpsweep.training.checkpoint import CheckpointStore
from mlpsweep.training.folder import TrainingFolder
from mlpsweep.training.history import EpochRecord
from mlpsweep.types import FloatArray

POLL_S = 0.5
SLOT_DIGITS: Final = 15
"""Hexadecimal digits of a ``run_key`` that make the slot of its training."""


@dataclass(frozen=True)
class Repeat:
    """One training of a finalist.

    Parameters
    ----------
    trial : int
        Number of the finalist's trial.
    place : int
        Which of its seeds; 0 is the trial's own training.
    settings : TrainSettings
    run_key : str
    """

    trial: int
    place: int
    settings: TrainSettings
    run_key: str


def repeats(study: Study, settings: WinnerSettings, run_key: Callable[[TrainSettings], str]) -> dict[int, list[Repeat]]:
    """Return the trainings of each finalist by its trial's number, best first; equal configurations count once."""
    chosen: dict[str, list[Repeat]] = {}
    for trial in study.complete():
        if len(chosen) == settings.top_k:
            break
        own = study.plan.trial_settings(trial.params)
        seeds = [own.seed, *(derive_seed(own.seed, "finalist", place) for place in range(1, settings.n_seeds))]
        seeded = [dataclasses.replace(own, seed=seed) for seed in seeds]
        if (key := run_key(own)) not in chosen:
            chosen[key] = [Repeat(trial.number, place, one, run_key(one)) for place, one in enumerate(seeded)]
    return {found[0].trial: found for found in chosen.values()}


def train_finalists(study: Study, settings: WinnerSettings, services: Services) -> int | None:
    """Train what is missing, sharing it with other workers; return the signal that stopped the work, or None.

    Call it in the main thread, where signals arrive.

    Raises
    ------
    StorageError
        If the study's folder cannot be written; the training under way can be continued.
    """
    store, planned = study.scores, repeats(study, settings, services.run_key)
    claims, owner = study.ledger.finalists, new_owner()
    with Interrupt() as interrupt, storage_errors(study.folder, f"{FOLDER_WANTED}; the same command goes on"):
        while missing := [one for found in planned.values() for one in found if store.load(one.run_key) is None]:
            n_mine = 0
            for one in missing:
                if interrupt.is_requested:
                    return interrupt.signal
                if claim := claims.take(int(one.run_key[:SLOT_DIGITS], 16), owner):
                    n_mine += 1
                    with contextlib.suppress(LostClaimError), claims.held(claim):
                        if store.load(one.run_key) is None:
                            services.notice(_train(study, one, services, interrupt, claims, claim))
                        claims.put_down(claim)
            if not n_mine:
                interrupt.wait(POLL_S)
        return interrupt.signal


def _train(study: Study, one: Repeat, services: Services, interrupt: Interrupt, claims: Claims, claim: Claim) -> str:
    """Do one training and say how it ended; if the search shall stop, a checkpoint keeps it for later.

    Raises LostClaimError if another worker has taken the training.
    """
    name, folder = f"finalist trial {one.trial}, seed {one.place + 1}", study.folder / "finalists" / one.run_key[:16]
    checkpoints = CheckpointStore(folder / "checkpoints")
    is_done = threading.Event()  # whoever takes it afterwards finds nothing to do, and sends nothing

    def is_ours() -> bool:
        return is_done.is_set() or claims.is_latest(claim)

    log = services.open_finalist(one.trial, one.place, one.run_key, one.settings, folder, is_ours)

    def on_epoch(record: EpochRecord) -> None:
        claims.keep(claim)
        log.log_epoch(record)

    try:
        with interrupt.allowed():
            result = services.train(one.settings, on_epoch=interrupt.held_back(on_epoch), checkpoints=checkpoints)
    except LostClaimError:
        log.leave()
        raise
    except PausedError:
        log.close("interrupted", "interrupted", {})
        return f"{name}: interrupted"
    except NoResultError as error:
        log.close("failed", str(error), {"run_key": one.run_key})
        study.scores.save(one.run_key, np.empty(0, np.float32))
        is_done.set()
        return f"{name}: {error}"
    TrainingFolder(folder).save_history(result.history)
    facts = {
        "run_key": one.run_key,
        "seed": one.settings.seed,
        "weights_hash": result.model.weights_hash,
        "epoch_of_weights": result.epoch_of_weights,
    }
    # The tracker first, as for a trial: a worker that dies between the two leaves a training that ends at once.
    log.close("complete", None, facts)
    study.scores.save(one.run_key, services.score(result.model))
    is_done.set()
    checkpoints.clear()
    metric = metric_named(study.plan.metric)
    return f"{name}: {metric.name} {metric.shown(result.objective(metric.name))}"


def finalists(study: Study, settings: WinnerSettings, run_key: Callable[[TrainSettings], str]) -> list[Finalist]:
    """Return the finalists whose trainings all ended well, compared, best mean first; none if some are still missing.

    A configuration that fails with one of its seeds is left out: it cannot be recommended.
    """
    store, planned = study.scores, repeats(study, settings, run_key)
    scores: dict[int, FloatArray] = {}
    for number, found in planned.items():
        rows = [one_rows for one in found if (one_rows := store.load(one.run_key)) is not None]
        if len(rows) < len(found):
            return []
        if all(one.size for one in rows):
            scores[number] = np.stack(rows)
    if not scores:
        return []
    sizes = [study.plan.space.n_parameters(planned[number][0].settings) for number in scores]
    choice = choose(list(scores.values()), sizes)
    params = {trial.number: study.plan.space.overrides(trial.params) for trial in study.complete()}
    ranked = sorted(enumerate(scores), key=lambda pair: (choice.differences[pair[0]].mean, pair[1]))
    return [
        Finalist(
            number=number,
            values=tuple(study.plan.sign * float(one.mean(dtype=np.float64)) for one in scores[number]),
            n_parameters=sizes[place],
            is_tied=choice.differences[place].is_tie,
            is_winner=place == choice.winner,
            params=params[number],
            behind=choice.differences[place],
        )
        for place, number in ranked
    ]
