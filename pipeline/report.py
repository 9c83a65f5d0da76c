"""Write one page that compares baselines and winner.

Reads artifacts/{train,evaluate,search}; writes artifacts/report/index.html. Exit code 3 if no model was evaluated.
"""

import sys
from pathlib import Path

from pipeline.door import Context, Door, enter
from pipeline.settings import ReportJob

COMMANDS = (
    ("everything", "dvc repro"),
    ("a sweep of your own", "python -m pipeline.train -m activation=sigmoid,tanh,relu"),
    ("the winner", "python -m pipeline.train --config-dir artifacts/search recipe=winner"),
    ("the winner's proof, bit for bit", "python -m pipeline.verify model_dir=artifacts/train/winner"),
    ("two runs or more, compared", "python -m pipeline.compare sweep=<name or run id>"),
)


def run(settings: ReportJob, context: Context) -> None:
    """Assemble and write the page."""
    from mlpsweep.files import write_atomic
    from mlpsweep.report.data import load_report_data
    from mlpsweep.report.report import render_report
    from pipeline.inputs import say_if_standing_in

    artifacts = Path(settings.paths.artifacts)
    page, data = artifacts / "report" / "index.html", load_report_data(artifacts, commands=COMMANDS)
    write_atomic(page, render_report(data).encode())
    sys.stdout.write(f"{page}\n")
    if data.stands_in_for:
        say_if_standing_in(Path(settings.paths.raw) / data.stands_in_for)


DOOR = Door(
    module="pipeline.report",
    text=__doc__,
    settings=ReportJob,
    config="report",
    run=run,
    examples=(
        "  # the page of this project",
        "paths.artifacts=other/artifacts  # that of another folder",
        "paths.prepared=/data/prepared  # with data that lie elsewhere",
    ),
)

if __name__ == "__main__":
    enter("pipeline.report")
