"""No password in what is shown, whatever it is made of; and the whole address where it is asked."""

import base64
import pickle
import string
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpsweep.data.http import _request
from mlpsweep.errors import DataError, SettingsError, hide_passwords
from mlpsweep.passwords import ADDRESSES, kept, login_of, private, public, without_login
from mlpsweep.settings import DataSettings
from tests.raw_files import settings_of, small_files

# Long enough not to be part of the rest of an address by chance.
PASSWORDS = st.text(string.ascii_letters + string.digits + string.punctuation, min_size=8, max_size=30).map(
    "pW{}Wp".format
)
KEYS = st.sampled_from(
    ["password", "PASSWORD", "passwd", "pwd", "token", "access_token", "api_key", "apikey", "sslpassword", "secret",
     "client_secret", "X-Amz-Signature", "X-Amz-Credential", "sig", "pass%77ord"]
)  # fmt: skip
SCHEMES = st.sampled_from(["https", "http", "postgresql", "postgresql+psycopg", "mysql+pymysql", "s3"])
REST = st.sampled_from(["", "/", "/x", ":5000/x", "/x?year=1998"])
TEXTS = st.sampled_from(["{}", "GET {} failed", "'{}': no such place; expected another", "[{},https://a.example/]"])


@pytest.fixture(scope="module", autouse=True)
def _own_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ADDRESSES, "{}")
        yield


@given(SCHEMES, PASSWORDS, REST, TEXTS, st.booleans())
def test_a_password_in_the_host_part_is_hidden(scheme: str, password: str, rest: str, text: str, encoded: bool) -> None:
    written = quote(password, safe="") if encoded else password
    shown = hide_passwords(text.format(f"{scheme}://me:{written}@host{rest}"))
    assert written not in shown
    assert password not in shown
    assert hide_passwords(shown) == shown


@given(SCHEMES, KEYS, PASSWORDS, TEXTS, st.booleans(), st.booleans())
def test_a_password_in_the_query_is_hidden(
    scheme: str, key: str, password: str, text: str, encoded: bool, last: bool
) -> None:
    # An & in a query ends the value, and a # the query.
    written = quote(password, safe="") if encoded else password.replace("&", "")
    query = f"user=u&{key}={written}" if last else f"{key}={written}&user=u"
    shown = hide_passwords(text.format(f"{scheme}://h/x?{query}"))
    assert written not in shown
    assert hide_passwords(shown) == shown


@given(PASSWORDS)
def test_a_password_of_a_driver_is_hidden(password: str) -> None:
    written = password.replace("&", "")
    assert written not in hide_passwords(f"cannot connect: host=h password={written} user=u")


@pytest.mark.parametrize(
    "text", ["learning_rate: -1; expected > 0", "sqlite:///mlruns/optuna.db", "https://h/x?year=1998", "me@host", "a=b"]
)
def test_what_is_no_password_stays(text: str) -> None:
    assert hide_passwords(text) == text


@given(PASSWORDS)
def test_an_exception_of_ours_has_no_password(password: str) -> None:
    error = SettingsError(f"data.mirrors: 'http://u:{password}@h' may not be used", "seed: -1")
    assert password not in str(error) + repr(error)
    assert password not in str(pickle.loads(pickle.dumps(error)))  # noqa: S301
    assert error.messages[1] == "seed: -1"
    assert DataError("x: gone").messages == ("x: gone",)


@given(PASSWORDS, REST)
def test_a_kept_address_is_public_and_its_private_one_whole(password: str, rest: str) -> None:
    address = f"https://me:{password}@host{rest}"
    shown = kept(address)
    assert password not in shown
    assert (shown, public(shown)) == (f"https://host{rest}", shown)
    assert private(shown) == address
    assert (login_of(address), without_login(address)) == (f"me:{password}", f"https://host{rest}")


@given(PASSWORDS)
def test_settings_hold_no_password(password: str) -> None:
    settings = settings_of(small_files(), mirrors=(f"https://me:{password}@host/x",))
    assert settings.mirrors == ("https://host/x",)
    with pytest.raises(SettingsError) as told:
        DataSettings.build({"mirrors": [f"http://me:{password}@host/x"]})
    assert password not in str(told.value)


@given(PASSWORDS)
def test_the_password_is_sent_to_whom_it_is_for(password: str) -> None:
    request = _request(f"https://me:{quote(password, safe='')}@host/x/b.gz?year=1998")
    assert request.full_url == "https://host/x/b.gz?year=1998"
    code = request.unredirected_hdrs["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(code).decode() == f"me:{password}"
    assert "Authorization" not in request.headers


def test_an_address_without_a_password_is_left_alone() -> None:
    for address in ("https://a.example/x@y/", "https://a.example:80/x", "https://a.example/?year=1998"):
        assert (kept(address), private(address)) == (address, address)
