"""Turn downloaded files into arrays, one split and a manifest, and draw a grid of samples.

Reads data/raw/<name>; writes data/prepared/<name>. Exit code 3 if a file is missing or damaged.
"""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mlpsweep.settings import DataSettings
from pipeline import download
from pipeline.door import Context, Door, enter
from pipeline.settings import DataJob, TrainJob

if TYPE_CHECKING:
    from mlpsweep.data.dataset import Dataset
    from mlpsweep.data.manifest import Manifest

T = TypeVar("T", bound=TrainJob)


def run(settings: DataJob, context: Context) -> None:
    """Prepare, and say what came out."""
    from mlpsweep.data.dataset import load_dataset
    from mlpsweep.data.preprocess import prepare
    from mlpsweep.figures.style import save_figure
    from mlpsweep.figures.training import sample_grid

    folder = Path(settings.paths.prepared) / settings.data.name
    asked_for = settings.data
    if download.is_asked_for(context):
        asked_for = dataclasses.replace(asked_for, fallback=None)
    manifest = prepare(asked_for, Path(settings.paths.raw) / settings.data.name, folder)
    data = own_settings(settings.data, manifest, context)
    train = load_dataset(folder, data).train
    title = f"{manifest.title}: the first training samples"
    figure = sample_grid(
        train.images[:40], [manifest.class_names[label] for label in train.labels[:40]], manifest.image_shape, title
    )
    save_figure(figure, folder / "samples.png")


def settled(settings: T, context: Context) -> tuple[T, "Dataset"]:
    """Return a job's settings and its data, fetching and preparing what is missing first.

    The test split is opened with ``monitor=test`` only.
    Where the digits stand in for the data set, the settings come back with the digits' own.
    """
    from mlpsweep.data.dataset import load_dataset
    from mlpsweep.data.manifest import Manifest
    from mlpsweep.files import locked

    folder = Path(settings.paths.prepared) / settings.data.name
    with locked(folder.parent / ".lock"):
        if not (folder / "manifest.json").exists():
            sys.stderr.write(f"{folder} is missing: downloading and preparing {settings.data.name} first\n")
            job = DataJob(data=settings.data, paths=settings.paths)
            download.run(job, context)
            run(job, context)
    data = own_settings(settings.data, Manifest.read(folder), context)
    if data.name != settings.data.name:
        download.say_if_standing_in(Path(settings.paths.raw) / settings.data.name)
    with_test = settings.monitor == "test"
    return dataclasses.replace(settings, data=data), load_dataset(folder, data, with_test=with_test)


def own_settings(data: DataSettings, manifest: "Manifest", context: Context) -> DataSettings:
    """Return the settings of what lies there: the digits' own, where they may stand in for the set that is asked for.

    Who names the data set, or sets ``data.fallback=null``, wants no stand-in; loading then refuses it.
    """
    from mlpsweep.config import read_yaml
    from pipeline.help import CONF

    if not manifest.stands_in_for or data.fallback is None or download.is_asked_for(context):
        return data
    file = CONF / "data" / f"{data.fallback}.yaml"
    own = DataSettings.build(read_yaml(file.read_text(), str(file)), "data.")
    return own if data.n_validation else dataclasses.replace(own, n_validation=0)


DOOR = Door(module="pipeline.prepare", text=__doc__, settings=DataJob, config="prepare", run=run)

if __name__ == "__main__":
    enter("pipeline.prepare")
