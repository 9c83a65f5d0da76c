"""A mirror on this machine that misbehaves in one of many ways, over http or https."""

import datetime
import http.server
import ipaddress
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

PAUSE_S = 0.005
HTML = b"<html><body>Sign in to use this network</body></html>"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: "FaultyServer"

    def do_GET(self) -> None:
        self.server.n_requests += 1
        MODES[self.server.mode](self, self.server.files.get(self.path.lstrip("/")))

    def log_message(self, *args: Any) -> None:
        pass

    def start(self, code: int, **headers: object) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def wait(self) -> None:
        """Say nothing more until the test is over."""
        self.server.is_over.wait(10)


class FaultyServer(http.server.ThreadingHTTPServer):
    """Serves ``files`` by name; counts connections and requests, and the bytes of bodies that have no end.

    Parameters
    ----------
    files : dict of str to bytes
    mode : str
        A key of ``MODES``; may be changed while it serves.
    certificate : Path, optional
        PEM file with certificate and key: serve https.
    target : str
        Where redirects lead.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(
        self, files: dict[str, bytes], mode: str = "good", certificate: Path | None = None, target: str = ""
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.mode, self.target = files, mode, target
        self.n_connections = self.n_requests = self.n_endless_bytes = 0
        self.is_over = threading.Event()
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self.server_port}"

    def get_request(self) -> tuple[Any, Any]:
        self.n_connections += 1
        return super().get_request()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no fault of the test."""

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_over.set()
        self.shutdown()
        self._thread.join()
        self.server_close()


Mode = Callable[[_Handler, bytes | None], None]


def _good(handler: _Handler, body: bytes | None) -> None:
    handler.start(404 if body is None else 200, Content_Length=len(body or b""))
    handler.wfile.write(body or b"")


def _contents(replace: Callable[[bytes], bytes]) -> Mode:
    return lambda handler, body: _good(handler, replace(body or b""))


def _status(code: int) -> Mode:
    return lambda handler, body: handler.start(code, Content_Length=0)


def _promised(share: float) -> Mode:
    """Send a part of the body, all of it promised, and hang up."""

    def send(handler: _Handler, body: bytes | None) -> None:
        handler.start(200, Content_Length=len(body or b""))
        handler.wfile.write((body or b"")[: int(share * len(body or b""))])

    return send


def _unpromised_half(handler: _Handler, body: bytes | None) -> None:
    handler.start(200)
    handler.wfile.write((body or b"")[: len(body or b"") // 2])


def _stall(handler: _Handler, body: bytes | None) -> None:
    _promised(0.5)(handler, body)
    handler.wait()


def _silent(handler: _Handler, body: bytes | None) -> None:
    handler.wait()


def _endless_headers(handler: _Handler, body: bytes | None) -> None:
    handler.wfile.write(b"HTTP/1.0 200 OK\r\n")
    while not handler.server.is_over.wait(PAUSE_S * 10):
        handler.wfile.write(b"X-More: yes\r\n")


def _pieces(n_bytes: int, pause_s: float) -> Mode:
    def send(handler: _Handler, body: bytes | None) -> None:
        handler.start(200, Content_Length=len(body or b""))
        for start in range(0, len(body or b""), n_bytes):
            handler.wfile.write((body or b"")[start : start + n_bytes])
            time.sleep(pause_s)

    return send


def _endless(handler: _Handler, body: bytes | None) -> None:
    handler.start(200)
    while not handler.server.is_over.is_set():
        handler.wfile.write(bytes(4096))
        handler.server.n_endless_bytes += 4096


def _redirect_to_self(handler: _Handler, body: bytes | None) -> None:
    handler.start(302, Location=handler.path, Content_Length=0)


def _redirect(handler: _Handler, body: bytes | None) -> None:
    handler.start(302, Location=handler.server.target + handler.path, Content_Length=0)


def _chunked(handler: _Handler, body: bytes | None) -> None:
    handler.protocol_version = "HTTP/1.1"
    handler.start(200, Transfer_Encoding="chunked", Connection="close")
    handler.wfile.write(f"{len(body or b''):x}\r\n".encode() + (body or b"") + b"\r\n0\r\n\r\n")


def _broken_chunks(handler: _Handler, body: bytes | None) -> None:
    handler.protocol_version = "HTTP/1.1"
    handler.start(200, Transfer_Encoding="chunked", Connection="close")
    handler.wfile.write(b"ffff\r\nabc")


def _odd_length(handler: _Handler, body: bytes | None) -> None:
    handler.start(200, Content_Length="\xb2")
    handler.wfile.write(body or b"")


def _not_http(handler: _Handler, body: bytes | None) -> None:
    handler.wfile.write(b"220 ftp ready\r\n")


MODES: MappingProxyType[str, Mode] = MappingProxyType(
    {
        "good": _good,
        "chunked": _chunked,
        "odd_length": _odd_length,
        "throttled": _pieces(1024, PAUSE_S),
        "html200": _contents(lambda body: HTML),
        "status403": _status(403),
        "status404": _status(404),
        "status500": _status(500),
        "status503": _status(503),
        "empty": _contents(lambda body: b""),
        "short": _promised(0.5),
        "unpromised_half": _unpromised_half,
        "wrong_file": _contents(lambda body: bytes(len(body))),
        "one_flipped_bit": _contents(lambda body: bytes([body[0] ^ 1]) + body[1:]),
        "broken_chunks": _broken_chunks,
        "stall": _stall,
        "drip": _pieces(1, PAUSE_S * 10),
        "endless": _endless,
        "redirect_loop": _redirect_to_self,
        "redirect": _redirect,
        "silent": _silent,
        "endless_headers": _endless_headers,
        "hang_up": lambda handler, body: None,
        "not_http": _not_http,
    }
)


def make_certificate(path: Path) -> Path:
    """Write a certificate for this machine and its key into one PEM file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test mirror")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    return path
