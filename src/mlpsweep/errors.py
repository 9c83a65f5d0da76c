"""The exceptions that a user may see, each with the exit code of the command.

::

    MlpsweepError
    ├── SettingsError (ValueError)   2   a setting out of range or unknown
    ├── DataError (ValueError)       3
    │   ├── DataFormatError              bytes are not what the header or the task says
    │   ├── ChecksumError                expected and actual SHA-256 differ
    │   └── ShapeError                   two arrays do not fit each other
    ├── StorageError (OSError)       4   study or tracking store unavailable, full or damaged
    └── NoResultError                5   ended without the promised result
        └── DivergenceError              non-finite loss

A message reads *where: what is wrong, with the value; what was expected. How to put it right.*
The one handler is in ``pipeline/outcome.py``.
"""

import re
from typing import Final
from urllib.parse import unquote


class MlpsweepError(Exception):
    """Base of all expected errors: one or more messages, and an exit code.

    Parameters
    ----------
    messages : str
        One message for each fault; passwords are blotted out.
    """

    exit_code: int = 1

    def __init__(self, *messages: str) -> None:
        self.messages = tuple(map(hide_passwords, messages))
        super().__init__(*self.messages)

    def __str__(self) -> str:
        return "\n".join(self.messages)


class SettingsError(MlpsweepError, ValueError):
    """One message for each setting that is out of range, of the wrong type, or unknown."""

    exit_code = 2


class DataError(MlpsweepError, ValueError):
    """Data that is missing, damaged, or not what it claims to be."""

    exit_code = 3


class DataFormatError(DataError):
    """Bytes are not what their header or the task says."""


class ChecksumError(DataError):
    """A file's SHA-256 is not the expected one."""


class ShapeError(DataError):
    """Two arrays do not fit each other; the message names both and both shapes."""


class StorageError(MlpsweepError, OSError):
    """The study or the tracking store is unavailable, full or damaged."""

    exit_code = 4


class NoResultError(MlpsweepError):
    """The work ended without the promised result."""

    exit_code = 5


class DivergenceError(NoResultError):
    """The loss became NaN or infinite.

    Parameters
    ----------
    epoch : int
        Epoch of the batch, from 1.
    update : int
        Number of the update of the batch, from 1, counted over the whole training.
    learning_rate : float
        Learning rate of that update.
    loss : float
        Loss of the batch, NaN or infinite.
    """

    def __init__(self, epoch: int, update: int, learning_rate: float, loss: float) -> None:
        super().__init__(
            f"training: the loss is {loss} at epoch {epoch}, update {update}, with learning rate {learning_rate:g}; "
            "expected a finite number. Lower learning_rate or l2_lambda, or choose another initializer."
        )
        self.epoch, self.update, self.learning_rate, self.loss = epoch, update, learning_rate, loss

    def __reduce__(self) -> tuple[type["DivergenceError"], tuple[int, int, float, float]]:
        # Processes pass exceptions on by pickling, which would call __init__ with the message.
        return DivergenceError, (self.epoch, self.update, self.learning_rate, self.loss)


MAX_QUOTED: Final = 120
MAX_WORD: Final = 1000
"""Longer than most paths."""
_LOGIN: Final = re.compile(r"://\S*@")
_PARAMETER: Final = re.compile(r"(?<=[?&;])([^\s?&;=]+)=([^\s&]*)")
_SECRET: Final = re.compile(r"pass|pwd|token|secret|auth|cred|key|sig|odbc_connect", re.IGNORECASE)
_PASSWORD: Final = re.compile(r"\b(\w*(?:password|passwd|pwd))=[^\s&]+", re.IGNORECASE)


def hide_passwords(text: str) -> str:
    """Return a text fit to be shown: what may be a password in an address or in ``password=...`` is blotted out.

    A password may hold any character but white space, and ``&`` in a query. So too much is blotted out rather than
    too little: all that lies before the last ``@`` of a word, and the word's end behind ``token=``.

    Examples
    --------
    >>> hide_passwords("GET http://me:a/b@c@host:5000/x?year=1998&api_key=k failed")
    'GET http://***@host:5000/x?year=1998&api_key=*** failed'
    """
    return hide_parameters(_LOGIN.sub("://***@", text))


def hide_parameters(text: str) -> str:
    """Return a text in which no ``password=...`` of an address's query, or of a driver, can be read."""

    def hidden(found: re.Match[str]) -> str:
        return f"{found[1]}=***" if _SECRET.search(unquote(found[1])) else found[0]

    return _PASSWORD.sub(r"\1=***", _PARAMETER.sub(hidden, text))


def quoted(value: object) -> str:
    """Return a value as a message shows it: as Python writes it, with the middle of a long one left out.

    Examples
    --------
    >>> quoted("rleu")
    "'rleu'"
    """
    try:
        return _cut(repr(value), MAX_QUOTED)
    except ValueError:  # Python writes no integer of more than 4,300 digits
        return f"{type(value).__name__} of many digits"


def readable(message: str) -> str:
    """Return a message whose words no person would read to their end, such as numbers of a thousand digits, are cut."""
    return re.sub(rf"\S{{{MAX_WORD},}}", lambda found: _cut(found[0], MAX_QUOTED), message)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 20]} ... {text[-15:]}"


def reason_of(error: BaseException) -> str:
    """Return the message of the system or the database behind an error in one line, such as ``Connection refused``."""
    told: BaseException = error
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            told = cause
        told = getattr(cause, "orig", None) or told  # the database driver's own error
        cause = cause.__cause__ or cause.__context__
    text = (getattr(told, "strerror", None) or str(told) or type(told).__name__).splitlines()[0]
    return hide_passwords(text)
