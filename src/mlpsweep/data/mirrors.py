"""The mirrors of a data set, and fetching one file from one of them; ``download`` decides which files to fetch."""

import contextlib
import hashlib
import http.client
import os
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from mlpsweep.data.http import MirrorFault, is_allowed, open_url, reason_of
from mlpsweep.data.local import take
from mlpsweep.data.source import DataFile
from mlpsweep.errors import SettingsError
from mlpsweep.files import open_atomic
from mlpsweep.passwords import private, public
from mlpsweep.settings import DataSettings

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called as ``progress(name, n_read, n_promised)``: a file's name, its bytes fetched so far, and its size in bytes, 0
if the mirror does not tell it."""

CHUNK_BYTES = 1 << 16
MIN_BYTES_PER_S = 1024  # a mirror slower than a 1990s modem is a stalled one
TIMEOUT_S = 12.0  # two dead mirrors cost less than half a minute


@dataclass(frozen=True, slots=True)
class Mirror:
    """A folder on the web or on this machine.

    Parameters
    ----------
    location : str
        URL or path, without passwords.
    folder : Path or None
        Where the files lie, if on this machine.
    address : str
        What is asked, with its passwords; the location, if empty.
    """

    location: str
    folder: Path | None = None
    address: str = field(default="", repr=False, compare=False)

    def url(self, name: str) -> str:
        """Return the address of one file; it may hold a password."""
        folder, mark, query = (self.address or self.location).partition("?")
        return f"{folder.rstrip('/')}/{urllib.parse.quote(name)}{mark}{query}"


def named_mirror(name: str) -> str:
    """Return what the user's ``<NAME>_MIRROR`` says; empty if it is not set."""
    return os.environ.get(f"{name.upper()}_MIRROR", "").strip()


def mirrors_of(settings: DataSettings) -> tuple[Mirror, ...]:
    """Return the mirrors in the order to try them: the environment's ``<NAME>_MIRROR``, then those of the settings.

    Raises
    ------
    SettingsError
        If a mirror may not be used: those of the settings must be https; the environment's may also be http on this
        machine, or a folder.
    """
    extra = named_mirror(settings.name)
    from_environment = (_environment_mirror(extra, f"{settings.name.upper()}_MIRROR"),) if extra else ()
    mirrors = tuple(Mirror(public(url), address=private(url)) for url in settings.mirrors)
    refused = [mirror.location for mirror in mirrors if not is_allowed(mirror.location, http_on_loopback=False)]
    if refused:
        raise SettingsError(*(f"data.mirrors: {url!r} may not be used; expected an https address." for url in refused))
    return from_environment + mirrors


def _environment_mirror(location: str, variable: str) -> Mirror:
    if location.startswith("file:"):
        return Mirror(location, Path(urllib.request.url2pathname(urllib.parse.urlsplit(location).path)))
    if "://" not in location:
        return Mirror(location, Path(location).expanduser())
    mirror = Mirror(public(location), address=location)
    if not is_allowed(mirror.location, http_on_loopback=True):
        raise SettingsError(
            f"{variable}: {mirror.location!r} may not be used; expected https, http on this machine, file:// or a "
            f"folder. Example: {variable}=/data/{variable.removesuffix('_MIRROR').lower()}"
        )
    return mirror


def fetch(mirror: Mirror, file: DataFile, raw: Path, progress: Progress, timeout_s: float) -> None:
    """Write one file of a mirror into the folder ``raw``; unless it is the right one, ``raw`` stays as it was.

    Parameters
    ----------
    mirror : Mirror
        The mirror to ask.
    file : DataFile
        Name, checksum and size of the file.
    raw : Path
        Folder to write into, atomically.
    progress : callable
        Callback after each chunk, see :data:`Progress`.
    timeout_s : float
        Longest wait for the first answer, seconds; later waits may take half of it.

    Raises
    ------
    MirrorFault
        If the mirror does not answer in time, or sends another file; if it is a folder without the right file.
    OSError
        If ``raw`` cannot be written.
    """
    if mirror.folder is not None:
        n_bytes = take(file, mirror.folder, raw).stat().st_size
        progress(file.name, n_bytes, n_bytes)
        return
    digest, n_read = hashlib.sha256(), 0
    with _opened(mirror.url(file.name), timeout_s) as (body, n_promised), open_atomic(raw / file.name) as stream:
        for chunk in _chunks(body, timeout_s):
            digest.update(chunk)
            n_read += len(chunk)
            if n_read > file.max_bytes:
                raise MirrorFault(f"sends more than {file.max_bytes:,} bytes", was_reached=True)
            stream.write(chunk)
            progress(file.name, n_read, n_promised)
        if n_read < n_promised:
            raise MirrorFault(f"ends after {n_read:,} of {n_promised:,} bytes", was_reached=True)
        if file.sha256 not in (None, digest.hexdigest()):
            found = f"{n_read:,} bytes with SHA-256 {digest.hexdigest()}"
            raise MirrorFault(f"wrong contents, {found} instead of {file.sha256}", was_reached=True)


@contextlib.contextmanager
def _opened(url: str, timeout_s: float) -> Iterator[tuple[Any, int]]:
    """Yield the body of one file and its promised size in bytes, 0 if unknown."""
    with open_url(url, timeout_s) as response:
        n_promised = response.headers.get("Content-Length", "")
        yield response, int(n_promised) if n_promised.isdecimal() else 0


def _chunks(body: Any, timeout_s: float) -> Iterator[bytes]:
    """Yield chunks as they arrive; give up a body that is slower than ``MIN_BYTES_PER_S``."""
    start_s, n_read = time.monotonic(), 0
    while True:
        try:
            chunk = body.read1(CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise MirrorFault(f"stops after {n_read:,} bytes ({reason_of(error)})", was_reached=True) from error
        if not chunk:
            return
        n_read += len(chunk)
        if time.monotonic() - start_s > timeout_s + n_read / MIN_BYTES_PER_S:
            raise MirrorFault(f"slower than {MIN_BYTES_PER_S} bytes/s", was_reached=True)
        yield chunk
