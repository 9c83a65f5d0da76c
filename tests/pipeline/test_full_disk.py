"""No room for mlflow.db: the training ends well, what the store lacks is told, and doctor completes it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.clinic import POINTS, STATUSES, WELL, change, doctor
from tests.pipeline.doors import PATHS, TINY, door, own_environment, tracked

pytestmark = [pytest.mark.slow, pytest.mark.fault]
MANY = ("n_epochs=400", "log_every=2", "output_dir=outputs/two")


def test_a_store_without_room_loses_no_record(tmp_path: Path) -> None:
    assert door(tmp_path, "train", *TINY, "output_dir=outputs/one").returncode == 0
    # For SQLite a file that may not grow is as good as a disk that is full. It is made larger than the others
    # become: one limit holds for every file, and a late checkpoint has more than a megabyte; the clock decides
    # whether there is one.
    change(tmp_path, "create table filler as select zeroblob(8000000)")
    blocks = (tmp_path / "mlflow.db").stat().st_size // 1024 + 64
    command = f"ulimit -f {blocks}; exec {sys.executable} -m pipeline.train {' '.join(TINY)} {' '.join(MANY)}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env=own_environment() | PATHS | {"MLPSWEEP_FULL_ERROR": "1"},  # should it fail, it tells where
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert "disk I/O error" in done.stderr or "disk is full" in done.stderr
    assert "records, because it did not take them" in done.stderr
    assert "pipeline.doctor fix=true" in done.stderr
    run_id = json.loads((tmp_path / "outputs/two.run.json").read_text())["run_id"]
    before = len(tracked(tmp_path, POINTS))
    assert door(tmp_path, "train", *TINY, "seed=3", "output_dir=outputs/three").returncode == 0
    assert tracked(tmp_path, f"select 1 from tags where key = 'incomplete' and run_uuid = '{run_id}'") == [(1,)]
    assert doctor(tmp_path, "fix=true")[0] == 0
    assert doctor(tmp_path) == WELL
    points = tracked(tmp_path, POINTS)
    assert len(points) > before + 1000
    assert {n for *_, n in points} == {1}
    losses = tracked(tmp_path, f"select count(*) from metrics where run_uuid = '{run_id}' and key = 'train/loss'")
    assert losses == [(400,)]
    assert tracked(tmp_path, STATUSES) == [("FINISHED", 3)]
