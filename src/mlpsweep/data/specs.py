"""What is known of each data set before its files are read: name, shape and range."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

_DIGITS: Final = tuple("0123456789")
_CLOTHES: Final = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    """What a file must agree with to be part of a data set.

    Parameters
    ----------
    title : str
        The set's name as one writes it in a sentence.
    image_shape : tuple of int
        Height and width in pixels.
    max_value : int
        The brightest pixel there can be; the darkest is 0.
    class_names : tuple of str
        The name of each label, 0 first.
    n_train : int
        Rows of the training file, before validation rows are taken.
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
