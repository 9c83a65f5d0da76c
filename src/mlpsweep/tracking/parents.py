"""What a parent run holds of the runs below it; whoever writes a summary logs it, and a second time adds nothing."""

import time
from collections.abc import Mapping

from mlpsweep.tracking.lineage import NOTE
from mlpsweep.tracking.points import missing_points, send_points
from mlpsweep.tracking.run import Run

PAGE = "report.html"


def log_known(run: Run, params: Mapping[str, str]) -> None:
    """Log what is known before the work starts; a param that is there keeps its value, such as the first target."""
    from mlflow.entities import Param

    def send() -> None:
        there = run.client.get_run(run.run_id).data.params
        missing = [Param(name, value) for name, value in params.items() if name not in there]
        run.client.log_batch(run.run_id, params=missing)

    run.queue.put(run.handle, send)


def log_summary(run: Run, metric: str, best: Mapping[int, float], figures: Mapping[str, float], note: str) -> None:
    """Log the best value so far, single figures and a description.

    Parameters
    ----------
    run : Run
        The parent, open.
    metric : str
        What ``best`` is a value of.
    best : mapping of int to float
        Value by the number of runs that had ended, which is the step.
    figures : mapping of str to float
        Logged at the last of these steps.
    note : str
        Markdown.
    """
    at_ms, last = int(time.time() * 1000), max(best, default=0)
    curve = [(f"best/{metric}", value, step, at_ms) for step, value in best.items()]

    def send() -> None:
        there = run.client.get_run(run.run_id).data.metrics
        # With other seeds a winner has other figures after as many trials.
        changed = [(name, float(value), last, at_ms) for name, value in figures.items() if there.get(name) != value]
        send_points(run.client, run.run_id, missing_points(run.client, run.run_id, curve) + changed)

    run.queue.put(run.handle, send)
    run.set_tags({NOTE: note})
