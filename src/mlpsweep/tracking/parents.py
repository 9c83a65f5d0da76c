"""What a parent run holds of the runs below it; whoever writes a summary logs it, and a second time adds nothing."""

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
    last = max(best, default=0)

    def send() -> None:
        known = run.client.get_run(run.run_id)
        there, start_ms = known.data.metrics, known.info.start_time
        # Hosts that end a study at once say the same at once; to the store it is one point if no clock is asked.
        curve = [(f"best/{metric}", value, step, start_ms + step) for step, value in best.items()]
        # With other seeds a winner has other figures after as many trials.
        changed = [
            (name, float(value), last, _after(run, name, start_ms + last))
            for name, value in figures.items()
            if there.get(name) != value
        ]
        send_points(run.client, run.run_id, missing_points(run.client, run.run_id, curve) + changed)

    run.queue.put(run.handle, send)
    run.set_tags({NOTE: note})


def _after(run: Run, name: str, at_ms: int) -> int:
    """Return a time after all points of a metric, at least ``at_ms``: of one step the store shows the latest."""
    return max([at_ms, *(point.timestamp + 1 for point in run.client.get_metric_history(run.run_id, name))])
