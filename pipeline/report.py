"""Write one page that compares baselines and winner.

Reads artifacts/<data>/{train,evaluate,search}; writes artifacts/<data>/report/index.html, unless it shows all of that
already. Exit code 3 if no model was evaluated.
"""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from pipeline.door import Context, Door, enter
from pipeline.settings import ReportJob

UI = "http://127.0.0.1:5000"
"""Where `make ui` shows MLflow's pages."""


def run(settings: ReportJob, context: Context) -> None:
    """Assemble and write the page, if it does not show all of that already."""
    from mlpsweep.report.unchanged import digest_of, remember, unchanged
    from pipeline.inputs import say_if_standing_in

    artifacts = artifacts_of(settings)
    page, ui = artifacts / "report" / "index.html", pages_address(os.environ.get("MLFLOW_TRACKING_URI", ""))
    digest = digest_of(artifacts, ui, repr(commands(artifacts)))
    record = unchanged(page, digest)
    if record is None:
        record = remember(page, digest, write_page(page, artifacts, ui))
        sys.stdout.write(f"{page}\n")
    else:
        sys.stdout.write(f"{page} (unchanged)\n")
    if record.stands_in_for:
        say_if_standing_in(Path(settings.paths.raw) / record.stands_in_for)


def artifacts_of(settings: ReportJob) -> Path:
    """Return the folder of the data set's models; before there was one for each set, all lay in that above."""
    every = Path(settings.paths.artifacts)
    mine = every / settings.data.name
    return every if (every / "evaluate").is_dir() and not mine.exists() else mine


def commands(artifacts: Path) -> tuple[tuple[str, str], ...]:
    """Return what makes the page's contents again, and what each command is for."""
    return (
        ("everything", "dvc repro"),
        ("a sweep of your own", "python -m pipeline.train -m activation=sigmoid,tanh,relu"),
        ("the winner", f"python -m pipeline.train --config-dir {artifacts}/search recipe=winner"),
        ("the winner's proof, bit for bit", f"python -m pipeline.verify model_dir={artifacts}/train/winner"),
        ("two runs or more, compared", "python -m pipeline.compare sweep=<name or run id>"),
    )


def write_page(page: Path, artifacts: Path, ui: str) -> str | None:
    """Write the page; return for which data set another one stands in."""
    from mlpsweep.files import write_atomic
    from mlpsweep.report.data import load_report_data
    from mlpsweep.report.report import render_report

    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    data = load_report_data(artifacts, commands=commands(artifacts), made=made, ui=ui)
    write_atomic(page, render_report(data).encode())
    return data.stands_in_for


def pages_address(store: str) -> str:
    """Return where MLflow's pages are; an address that holds a password is not shown, and has no links."""
    from mlpsweep.errors import hide_passwords

    if not store.startswith(("http://", "https://")):
        return UI
    return store.rstrip("/") if hide_passwords(store) == store else ""


DOOR = Door(
    module="pipeline.report",
    text=__doc__,
    settings=ReportJob,
    config="train",
    run=run,
    examples=(
        "  # the page of this project",
        "paths.artifacts=other/artifacts  # that of another folder",
        "data=digits  # of another data set",
    ),
)

if __name__ == "__main__":
    enter("pipeline.report")
