"""Fetch the data set's files, or verify those already there.

Reads the mirrors of conf/data/ (MNIST_MIRROR first); writes data/raw/<name>. Exit code 3 if no mirror has the files.
"""

from pathlib import Path

from pipeline.door import Context, enter
from pipeline.settings import DataJob

SETTINGS, CONFIG = DataJob, "prepare"


def run(settings: DataJob, context: Context) -> None:
    """Download or verify."""
    from mlpsweep.data.download import download
    from pipeline.progress import ByteBar

    with ByteBar() as bar:
        folder = Path(settings.paths.raw) / settings.data.name
        # Whoever names the data set or a recipe wants that one, or an error.
        is_default = not {"data", "recipe"} & set(context.chosen)
        download(settings.data, folder, allow_fallback=is_default, progress=bar.update)


if __name__ == "__main__":
    enter("pipeline.download")
