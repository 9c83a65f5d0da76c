"""Random distortions of training images: shifts, rotations, changes of size, elastic displacements.

For one displacement field, bilinear resampling is a sparse matrix with four entries per pixel. A field is shared by a
few images drawn anew each epoch, so that distorting 60,000 images costs well under a second.
"""

import functools
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from scipy import ndimage, sparse

from mlpsweep.errors import SettingsError
from mlpsweep.types import FloatArray, ImageArray, IndexArray

IMAGES_PER_FIELD: Final = 32
"""Images that share a displacement field within an epoch."""

Augment = Callable[[ImageArray, IndexArray, ImageArray, np.random.Generator], None]
"""Called with images, the rows to change, the array that receives them at the same rows, and the source of draws."""


def distort(
    images: ImageArray,
    rows: IndexArray,
    out: ImageArray,
    rng: np.random.Generator,
    *,
    image_shape: tuple[int, int],
    shift: float,
    rotation: float,
    scaling: float,
    elastic: float,
    smoothness: float,
) -> None:
    """Write a distorted copy of some images.

    Parameters
    ----------
    images : ndarray of shape (n_rows, n_features), uint8
        Not modified.
    rows : ndarray of shape (n_samples,)
        The rows that are read and written.
    out : ndarray of shape (n_rows, n_features), uint8
        Receives them; other rows are not modified.
    rng : Generator
        Advanced.
    image_shape : tuple of int
        Height and width, pixels.
    shift, rotation, scaling, elastic, smoothness : float
        Settings of ``conf/augment/distort.yaml``; zeros give exact copies, but ``smoothness`` must be > 0.

    References
    ----------
    Simard, Steinkraus and Platt (2003), Best practices for convolutional neural networks, section 2.
    """
    order = rng.permutation(rows)
    n_fields = math.ceil(len(rows) / IMAGES_PER_FIELD)
    sources = affine_sources(n_fields, image_shape, rng, shift=shift, rotation=rotation, scaling=scaling)
    sources += elastic_displacements(n_fields, image_shape, rng, elastic=elastic, smoothness=smoothness)
    for number, source in enumerate(sources):
        piece = order[number * IMAGES_PER_FIELD :][:IMAGES_PER_FIELD]
        pixels = resampling(source) @ images[piece].T.astype(np.float32)
        out[piece] = np.rint(pixels, out=pixels).T


def affine_sources(
    n_fields: int,
    image_shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    shift: float,
    rotation: float,
    scaling: float,
) -> FloatArray:
    """Return where each pixel comes from under random shifts, rotations and sizes, all uniform and about the centre.

    Returns
    -------
    ndarray of shape (n_fields, 2, height, width), float32: row and column, pixels.
    """
    angle = np.deg2rad(rng.uniform(-rotation, rotation, n_fields))
    size = 1.0 + rng.uniform(-scaling, scaling, n_fields)
    moved = rng.uniform(-shift, shift, (n_fields, 2, 1, 1))
    cos, sin = np.cos(angle) / size, np.sin(angle) / size
    turn = np.stack([np.stack([cos, -sin], axis=-1), np.stack([sin, cos], axis=-1)], axis=1)  # (n_fields, 2, 2)
    centre = (np.array(image_shape).reshape(2, 1, 1) - 1) / 2
    grid = np.indices(image_shape) - centre
    sources: FloatArray = np.einsum("fij,jhw->fihw", turn, grid) + centre + moved
    return sources.astype(np.float32)


def elastic_displacements(
    n_fields: int, image_shape: tuple[int, int], rng: np.random.Generator, *, elastic: float, smoothness: float
) -> FloatArray:
    """Return smooth random displacements with mean 0 and standard deviation ``elastic``.

    Returns
    -------
    ndarray of shape (n_fields, 2, height, width), float32, pixels.
    """
    noise = rng.standard_normal((n_fields, 2, *image_shape), dtype=np.float32)
    smooth: FloatArray = ndimage.gaussian_filter(noise, smoothness, mode="wrap", axes=(2, 3))
    # The smoothing leaves each pixel the sum of squared weights, the same everywhere as the edges wrap around.
    impulse = np.zeros(image_shape)
    impulse[0, 0] = 1.0
    left = np.linalg.norm(ndimage.gaussian_filter(impulse, smoothness, mode="wrap"))
    smooth *= np.float32(elastic / left)
    return smooth


def resampling(source: FloatArray) -> sparse.csr_array:
    """Return the matrix of bilinear resampling: image columns in, image columns out, 0 beyond the edges.

    Parameters
    ----------
    source : ndarray of shape (2, height, width)
        Row and column that each pixel comes from, pixels.

    Returns
    -------
    sparse array of shape (height * width, height * width), float32.
    """
    _, height, width = source.shape
    first = np.floor(source)
    part = (source - first).reshape(2, -1)  # (2, n_features)
    row, column = first.astype(np.int32).reshape(2, -1)
    near_far = np.array([[0], [1]], np.int32)
    rows, columns = row + near_far, column + near_far  # (2, n_features)
    row_weights = np.stack([1.0 - part[0], part[0]]) * ((rows >= 0) & (rows < height))
    column_weights = np.stack([1.0 - part[1], part[1]]) * ((columns >= 0) & (columns < width))
    weights = row_weights[:, np.newaxis] * column_weights  # (2, 2, n_features)
    places = np.clip(rows, 0, height - 1)[:, np.newaxis] * np.int32(width) + np.clip(columns, 0, width - 1)
    n_features = height * width
    starts = np.arange(0, 4 * n_features + 1, 4, dtype=np.int32)
    entries = (weights.reshape(4, -1).T.ravel().astype(np.float32), places.reshape(4, -1).T.ravel(), starts)
    return sparse.csr_array(entries, shape=(n_features, n_features))


AUGMENTS: Final[Mapping[str, Callable[..., None] | None]] = MappingProxyType({"none": None, "distort": distort})
"""Every augmentation by its name in the settings; its keywords are the settings of its ``conf/augment`` file."""


def augment_for(name: str, image_shape: tuple[int, int], **keywords: float) -> Augment | None:
    """Return what changes the training images before each epoch, or None where nothing does.

    Raises
    ------
    SettingsError
        If the rows are those of a table.
    """
    change = AUGMENTS[name]
    if change is not None and image_shape[0] == 1:
        raise SettingsError(f"augment: {name} moves pixels, and the data are no images; expected augment=none.")
    return None if change is None else functools.partial(change, image_shape=image_shape, **keywords)
