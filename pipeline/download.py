"""Fetch the data set's files, or verify those already there.

Reads the mirrors of conf/data/ (MNIST_MIRROR first); writes data/raw/<name>. Exit code 3 if no mirror has the files.
"""

from pipeline.door import Context, Door, enter
from pipeline.inputs import data_folders
from pipeline.settings import DataJob


def run(settings: DataJob, context: Context) -> None:
    """Download or verify."""
    with data_folders(settings.paths, context) as folders:
        folders.download(settings.data)


DOOR = Door(
    module="pipeline.download",
    text=__doc__,
    settings=DataJob,
    config="prepare",
    run=run,
    examples=(
        "  # MNIST",
        "data=fashion_mnist  # another data set",
        "paths.raw=/data/raw  # into another folder",
    ),
)

if __name__ == "__main__":
    enter("pipeline.download")
