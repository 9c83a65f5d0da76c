"""Whether a tracking server is there: any answer will do, and no answer is told within seconds, without a password."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from mlpsweep.errors import StorageError
from mlpsweep.tracking.settings import TrackingSettings
from mlpsweep.tracking.store import reach_store


@contextmanager
def answering(answer: bytes) -> Iterator[Callable[[], str]]:
    """Serve one answer, whatever is asked; yield the port and, as a function, what was asked."""
    asked = []
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(65536).decode())
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield lambda: f"{server.getsockname()[1]}" if not asked else asked[0]
        thread.join(timeout=10)


def settings(uri: str) -> TrackingSettings:
    return TrackingSettings(experiment=None, uri=uri)


@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized", "404 Not Found", "503 Service Unavailable"])
def test_any_answer_will_do(status: str) -> None:
    with answering(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()) as told:
        reach_store(settings(f"http://me:secret@127.0.0.1:{told()}/base"))
        assert told().startswith("GET /base/health ")
        assert "secret" not in told()


def test_an_answer_that_is_not_one_of_the_web_is_an_error() -> None:
    with (
        answering(b"220 mail ready\r\n") as told,
        pytest.raises(StorageError, match="no answer of a web server") as caught,
    ):
        reach_store(settings(f"http://me:secret@127.0.0.1:{told()}"))
    assert "secret" not in str(caught.value)


def test_nobody_there_is_an_error_that_names_the_address_without_its_password() -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(StorageError, match=f"http://\\*\\*\\*@127.0.0.1:{port}: Connection refused"):
            reach_store(settings(f"http://me:secret@127.0.0.1:{port}"))
