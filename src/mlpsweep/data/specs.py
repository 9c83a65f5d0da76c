"""The specification of each data set: name, shape and range, known before its files are read."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

_DIGITS: Final = tuple("0123456789")
_CLOTHES: Final = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    """The properties that every file of a data set must have.

    Parameters
    ----------
    title : str
        Name of the set for readers.
    image_shape : tuple of int
        Height and width in pixels.
    max_value : int
        The brightest possible pixel; the darkest is 0.
    class_names : tuple of str
        Name of each label, 0 first.
    n_train : int
        Number of rows of the training file, validation rows included.
    """

    title: str
    image_shape: tuple[int, int]
    max_value: int
    class_names: tuple[str, ...]
    n_train: int


SPECS: Final = MappingProxyType(
    {
        "mnist": DatasetSpec("MNIST", (28, 28), 255, _DIGITS, 60_000),
        "fashion_mnist": DatasetSpec("Fashion-MNIST", (28, 28), 255, _CLOTHES, 60_000),
        "digits": DatasetSpec("digits", (8, 8), 16, _DIGITS, 1_437),
    }
)
