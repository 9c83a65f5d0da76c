"""The download stage as processes: many at once, killed, and on a full disk."""

import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.faults.download_lab import FILES, SERVED, assert_complete
from tests.faults.faulty_http import FaultyServer
from tests.raw_files import settings_of, snapshot

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.usefixtures("no_mirror")]
N_ROUNDS, N_KILLS = 3, 15

CHILD = Path(__file__).with_name("download_child.py")


def _settings_json() -> str:
    return json.dumps(dataclasses.asdict(settings_of(FILES)))


def _start(folder: Path, mirror: str, **options: Any) -> "subprocess.Popen[str]":
    environment = os.environ | {"MNIST_MIRROR": mirror, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, str(CHILD), _settings_json(), str(folder)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True, **options)


def test_full_disk_is_no_fault_of_the_mirror(folder: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    with FaultyServer(SERVED) as server:
        child = _start(folder, server.url, preexec_fn=limit)
        _, said = child.communicate(timeout=60)
    assert "File too large; expected a folder that can be written, with room in it" in said
    assert "exit code 4" in said
    assert snapshot(folder) == {}


def test_sixteen_first_downloads_at_once_fetch_each_file_once(tmp_path: Path) -> None:
    for number in range(N_ROUNDS):
        folder = tmp_path / str(number) / "mnist"
        with FaultyServer(SERVED, "throttled") as server:
            children = [_start(folder, server.url) for _ in range(16)]
            said = [child.communicate(timeout=120) for child in children]
            assert [child.returncode for child in children] == [0] * 16, said
            assert server.n_requests == 4
        assert_complete(folder)


def test_kill_in_mid_download_leaves_whole_files_or_none(tmp_path: Path) -> None:
    rng, n_interrupted = np.random.default_rng(0), 0
    for number in range(N_KILLS):
        folder = tmp_path / str(number) / "mnist"
        with FaultyServer(SERVED, "throttled") as server:
            child = _start(folder, server.url)
            while server.n_requests == 0:
                time.sleep(0.002)
            time.sleep(rng.uniform(0.0, 0.35))
            child.send_signal(signal.SIGKILL)
            child.communicate(timeout=60)
        found = snapshot(folder)
        assert all(raw == SERVED[name] for name, raw in found.items() if name in SERVED)
        n_interrupted += any(name.endswith(".part") for name in found)
        with FaultyServer(SERVED) as server:
            child = _start(folder, server.url)
            assert child.communicate(timeout=60)[0] == "mnist\n"
        assert_complete(folder)
    assert n_interrupted > 0  # else nothing was tested
