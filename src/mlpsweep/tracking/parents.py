"""What a parent run holds of the runs below it; whoever writes a summary logs it, and a second time adds nothing."""

from collections.abc import Mapping

from mlpsweep.tracking.lineage import NOTE
from mlpsweep.tracking.points import Point, missing_points, send_points
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
        start_ms = run.client.get_run(run.run_id).info.start_time
        # Hosts that end a study at once say the same at once; to the store it is one point if no clock is asked.
        curve = [(f"best/{metric}", value, step, start_ms + step) for step, value in best.items()]
        told = [point for name, value in figures.items() for point in _new(run, name, float(value), last, start_ms)]
        send_points(run.client, run.run_id, missing_points(run.client, run.run_id, curve) + told)

    run.queue.put(run.handle, send)
    run.set_tags({NOTE: note})


def _new(run: Run, name: str, value: float, step: int, start_ms: int) -> list[Point]:
    """Return a figure's point, none if the last one has its value: with other seeds a winner has others at one step."""
    # One look answers both questions, or another host's point could come between them.
    known = run.client.get_metric_history(run.run_id, name)
    if known and max(known, key=lambda point: (point.step, point.timestamp)).value == value:
        return []
    return [(name, value, step, max([start_ms + step, *(point.timestamp + 1 for point in known)]))]
