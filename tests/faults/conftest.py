"""Fixtures of the download tests: mirrors over real https, and a folder to download into."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.download_lab import SERVED
from tests.faults.faulty_http import FaultyServer, make_certificate


@pytest.fixture
def no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own mirror of MNIST is out of the game."""
    monkeypatch.delenv("MNIST_MIRROR", raising=False)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("certificate") / "mirror.pem")


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A certificate that this process trusts, so that mirrors are asked over real https."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return certificate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "raw/mnist"


@pytest.fixture
def good(trusted: Path) -> Iterator[FaultyServer]:
    with FaultyServer(SERVED, certificate=trusted) as server:
        yield server
