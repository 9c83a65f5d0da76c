"""Distortions of training images: where pixels come from, how much ink stays, what the seed fixes."""

import numpy as np
import pytest

from mlpsweep.data.augment import (
    IMAGES_PER_FIELD,
    affine_sources,
    augment_for,
    distort,
    elastic_displacements,
    resampling,
)

STILL = {"shift": 0.0, "rotation": 0.0, "scaling": 0.0, "elastic": 0.0, "smoothness": 4.0}
STRONG = {"shift": 2.0, "rotation": 15.0, "scaling": 0.15, "elastic": 1.5, "smoothness": 4.0}
SHAPE = (28, 20)  # not square, so that rows and columns cannot be confused


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    """Grey noise in the middle of a wide empty frame."""
    frame = np.zeros((200, *SHAPE), np.uint8)
    frame[:, 10:18, 7:13] = rng.integers(50, 256, size=(200, 8, 6))
    return frame.reshape(200, -1)


def changed(images: np.ndarray, seed: int = 1, **strengths: float) -> np.ndarray:
    out = np.zeros_like(images)
    distort(images, np.arange(len(images)), out, np.random.default_rng(seed), image_shape=SHAPE, **strengths)
    return out


def test_no_strength_gives_the_same_bytes(images: np.ndarray) -> None:
    np.testing.assert_array_equal(changed(images, **STILL), images)


def test_no_strength_keeps_every_pixel_up_to_the_edges(rng: np.random.Generator) -> None:
    noise = rng.integers(0, 256, (40, SHAPE[0] * SHAPE[1]), np.uint8)
    np.testing.assert_array_equal(changed(noise, **STILL), noise)


@pytest.mark.parametrize("name", ["shift", "rotation", "scaling", "elastic"])
def test_each_strength_alone_changes_almost_every_image(images: np.ndarray, name: str) -> None:
    out = changed(images, **STILL | {name: STRONG[name]})
    assert (out != images).any(axis=1).mean() > 0.95


def test_equal_seeds_give_equal_bytes_and_others_do_not(images: np.ndarray) -> None:
    first = changed(images, 3, **STRONG)
    np.testing.assert_array_equal(changed(images, 3, **STRONG), first)
    assert (changed(images, 4, **STRONG) != first).any()


def test_only_the_rows_asked_for_are_written(images: np.ndarray, rng: np.random.Generator) -> None:
    out, rows = np.full_like(images, 7), np.array([3, 50, 51, 199])
    before = images.copy()
    distort(images, rows, out, rng, image_shape=SHAPE, **STRONG)
    assert set(np.flatnonzero((out != 7).any(axis=1))) == set(rows)
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("n_rows", [0, 1, IMAGES_PER_FIELD, IMAGES_PER_FIELD + 1])
def test_any_number_of_rows_is_changed(images: np.ndarray, rng: np.random.Generator, n_rows: int) -> None:
    out = np.zeros_like(images)
    distort(images, np.arange(n_rows), out, rng, image_shape=SHAPE, **STRONG)
    assert np.count_nonzero(out.any(axis=1)) == n_rows


def test_shifts_and_rotations_keep_the_ink(images: np.ndarray) -> None:
    ratio = changed(images, **STILL | {"shift": 2.0, "rotation": 15.0}).sum(axis=1) / images.sum(axis=1)
    assert ratio == pytest.approx(np.ones(len(images)), abs=0.05)


def test_sizes_have_the_moments_of_uniform_ones(rng: np.random.Generator) -> None:
    steps = np.diff(affine_sources(4000, (3, 3), rng, shift=0.0, rotation=0.0, scaling=0.3)[:, 1, 1], axis=1)[:, 0]
    assert (1 / steps).mean() == pytest.approx(1.0, abs=5 * 0.3 / np.sqrt(3 * 4000))
    assert (1 / steps).std() == pytest.approx(0.3 / np.sqrt(3.0), rel=0.05)


@pytest.mark.parametrize(("move", "axis"), [((3, 0), 0), ((0, -2), 1)], ids=["down", "left"])
def test_resampling_moves_an_image_by_whole_pixels(images: np.ndarray, move: tuple[int, int], axis: int) -> None:
    source = np.indices(SHAPE) - np.reshape(move, (2, 1, 1))
    moved = (resampling(source.astype(np.float32)) @ images[0].astype(np.float32)).reshape(SHAPE)
    np.testing.assert_array_equal(moved, np.roll(images[0].reshape(SHAPE), move[axis], axis))


