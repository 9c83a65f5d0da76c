"""Fetch the data set's files, or verify those already there; --list shows which data sets there are.

Reads the mirrors of conf/data/ (MNIST_MIRROR first), or the path that it names; writes data/raw/<name>. Exit code 3 if
no mirror has the files, or one is not what it was.
"""

from collections.abc import Sequence
from pathlib import Path

from pipeline.door import Context, Door, enter
from pipeline.inputs import data_folders
from pipeline.settings import DataJob


def run(settings: DataJob, context: Context) -> None:
    """Download or verify."""
    with data_folders(settings.paths, context) as folders:
        folders.download(settings.data)


def listing(settings: DataJob, folders: Sequence[Path]) -> str:
    """Return the table of data sets."""
    from mlpsweep.data import specs
    from pipeline.screen import width

    return specs.listing(Path(settings.paths.prepared), folders).to_text(width())


DOOR = Door(
    module="pipeline.download",
    text=__doc__,
    settings=DataJob,
    config="train",
    run=run,
    listing=listing,
    examples=(
        "  # MNIST",
        "data=fashion_mnist  # another data set",
        "--list  # which data sets there are",
    ),
)

if __name__ == "__main__":
    enter("pipeline.download")
