"""gRPC's health protocol as bytes that are always the same, for engines that have no such probe of their own. Pure.

In: the host that is asked for. Out: a connection by HTTP/2 (RFC 9113, 3.4) with one request (HPACK, RFC 7541) and an empty message. What must come back holds the message that says SERVING
(grpc.health.v1, ``HealthCheckResponse``), before which nothing may be said but the length of it.
"""

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_PATH = b"/grpc.health.v1.Health/Check"
_SETTINGS, _DATA, _HEADERS = 4, 0, 1
_END_STREAM, _END_HEADERS = 1, 4
_EMPTY_MESSAGE = bytes(5)
SERVING = bytes((0, 0, 0, 0, 2, 8, 1))


def question(host: str, *, tls: bool) -> bytes:
    """What a probe sends."""
    block = b"\x83" + (b"\x87" if tls else b"\x86") + b"\x44" + _text(_PATH) + b"\x41" + _text(host.encode())
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
