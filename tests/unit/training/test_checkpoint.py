"""Checkpoints: what is kept, what is used, what damage does."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlpsweep.training.checkpoint import Checkpoint, CheckpointStore

KEY = "a" * 64


def checkpoint(epoch: int, key: str = KEY) -> Checkpoint:
    return Checkpoint(key, epoch, {"records": [], "n": epoch}, {"params": np.full(3, epoch, np.float32)})


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    store = CheckpointStore(tmp_path / "checkpoints")
    for epoch in (1, 2, 3):
        store.save(checkpoint(epoch))
    return store


def names(store: CheckpointStore) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir())


def test_the_two_newest_are_kept(store: CheckpointStore) -> None:
    assert names(store) == ["epoch-000002.ckpt", "epoch-000003.ckpt"]


def test_the_newest_is_used(store: CheckpointStore) -> None:
    loaded, skipped = store.load(KEY)
    assert loaded is not None
    assert (loaded.epoch, loaded.values, skipped) == (3, {"records": [], "n": 3}, ())
    assert np.array_equal(loaded.arrays["params"], np.full(3, 3, np.float32))


def damage_flip(content: bytes) -> bytes:
    return content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "flipped bit": damage_flip,
    "truncated": lambda content: content[:-1],
    "empty": lambda content: b"",
    "longer": lambda content: content + b"\n",
    "no checkpoint": lambda content: b"#" * len(content),
    "checksum without contents": lambda content: content[:87],
}


@pytest.mark.parametrize("kind", sorted(DAMAGES))
def test_a_damaged_newest_gives_way_to_the_one_before(kind: str, store: CheckpointStore) -> None:
    path = store.folder / "epoch-000003.ckpt"
    path.write_bytes(DAMAGES[kind](path.read_bytes()))
    loaded, (message,) = store.load(KEY)
    assert loaded is not None
    assert loaded.epoch == 2
    assert message.startswith("epoch-000003.ckpt: passed over, epoch-000003.ckpt:")
    assert "SHA-256 is not the one inside" in message


@pytest.mark.parametrize("position", range(0, 700, 50))
def test_a_bit_flipped_anywhere_is_noticed(position: int, store: CheckpointStore) -> None:
    path = store.folder / "epoch-000003.ckpt"
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.write_bytes(content)
    loaded, skipped = store.load(KEY)
    assert loaded is not None
    assert (loaded.epoch, len(skipped)) == (2, 1)


def test_nothing_is_used_if_all_are_damaged(store: CheckpointStore) -> None:
    for path in store.folder.iterdir():
        path.write_bytes(b"")
    loaded, skipped = store.load(KEY)
    assert (loaded, len(skipped)) == (None, 2)


def test_another_trainings_checkpoint_is_passed_over_and_named(store: CheckpointStore) -> None:
    loaded, skipped = store.load("b" * 64)
    assert loaded is None
    assert "it belongs to run_key aaaaaaaaaaaa, expected bbbbbbbbbbbb" in skipped[0]


def test_a_folder_that_is_not_there_holds_no_checkpoint(tmp_path: Path) -> None:
    assert CheckpointStore(tmp_path / "none").load(KEY) == (None, ())


def test_a_damaged_file_is_replaced_when_its_epoch_is_reached_again(store: CheckpointStore) -> None:
    (store.folder / "epoch-000003.ckpt").write_bytes(b"")
    store.save(checkpoint(3))
    loaded, skipped = store.load(KEY)
    assert loaded is not None
    assert (loaded.epoch, skipped) == (3, ())


def test_clear_removes_all_and_the_empty_folder(store: CheckpointStore) -> None:
    store.clear()
    assert not store.folder.exists()
    store.clear()


def test_clear_leaves_other_files(store: CheckpointStore) -> None:
    (store.folder / "notes").touch()
    store.clear()
    assert names(store) == ["notes"]
