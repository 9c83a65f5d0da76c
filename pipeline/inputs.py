"""How doors get their data: folders, stand-in, messages, grid of samples; shared by the doors, and no door itself."""

import dataclasses
import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipeline.door import Context
from pipeline.settings import PathSettings, TrainJob

if TYPE_CHECKING:
    from mlpsweep.data.dataset import Dataset
    from mlpsweep.data.ready import DataFolders
    from mlpsweep.settings import TrainSettings
    from mlpsweep.training.model import Model

T = TypeVar("T", bound=TrainJob)


def settled(settings: T, context: Context) -> "tuple[T, Dataset]":
    """Return a job's settings and its data, fetching and preparing what is missing first.

    The test split is opened with ``monitor=test`` only.
    Where the digits stand in for the data set, the settings come back with the digits' own.
    """
    from mlpsweep.training.setup import class_weights

    # A check of all bytes takes seconds; the jobs of a sweep follow one that has said it.
    if context.number is None and sys.stderr.isatty():
        _say_once(f"loading {settings.data.name} ...")
    with data_folders(settings.paths, context) as folders:
        data, dataset = folders.open(settings.data, with_test=settings.monitor == "test")
    class_weights(settings.class_weight, dataset)  # only the data tell the classes; no run is begun for a wrong one
    return dataclasses.replace(settings, data=data), dataset


def own_dataset(model: "Model", trained: "TrainSettings", paths: PathSettings, *, with_test: bool) -> "Dataset":
    """Return the data that a model was trained on, fetched and prepared first if they are missing; no other set."""
    from mlpsweep.data.dataset import load_dataset
    from mlpsweep.data.manifest import MANIFEST_NAME, Manifest

    folder = Path(paths.prepared) / model.data_folder
    # Digits that stood in for another set lie in its folder; elsewhere they are found under their own name.
    if (folder / MANIFEST_NAME).exists() and Manifest.read(folder).dataset == model.metadata["dataset"]:
        return load_dataset(folder, trained.data, with_test=with_test)
    with data_folders(paths, Context(Path(), chosen=("data",))) as folders:
        dataset = folders.open(trained.data, with_test=with_test)[1]
    manifest = dataclasses.replace(dataset.manifest, stands_in_for=model.metadata.get("stands_in_for"))
    return dataclasses.replace(dataset, manifest=manifest)


@contextmanager
def data_folders(paths: PathSettings, context: Context) -> "Iterator[DataFolders]":
    """Yield the folders of all data sets; downloads show their progress inside the block.

    A command line that names the data set, or its mirrors, gets that one, or an error. Recipes of published
    rows set ``data.fallback: null`` themselves; a winner's recipe takes the data that the search used.
    """
    from mlpsweep.data.ready import DataFolders
    from pipeline.progress import ByteBar

    named = (*(f"{group}=" for group in context.chosen), *context.overrides)
    with ByteBar() as bar:
        yield DataFolders(
            raw=Path(paths.raw),
            prepared=Path(paths.prepared),
            allow_fallback=not any(word.startswith(("data=", "data.mirrors=")) for word in named),
            progress=bar.update,
            notify=say,
            on_prepared=draw_samples,
        )


def say(sentence: str) -> None:
    """Write a sentence to stderr."""
    sys.stderr.write(f"{sentence}\n")


_say_once = functools.cache(say)


def say_if_standing_in(raw: Path) -> None:
    """Write to stderr that the files of ``raw`` are a stand-in, if they are."""
    from mlpsweep.data.download import stand_in_message

    message = stand_in_message(raw)
    if message:
        say(message)


def draw_samples(dataset: "Dataset", folder: Path) -> None:
    """Draw the first training images into a prepared folder; a table has none."""
    from mlpsweep.figures.style import save_figure
    from mlpsweep.figures.training import sample_grid

    if not dataset.manifest.holds_images:
        return
    manifest, images, labels = dataset.manifest, dataset.train.images[:40], dataset.train.labels[:40]
    title = f"{manifest.title}: the first training samples"
    figure = sample_grid(images, [manifest.class_names[label] for label in labels], manifest.image_shape, title)
    save_figure(figure, folder / "samples.png")
