from pathlib import Path

import pytest

from mlpsweep.data.http import is_allowed
from mlpsweep.data.mirrors import Mirror, mirrors_of
from mlpsweep.errors import SettingsError
from tests.raw_files import settings_of, small_files

WEB = ("https://a.example/mnist/", "https://b.example/mnist")


@pytest.fixture(autouse=True)
def _no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MNIST_MIRROR", raising=False)


def test_mirrors_keep_the_order_of_the_settings() -> None:
    assert mirrors_of(settings_of(small_files(), mirrors=WEB)) == tuple(Mirror(url) for url in WEB)


@pytest.mark.parametrize(
    ("location", "folder"),
    [
        ("https://c.example/", None),
        ("http://127.0.0.1:8000/", None),
        ("http://localhost/", None),
        ("http://[::1]:8000/", None),
        ("file:///srv/my%20mnist", Path("/srv/my mnist")),
        ("/srv/mnist", Path("/srv/mnist")),
        ("../mnist", Path("../mnist")),
    ],
)
def test_mirror_of_the_environment_goes_first(
    location: str, folder: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNIST_MIRROR", location)
    mirrors = mirrors_of(settings_of(small_files(), mirrors=WEB))
    assert mirrors == (Mirror(location, folder), *(Mirror(url) for url in WEB))


def test_empty_variable_is_no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_MIRROR", " ")
    assert len(mirrors_of(settings_of(small_files(), mirrors=WEB))) == 2


def test_each_set_has_its_own_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASHION_MNIST_MIRROR", "/srv/fashion")
    assert mirrors_of(settings_of(small_files())) == ()
    assert mirrors_of(settings_of(small_files(), name="fashion_mnist"))[0].folder == Path("/srv/fashion")


@pytest.mark.parametrize("location", ["http://mirror.example/", "ftp://a.example/", "https://", "https://[x"])
def test_variable_that_may_not_be_used_is_named(location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_MIRROR", location)
    with pytest.raises(SettingsError, match="^MNIST_MIRROR: '.*' may not be used; expected https.*Example: MNIST_MIRR"):
        mirrors_of(settings_of(small_files()))


@pytest.mark.parametrize("url", ["http://a.example/", "http://127.0.0.1/", "file:///srv", "/srv/mnist", "https://[x"])
def test_mirror_of_the_settings_is_https_or_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="mirrors: .*expected .*an https address"):
        mirrors_of(settings_of(small_files(), mirrors=("https://a.example/", url)))


def test_password_is_kept_out_of_what_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_MIRROR", "http://me:s3cr3t@mirror.example/")
    with pytest.raises(SettingsError, match="'http://mirror.example/' may not") as caught:
        mirrors_of(settings_of(small_files()))
    assert "s3cr3t" not in str(caught.value)
    (mirror,) = mirrors_of(settings_of(small_files(), name="digits", mirrors=("https://me:pw@a.example/?token=t",)))
    assert mirror == Mirror("https://a.example/?token=***")
    assert "pw" not in repr(mirror)
    # Who is asked gets it.
    assert mirror.url("b.gz") == "https://me:pw@a.example/b.gz?token=t"


@pytest.mark.parametrize(
    ("url", "anywhere", "on_loopback"),
    [
        ("https://a.example/x", True, True),
        ("HTTPS://a.example/x", True, True),
        ("http://a.example/x", False, False),
        ("http://127.0.0.1:80/x", False, True),
        ("http://127.9.9.9/x", False, True),
        ("http://localhost/x", False, True),
        ("http://localhost.a.example/x", False, False),
        ("http://127.0.0.1@a.example/x", False, False),
        ("ftp://127.0.0.1/x", False, False),
        ("file:///etc/passwd", False, False),
        ("https:///x", False, False),
        ("https://[x", False, False),
        ("", False, False),
    ],
)
def test_only_https_or_this_machine_may_be_asked(url: str, anywhere: bool, on_loopback: bool) -> None:
    assert is_allowed(url, http_on_loopback=False) is anywhere
    assert is_allowed(url, http_on_loopback=True) is on_loopback


@pytest.mark.parametrize("base", ["https://a.example/mnist", "https://a.example/mnist/"])
def test_address_of_a_file_has_one_slash(base: str) -> None:
    assert Mirror(base).url("a b.gz") == "https://a.example/mnist/a%20b.gz"
