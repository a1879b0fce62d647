"""The echo backends that all scenarios share: two in clear, two over TLS; and small ones that a scenario starts itself. In: nothing. Out: running servers, by name."""

import contextlib
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import msgspec

from weirkeeper.testing.certificates import Authority, PemPair
from weirkeeper.testing.echo import EchoServer, echo_thread

SECURE_NAME = "backend.internal"


class Backends(msgspec.Struct, frozen=True, kw_only=True):
    """`a` and `b` answer in clear, `secure` and `second` over TLS with a certificate for `backend.internal` by `authority`; they ask clients for one."""

    a: EchoServer
    b: EchoServer
    secure: EchoServer
    second: EchoServer
    authority: Authority


@contextlib.contextmanager
def running_backends() -> Iterator[Backends]:
    """The backends, until the block ends."""
    authority = Authority("conformance backends")
    with contextlib.ExitStack() as stack:
        yield Backends(
            a=stack.enter_context(echo_thread(name="a")),
            b=stack.enter_context(echo_thread(name="b")),
            secure=stack.enter_context(echo_thread(name="secure", tls=_context(authority))),
            second=stack.enter_context(echo_thread(name="second", tls=_context(authority))),
            authority=authority,
        )


def _context(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, authority.issue(SECURE_NAME))
    context.load_verify_locations(cadata=authority.pem().decode("ascii"))
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _load(context: ssl.SSLContext, pair: PemPair) -> None:
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "certificate"), Path(folder, "key")
        certificate.write_bytes(pair.certificate)
        key.write_bytes(pair.key)
        context.load_cert_chain(certificate, key)


class ListeningBackend:
    """A backend that keeps the first bytes of a connection and answers a bare 200."""

    def __init__(self) -> None:
        """Listen."""
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.server.getsockname()[1]
        self.first = b""

    def serve(self) -> None:
        """Until the socket is closed."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.server.accept()
                with connection:
                    self.first = connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")


@contextlib.contextmanager
def listening_backend() -> Iterator[ListeningBackend]:
    """One, until the block ends."""
    backend = ListeningBackend()
    thread = threading.Thread(target=backend.serve, daemon=True)
    thread.start()
    try:
        yield backend
    finally:
        backend.server.shutdown(socket.SHUT_RDWR)
        backend.server.close()
        thread.join()


@contextlib.contextmanager
def datagram_echo(answer: bytes) -> Iterator[int]:
    """The port of a backend that answers every datagram with this, until the block ends."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]

        def serve() -> None:
            while (came := server.recvfrom(65536))[0]:
                server.sendto(answer, came[1])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield port
        finally:
            server.sendto(b"", ("127.0.0.1", port))
            thread.join()


ALLOWED_HEADER = b"x-judge"
REFUSAL = b"\x0a\x02\x08\x07"
"""``CheckResponse`` with the status PERMISSION_DENIED (7)."""


def _field(number: int, body: bytes) -> bytes:
    return bytes((number << 3 | 2, len(body))) + body


def _approval() -> bytes:
    """``CheckResponse.ok_response`` with one header for the backend."""
    header = _field(1, ALLOWED_HEADER) + _field(2, b"passed")
    return _field(3, _field(2, _field(1, header)))


@contextlib.contextmanager
def judging_backend(word: bytes) -> Iterator[int]:
    """The port of a gRPC service that lets requests pass in which this word stands (envoy.service.auth.v3.Authorization), until the block ends."""

    def check(asked: bytes, _: object) -> bytes:
        return _approval() if word in asked else REFUSAL

    handler = grpc.method_handlers_generic_handler(
        "envoy.service.auth.v3.Authorization", {"Check": grpc.unary_unary_rpc_method_handler(check)}
    )
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()
