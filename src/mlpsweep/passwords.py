"""Addresses with passwords: what is shown and saved has none, what is asked has them.

A password goes from where the user gave it into this process's environment, which the processes that it starts inherit,
and from there into the request. No file and no setting holds it.
"""

import json
import os
import re
from typing import Final

from mlpsweep.errors import hide_parameters

ADDRESSES: Final = "MLPSWEEP_ADDRESSES"
# A password may hold what would end the host part: so "user:" begins one that reaches to the last @.
_LOGIN: Final = re.compile(r"(?<=://)(?:[^/?#@:\s]*:\S*|[^/?#\s]*)@")


def login_of(address: str) -> str:
    """Return ``user:password`` of an address, as written in it; empty if it has none.

    Examples
    --------
    >>> login_of("https://me:a/b@c@host/x?token=t")
    'me:a/b@c'
    """
    found = _LOGIN.search(address)
    return found.group()[:-1] if found else ""


def without_login(address: str) -> str:
    """Return an address without user and password, its query as it is."""
    return _LOGIN.sub("", address, count=1)


def public(address: str) -> str:
    """Return an address fit to be shown and saved.

    Examples
    --------
    >>> public("https://me:a/b@c@host/x?token=t&year=1998")
    'https://host/x?token=***&year=1998'
    """
    return hide_parameters(without_login(address))


def kept(address: str) -> str:
    """Return an address fit to be shown and saved; :func:`private` gives the whole one back."""
    shown = public(address)
    if shown != address:
        os.environ[ADDRESSES] = json.dumps(_addresses() | {shown: address})
    return shown


def private(address: str) -> str:
    """Return the address as it was given to :func:`kept`, here or in a process that started this one."""
    return _addresses().get(address, address)


def _addresses() -> dict[str, str]:
    return dict(json.loads(os.environ.get(ADDRESSES, "{}")))
