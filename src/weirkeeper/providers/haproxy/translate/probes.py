"""How endpoints are probed: by HTTP, by gRPC's health protocol, or by whether they take a connection. In: the wish of a backend. Out: lines of its section.

HAProxy has no gRPC check. One is a few bytes that are always the same: a connection by HTTP/2 (RFC 9113, 3.4), one request (HPACK, RFC 7541) and an empty message; and what
must come back is the message that says SERVING (grpc.health.v1, ``HealthCheckResponse``), before which nothing may be said but the length of it.
"""

from collections.abc import Iterator

from weirkeeper.model.backend import Backend, HealthCheck
from weirkeeper.providers.haproxy.translate.quoting import literal, word

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_PATH = b"/grpc.health.v1.Health/Check"
_SETTINGS, _DATA, _HEADERS = 4, 0, 1
_END_STREAM, _END_HEADERS = 1, 4
_EMPTY_MESSAGE = bytes(5)
_SERVING = bytes((0, 0, 0, 0, 2, 8, 1))


def probe(backend: Backend) -> Iterator[str]:
    """The lines for a backend's probe."""
    wished = backend.health
    if wished is None:
        return
    yield f"timeout check {max(wished.timeout, 1)}ms"
    if wished.kind == "http":
        host = f" hdr host {literal(wished.host)}" if wished.host else " hdr host localhost"
        yield "option httpchk"
        yield f"http-check send meth GET uri {word(wished.path)} ver HTTP/1.1{host}"
    elif wished.kind == "grpc":
        yield "option tcp-check"
        yield f"tcp-check send-binary {_question(wished, tls=backend.tls is not None).hex()}"
        yield f"tcp-check expect binary {_SERVING.hex()}"


def _question(wished: HealthCheck, *, tls: bool) -> bytes:
    host = (wished.host or "localhost").encode()
    block = b"\x83" + (b"\x87" if tls else b"\x86") + b"\x44" + _text(_PATH) + b"\x41" + _text(host)
    block += b"\x5f" + _text(b"application/grpc") + b"\x40" + _text(b"te") + _text(b"trailers")
    headers = _frame(_HEADERS, _END_HEADERS, 1, block)
    return _PREFACE + _frame(_SETTINGS, 0, 0, b"") + headers + _frame(_DATA, _END_STREAM, 1, _EMPTY_MESSAGE)


def _text(text: bytes) -> bytes:
    """A string literal; 127 bytes and more have a length of several (RFC 7541, 5.1)."""
    size = len(text)
    if size < 127:
        return bytes((size,)) + text
    rest, length = size - 127, bytearray((127,))
    while rest >= 128:
        length.append(rest % 128 + 128)
        rest //= 128
    return bytes((*length, rest)) + text


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return len(content).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + content
