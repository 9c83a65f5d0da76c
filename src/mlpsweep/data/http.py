"""One request over https with a time limit, and the reason if it fails."""

import base64
import http.client
import ipaddress
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import Future
from typing import IO

from mlpsweep.errors import hide_passwords
from mlpsweep.passwords import login_of, public, without_login


class MirrorFault(Exception):  # noqa: N818  # not an error by itself: the next mirror is tried
    """The reason why one mirror did not give one file.

    Parameters
    ----------
    reason : str
        A few words for the message.
    was_reached : bool
        Whether the mirror answered; a stand-in replaces a set only if no mirror did.
    """

    def __init__(self, reason: str, *, was_reached: bool) -> None:
        super().__init__(reason)
        self.reason, self.was_reached = reason, was_reached


def is_allowed(url: str, *, http_on_loopback: bool) -> bool:
    """Return whether a URL may be requested: https always, http only to this machine and if ``http_on_loopback``."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return False
    is_local = http_on_loopback and parts.scheme == "http" and _is_loopback(parts.hostname)
    return is_local or (parts.scheme == "https" and bool(parts.hostname))


def open_url(url: str, timeout_s: float) -> http.client.HTTPResponse:
    """Return the response to a request, status 200, with its body unread; user and password are sent along.

    Name look-up, all addresses, handshake, redirects and headers share ``timeout_s`` seconds. Socket time-outs cannot
    promise that (they start anew at each address and each header), so a thread sends the request.

    Parameters
    ----------
    url : str
        Address that :func:`is_allowed` accepts.
    timeout_s : float
        Longest wait for the headers, seconds.

    Raises
    ------
    MirrorFault
        If no response comes in time, or one of another status.
    """
    answers: Future[http.client.HTTPResponse | MirrorFault] = Future()

    def put_answer() -> None:
        answer = _open(url, timeout_s / 2)
        if answers.set_running_or_notify_cancel():
            answers.set_result(answer)
        elif isinstance(answer, http.client.HTTPResponse):  # too late: the caller has given up
            answer.close()

    threading.Thread(target=put_answer, name=f"open {public(url)}", daemon=True).start()
    try:
        answer = answers.result(timeout_s)
    except TimeoutError as error:
        if answers.cancel():
            raise MirrorFault(f"no answer in {timeout_s:g} s", was_reached=False) from error
        answer = answers.result()
    if isinstance(answer, MirrorFault):
        raise answer
    return answer


def _open(url: str, silence_s: float) -> http.client.HTTPResponse | MirrorFault:
    try:
        request = _request(url)
        answer: http.client.HTTPResponse = _opener(request.full_url).open(request, timeout=silence_s)
    except MirrorFault as fault:
        return fault
    except urllib.error.HTTPError as error:
        error.close()
        return MirrorFault(reason_of(error), was_reached=True)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return MirrorFault(reason_of(error), was_reached=False)
    return answer


def _request(url: str) -> urllib.request.Request:
    """Return the request for an address; a redirect does not carry its user and password on to another host."""
    request = urllib.request.Request(without_login(url))  # noqa: S310  # is_allowed has seen it
    if login := urllib.parse.unquote(login_of(url)):
        code = base64.b64encode(login.encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {code}")
    return request


def reason_of(error: Exception) -> str:
    """Return the reason of an exception in a few words, on one line."""
    if isinstance(error, urllib.error.HTTPError):
        return "redirects in a circle" if 300 <= error.code < 400 else f"HTTP {error.code}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return "timed out"
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return hide_passwords(" ".join(text.split()))


class _HttpsRedirects(urllib.request.HTTPRedirectHandler):
    """Follow no redirect that leaves https."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not is_allowed(newurl, http_on_loopback=req.type == "http"):
            fp.close()
            raise MirrorFault(f"redirects to {public(newurl)}, which is not https", was_reached=True)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> urllib.request.OpenerDirector:
    is_local = _is_loopback(urllib.parse.urlsplit(url).hostname)
    return urllib.request.build_opener(
        urllib.request.ProxyHandler({} if is_local else None),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        _HttpsRedirects(),
    )


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
