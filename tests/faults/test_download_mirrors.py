"""The download stage against mirrors that misbehave."""

import re
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mlpsweep.data.source import Source
from mlpsweep.errors import DataError
from tests.faults.download_lab import NEVER_DONE, NOBODY, SERVED, SHORT_S, assert_complete, assert_no_leftovers, fetch
from tests.faults.faulty_http import FaultyServer, make_certificate
from tests.raw_files import snapshot

pytestmark = pytest.mark.usefixtures("no_mirror")

# What a mirror does, what is said of it, and whether it was reached.
FAULTS: dict[str, tuple[str, bool]] = {
    "html200": ("wrong contents, 53 bytes with SHA-256 [0-9a-f]{64} instead of [0-9a-f]{64}", True),
    "status403": ("HTTP 403", True),
    "status404": ("HTTP 404", True),
    "status500": ("HTTP 500", True),
    "status503": ("HTTP 503", True),
    "empty": ("wrong contents, 0 bytes", True),
    "short": (r"ends after [\d,]+ of [\d,]+ bytes", True),
    "unpromised_half": (r"wrong contents, [\d,]+ bytes", True),
    "wrong_file": ("wrong contents", True),
    "one_flipped_bit": ("wrong contents", True),
    "broken_chunks": (r"stops after 3 bytes \(IncompleteRead", True),
    "stall": (r"stops after [\d,]+ bytes \(timed out\)", True),
    "drip": ("slower than 1024 bytes/s", True),
    "endless": ("sends more than 48,[0-9]+ bytes", True),
    "redirect_loop": ("redirects in a circle", True),
    "redirect": ("redirects to http://127.0.0.1:[0-9]+/train-images-idx3-ubyte.gz, which is not https", True),
    "silent": ("timed out", False),
    "endless_headers": ("no answer in 1 s", False),
    "hang_up": ("Remote end closed connection without response", False),
    "not_http": ("220 ftp ready", False),
}


each_fault = pytest.mark.parametrize(
    ("mode", "reason", "was_reached"),
    [
        pytest.param(mode, *facts, id=mode, marks=[pytest.mark.slow] if mode in NEVER_DONE else [])
        for mode, facts in FAULTS.items()
    ],
)


@each_fault
def test_two_bad_mirrors_leave_the_third(
    mode: str, reason: str, was_reached: bool, trusted: Path, good: FaultyServer, folder: Path
) -> None:
    with FaultyServer(SERVED) as plain, ExitStack() as stack:
        bad = [stack.enter_context(FaultyServer(SERVED, mode, trusted, plain.url)) for _ in range(2)]
        assert fetch(folder, bad[0].url, bad[1].url, good.url, mode=mode) == Source("mnist")
        assert all(server.n_requests >= 1 for server in bad)
        assert plain.n_connections == 0
    assert_complete(folder)


@each_fault
def test_only_bad_mirrors_are_all_named_with_their_reason(
    mode: str, reason: str, was_reached: bool, trusted: Path, folder: Path
) -> None:
    with FaultyServer(SERVED) as plain, ExitStack() as stack:
        bad = [stack.enter_context(FaultyServer(SERVED, mode, trusted, plain.url)) for _ in range(3)]
        with pytest.raises(DataError) as caught:
            fetch(folder, *(server.url for server in bad), mode=mode)
    listed = "; ".join(f"{re.escape(server.url)}: [^;]*{reason}[^;]*" for server in bad)
    assert re.fullmatch(
        rf"{re.escape(str(folder))}: MNIST could not be downloaded \({listed}\); still to fetch: .*"
        r"t10k-labels-idx1-ubyte.gz \(missing\). Connect, or set MNIST_MIRROR to .*",
        str(caught.value),
    )
    assert caught.value.exit_code == 3
    assert snapshot(folder) == {}


