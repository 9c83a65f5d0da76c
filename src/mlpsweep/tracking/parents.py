"""What a parent run holds of the runs below it; whoever writes a summary logs it, and a second time adds nothing."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mlpsweep.tracking.lineage import NOTE
from mlpsweep.tracking.points import send_points
from mlpsweep.tracking.run import Run

if TYPE_CHECKING:
    from mlflow.entities import Metric

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
    name, last = f"best/{metric}", max(best, default=0)

    def send() -> None:
        start_ms = run.client.get_run(run.run_id).info.start_time
        known = run.client.get_metric_history(run.run_id, name)
        there = {point.step for point in known}
        told = [
            (name, value, step, _after(known, start_ms) + step) for step, value in best.items() if step not in there
        ]
        for figure, value in figures.items():
            known = run.client.get_metric_history(run.run_id, figure)
            # With other seeds a winner has other figures after as many trials: of one step the latest point counts.
            shown = max(known, key=lambda point: (point.step, point.timestamp)).value if known else None
            if value != shown:
                told.append((figure, float(value), last, _after(known, start_ms) + last))
        send_points(run.client, run.run_id, told)

    run.queue.put(run.handle, send)
    run.set_tags({NOTE: note})


def _after(known: "Sequence[Metric]", start_ms: int) -> int:
    """Return a POSIX time in milliseconds after all points of a metric and after its run's start.

    No clock is asked: hosts that end a study at once say the same at once, and to the store that is one point.
    """
    return max([start_ms, *(point.timestamp for point in known)]) + 1
