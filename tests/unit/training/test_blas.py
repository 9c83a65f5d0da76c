"""BLAS threads are limited in a block, and only there."""

from mlpsweep.training.blas import blas_threads, controller


def threads() -> set[int]:
    return {info["num_threads"] for info in controller().info() if info["user_api"] == "blas"}


def test_every_library_is_limited_inside_the_block_only() -> None:
    before = threads()
    with blas_threads(1):
        assert threads() == {1}
    assert threads() == before


def test_blocks_nest() -> None:
    with blas_threads(2):
        with blas_threads(1):
            assert threads() == {1}
        assert threads() == {2}
