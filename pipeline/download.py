"""Fetch the data set's files, or verify those already there.

Reads the mirrors of conf/data/ (MNIST_MIRROR first); writes data/raw/<name>. Exit code 3 if no mirror has the files.
"""

import sys
from pathlib import Path

from pipeline.door import Context, Door, enter
from pipeline.settings import DataJob


def run(settings: DataJob, context: Context) -> None:
    """Download or verify."""
    from mlpsweep.data.download import download
    from pipeline.progress import ByteBar

    with ByteBar() as bar:
        folder = Path(settings.paths.raw) / settings.data.name
        download(settings.data, folder, allow_fallback=not is_asked_for(context), progress=bar.update)
    say_if_standing_in(folder)


def is_asked_for(context: Context) -> bool:
    """Return whether the command line names the data set: then it is that one, or an error.

    A recipe that stands for a published row says ``data.fallback: null`` itself; a winner's takes what it was found on.
    """
    return "data" in context.chosen


def say_if_standing_in(raw: Path) -> None:
    """Tell on stderr that the files of ``raw`` stand in for the data set, if they do."""
    from mlpsweep.data.download import stand_in_message

    message = stand_in_message(raw)
    if message:
        sys.stderr.write(f"{message}\n")


DOOR = Door(module="pipeline.download", text=__doc__, settings=DataJob, config="prepare", run=run)

if __name__ == "__main__":
    enter("pipeline.download")