def test_resampling_half_way_is_the_mean_of_both_pixels(images: np.ndarray) -> None:
    source = np.indices(SHAPE).astype(np.float32)
    source[1] += 0.5
    image = images[0].reshape(SHAPE).astype(np.float32)
    halves = (resampling(source) @ images[0].astype(np.float32)).reshape(SHAPE)
    np.testing.assert_allclose(halves[:, :-1], (image[:, :-1] + image[:, 1:]) / 2)


def test_beyond_the_edge_there_is_no_ink() -> None:
    full = np.full(28 * 20, 255, np.float32)
    source = np.indices(SHAPE).astype(np.float32) + 1.0
    moved = (resampling(source) @ full).reshape(SHAPE)
    assert moved[:-1, :-1].min() == 255
    assert moved[-1].max() == moved[:, -1].max() == 0


def test_affine_draws_have_the_moments_of_uniform_ones(rng: np.random.Generator) -> None:
    n = 4000
    sources = affine_sources(n, (3, 3), rng, shift=2.0, rotation=0.0, scaling=0.0)
    moves = (sources - np.indices((3, 3)))[:, :, 0, 0]
    deviation = 2.0 / np.sqrt(3.0)
    assert np.abs(moves).max() <= 2.0
    assert np.abs(moves.mean(axis=0)).max() < 5 * deviation / np.sqrt(n)
    assert moves.std(axis=0) == pytest.approx([deviation] * 2, rel=0.05)


def test_a_rotation_keeps_the_centre_and_all_distances(rng: np.random.Generator) -> None:
    sources = affine_sources(50, (5, 5), rng, shift=0.0, rotation=30.0, scaling=0.0)
    np.testing.assert_allclose(sources[:, :, 2, 2], 2.0)
    np.testing.assert_allclose(np.linalg.norm(sources[:, :, 0, 0] - 2.0, axis=1), np.sqrt(8.0), rtol=1e-6)
    cosines = (sources[:, :, 0, 0] - 2.0) @ np.array([-2.0, -2.0]) / 8.0
    assert np.cos(np.deg2rad(30.0)) - 1e-6 < cosines.min() < np.cos(np.deg2rad(20.0))


def test_elastic_displacements_have_the_deviation_asked_for_and_are_smooth(rng: np.random.Generator) -> None:
    moves = elastic_displacements(2000, SHAPE, rng, elastic=1.5, smoothness=4.0)
    assert (moves.shape, moves.dtype) == ((2000, 2, *SHAPE), np.float32)
    # 4,000 draws of a deviation, at each of 560 places, scatter by 1 / sqrt(8,000) each.
    assert moves.std(axis=(0, 1)) == pytest.approx(np.full(SHAPE, 1.5), rel=5 / np.sqrt(8000))
    assert np.abs(np.diff(moves, axis=3)).mean() < 0.3


def test_images_share_a_field_with_others_in_each_epoch(images: np.ndarray) -> None:
    same, out, rng = np.tile(images[0], (200, 1)), np.empty((200, images.shape[1]), np.uint8), np.random.default_rng(1)
    epochs = []
    for _ in range(3):
        distort(same, np.arange(200), out, rng, image_shape=SHAPE, **STRONG)
        fields = np.unique(out, axis=0, return_inverse=True)[1].ravel()  # copies of one image: equal under one field
        assert sorted(np.bincount(fields)) == [200 % IMAGES_PER_FIELD, *[IMAGES_PER_FIELD] * (200 // IMAGES_PER_FIELD)]
        epochs.append(fields[:, np.newaxis] == fields)
    # Of the pairs that share a field, chance keeps 31 in 199 in the next epoch.
    for before, after in ((0, 1), (1, 2), (0, 2)):
        kept = (epochs[before] & epochs[after]).sum() - 200
        assert kept / (epochs[before].sum() - 200) == pytest.approx(31 / 199, abs=0.06)
    neighbours = np.diagonal(epochs[0], 1)  # the rows' own order has no part in it
    assert neighbours.mean() < 0.4


def test_images_without_augmentation_are_left_alone() -> None:
    assert augment_for("none", SHAPE) is None
