"""How a run ended: MLflow's word for each way a trial ends, and the one answer to whether a training is finished."""

from collections.abc import Mapping
from typing import Any, Final

from mlpsweep.tracking.run import REASON, Status

STATE: Final = "trial_state"
"""The tag that says how a trial ended. A run without it was no trial, or its trial has not ended."""
COMPLETE, PRUNED, FAILED, INTERRUPTED, PAUSED = "complete", "pruned", "failed", "interrupted", "paused"
# A trial that was stopped early, or waits to go on, did what it should, so it is FINISHED, too.
STATUSES: Final[Mapping[str, Status]] = {
    COMPLETE: "FINISHED",
    PRUNED: "FINISHED",
    PAUSED: "FINISHED",
    FAILED: "FAILED",
    INTERRUPTED: "KILLED",
}
"""Status of a trial's run by the trial's state."""


def is_finished(run: Any) -> bool:
    """Return whether a run, as the store tells it, is of a training that went to its end: its result can be taken."""
    return bool(run.info.status == "FINISHED" and run.data.tags.get(STATE, COMPLETE) == COMPLETE)


def ended(run: Any) -> str:
    """Return how a run ended, as a person reads it: MLflow's word, ``pruned``, ``paused ...`` or ``diverged``.

    A pruned trial of earlier times is KILLED; its tag tells the same.
    """
    status, tags = run.info.status, run.data.tags
    if status != "RUNNING" and tags.get(STATE) in (PRUNED, PAUSED):
        return str(tags.get(REASON, PAUSED) if tags[STATE] == PAUSED else PRUNED)
    has_diverged = status == "FAILED" and tags.get(REASON, "").startswith("DivergenceError")
    return "diverged" if has_diverged else str(status)
