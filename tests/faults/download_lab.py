"""What the download tests share: the files a mirror has, one call of the stage, and what must hold afterwards."""

from pathlib import Path

from mlpsweep.data.download import download
from mlpsweep.data.source import Source
from tests.raw_files import NAMES, settings_of, small_files, snapshot

FILES = small_files()
SERVED = {NAMES[role]: raw for role, raw in FILES.items()}
NOBODY = "https://127.0.0.1:9"
SHORT_S, LONG_S = 1.0, 10.0  # time-outs, for mirrors that never answer and for those that do
NEVER_DONE = ("stall", "drip", "silent", "endless_headers")


def fetch(
    folder: Path, *urls: str, fallback: str | None = None, allow_fallback: bool = False, mode: str = "good"
) -> Source:
    timeout_s = SHORT_S if mode in NEVER_DONE else LONG_S
    settings = settings_of(FILES, mirrors=urls, fallback=fallback)
    return download(settings, folder, allow_fallback=allow_fallback, timeout_s=timeout_s)


def assert_complete(folder: Path) -> None:
    assert snapshot(folder) == SERVED | {"source.json": b'{\n  "dataset": "mnist",\n  "stands_in_for": null\n}\n'}


def assert_no_leftovers(folder: Path) -> None:
    assert [path for path in folder.parent.rglob("*") if path.name.endswith(".part")] == []
