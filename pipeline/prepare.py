"""Turn downloaded files into arrays, one split and a manifest, and draw a grid of samples.

Reads data/raw/<name>; writes data/prepared/<name>. Exit code 3 if a file is missing or damaged.
"""

from pipeline.door import Context, Door, enter
from pipeline.inputs import data_folders
from pipeline.settings import DataJob


def run(settings: DataJob, context: Context) -> None:
    """Prepare, and draw what came out."""
    with data_folders(settings.paths, context) as folders:
        folders.prepare(settings.data)


DOOR = Door(
    module="pipeline.prepare",
    text=__doc__,
    settings=DataJob,
    config="train",
    run=run,
    examples=(
        "  # MNIST",
        "data=digits  # another data set",
        "paths.prepared=/data/prepared  # into another folder",
    ),
)

if __name__ == "__main__":
    enter("pipeline.prepare")