@each_fault
def test_stand_in_comes_only_if_no_mirror_was_reached(
    mode: str, reason: str, was_reached: bool, trusted: Path, folder: Path
) -> None:
    with FaultyServer(SERVED) as plain, FaultyServer(SERVED, mode, trusted, plain.url) as bad:
        arguments: dict[str, Any] = {"fallback": "digits", "allow_fallback": True, "mode": mode}
        if was_reached:
            with pytest.raises(DataError, match="MNIST could not be downloaded"):
                fetch(folder, NOBODY, bad.url, **arguments)
            assert snapshot(folder) == {}
        else:
            assert fetch(folder, NOBODY, bad.url, **arguments) == Source("digits", "mnist")


@pytest.mark.parametrize("mode", ["good", "chunked", "odd_length", "throttled"])
def test_unusual_but_right_answers_are_taken(mode: str, good: FaultyServer, folder: Path) -> None:
    good.mode = mode
    assert fetch(folder, good.url) == Source("mnist")
    assert_complete(folder)


def test_endless_body_is_cut_at_the_cap(good: FaultyServer, folder: Path) -> None:
    good.mode = "endless"
    with pytest.raises(DataError, match="sends more than"):
        fetch(folder, good.url)
    time.sleep(0.05)  # the server notices that nobody listens
    assert good.n_endless_bytes < 20_000_000
    assert_no_leftovers(folder)


def test_redirect_to_another_https_address_is_followed(good: FaultyServer, trusted: Path, folder: Path) -> None:
    with FaultyServer(SERVED, "redirect", trusted, good.url) as redirecting:
        fetch(folder, redirecting.url)
    assert_complete(folder)


def test_redirect_from_this_machine_to_http_elsewhere_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyServer(SERVED, "redirect", target="http://mirror.example") as server:
        monkeypatch.setenv("MNIST_MIRROR", server.url)
        with pytest.raises(DataError, match="redirects to http://mirror.example/train-.*, which is not https"):
            fetch(folder)


def test_redirect_to_nonsense_is_told(trusted: Path, folder: Path) -> None:
    with (
        FaultyServer(SERVED, "redirect", trusted, target="https://[nonsense") as server,
        pytest.raises(DataError, match=rf"\({server.url}: Invalid IPv6 URL\)"),
    ):
        fetch(folder, server.url)


def test_certificate_of_a_stranger_is_refused(tmp_path: Path, trusted: Path, folder: Path) -> None:
    with (
        FaultyServer(SERVED, certificate=make_certificate(tmp_path / "stranger.pem")) as server,
        pytest.raises(DataError, match=f"{server.url}: .*certificate verify failed"),
    ):
        fetch(folder, server.url)


def test_http_on_an_https_port_is_refused(trusted: Path, folder: Path) -> None:
    with FaultyServer(SERVED) as server, pytest.raises(DataError, match="could not be downloaded"):
        fetch(folder, server.url.replace("http:", "https:"))


@pytest.mark.slow
def test_dead_mirrors_cost_their_time_once(trusted: Path, good: FaultyServer, folder: Path) -> None:
    with FaultyServer(SERVED, "silent", trusted) as first, FaultyServer(SERVED, "endless_headers", trusted) as second:
        start_s = time.monotonic()
        fetch(folder, first.url, second.url, good.url, mode="silent")
        assert time.monotonic() - start_s < 2 * SHORT_S + 1.5
        assert first.n_connections == second.n_connections == 1


def test_mirror_that_lacks_one_file_goes_last_for_the_others(good: FaultyServer, trusted: Path, folder: Path) -> None:
    some = {name: raw for name, raw in SERVED.items() if "images" in name}
    with FaultyServer(some, certificate=trusted) as first:
        fetch(folder, first.url, good.url)
        assert (first.n_requests, good.n_requests) == (2, 3)
    assert_complete(folder)


def test_proxy_is_not_asked_for_this_machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with FaultyServer(SERVED) as server:
        monkeypatch.setenv("MNIST_MIRROR", server.url)
        assert fetch(folder) == Source("mnist")
