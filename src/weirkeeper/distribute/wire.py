"""Delta discovery messages as bytes: requests decoded, responses concatenated from resources that are already bytes.

Comes in: bytes of a ``DeltaDiscoveryRequest``, or engine items. Goes out: a ``Request``, or bytes of a ``DeltaDiscoveryResponse``. No protobuf
library: copying 10,000 resources through message objects costs more than sending them, and a strict decoder ends the stream when an anonymous
client sends an SNI that is no UTF-8 (docs/decisions/0003). Such names are left out here: they cannot be answered, for the engine would
refuse to read its own bytes back. What is no protobuf at all raises ``Malformed``.
"""

from collections.abc import Iterator

import msgspec

_WIDTH = {1: 8, 5: 4}
_SCOPE_ROUTES, _ROUTES_METADATA = 5, 17
MARK = "weirkeeper.sent/"
"""How the mark of a scope begins, which is a key in its metadata that nothing reads."""
ADDRESSES = "weirkeeper.addresses"
"""The key in a node's metadata under which an instance lists the addresses at which clients reach it."""
TROUBLE = "weirkeeper.trouble"
"""The key under which an agent says why its engine does not do what is wished; without it, it does."""


class Malformed(ValueError):
    """The bytes are not a protobuf message; the stream that sent them ends."""


class Node(msgspec.Struct, frozen=True):
    """Who is asking: the id that it claims, which engine of which version it is, the addresses that its metadata lists, and what ails its engine."""

    id: str = ""
    engine: str = ""
    addresses: tuple[str, ...] = ()
    trouble: str = ""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One delta request. ``error`` is None unless the response named by ``nonce`` was refused."""

    kind: str
    node: Node | None = None
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    held: dict[str, str] = {}
    nonce: str = ""
    error: str | None = None


def varint(number: int) -> bytes:
    """The number as protobuf writes it."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, value: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def resource(kind: str, name: str, version: str, body: bytes) -> bytes:
    """One entry of ``resources``, ready to be concatenated."""
    packed = field(1, kind.encode()) + field(2, body)
    return field(2, field(1, version.encode()) + field(2, packed) + field(3, name.encode()))


def renamed(body: bytes, name: str) -> bytes:
    """A message whose first field is its name, under another name: the last value of a field counts."""
    return body + field(1, name.encode())


def marked(scope: bytes, mark: str) -> bytes:
    """A ``ScopedRouteConfiguration`` of the same meaning and other bytes: its inline routes carry a mark in their metadata. Messages that are repeated merge."""
    return scope + field(
        _SCOPE_ROUTES, field(_ROUTES_METADATA, field(1, field(1, (MARK + mark).encode()) + field(2, b"")))
    )


def response(kind: str, nonce: str, resources: list[bytes], removed: list[str], mark: str = "") -> bytes:
    """A whole delta response. ``mark`` is its ``system_version_info``."""
    gone = [field(6, name.encode()) for name in removed]
    said = (field(1, mark.encode()),) if mark else ()
    return b"".join((*said, *resources, field(4, kind.encode()), field(5, nonce.encode()), *gone))


def request(raw: bytes) -> Request:
    """The request in these bytes."""
    single: dict[int, bytes] = {}
    many: dict[int, list[str]] = {3: [], 4: []}
    held: dict[str, str] = {}
    for number, value in fields(raw):
        if number in many:
            many[number].extend(_text(value))
        elif number == 5:
            held.update(_pair(value))
        else:
            single[number] = value
    return Request(
        kind=_lossy(single.get(2, b"")),
        node=_node(single[1]) if 1 in single else None,
        subscribe=tuple(many[3]),
        unsubscribe=tuple(many[4]),
        held=held,
        nonce=_lossy(single.get(6, b"")),
        error=_lossy(dict(fields(single[7])).get(2, b"")) if 7 in single else None,
    )


def fields(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a message, in order; numbers come as their bytes."""
    at, end = 0, len(raw)
    while at < end:
        tag, at = _number(raw, at)
        start, shape = at, tag & 7
        if shape == 2:
            size, start = _number(raw, at)
            at = start + size
        elif shape == 0:
            _, at = _number(raw, at)
        elif shape in _WIDTH:
            at += _WIDTH[shape]
        else:
            raise Malformed(f"wire type {shape}")
        if at > end:
            raise Malformed("cut short")
        yield tag >> 3, raw[start:at]


def _number(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(raw) and shift < 64:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise Malformed("a number without an end")


def _text(value: bytes) -> tuple[str, ...]:
    try:
        return (value.decode(),)
    except UnicodeDecodeError:
        return ()


def _lossy(value: bytes) -> str:
    return value.decode(errors="replace")


def _pair(value: bytes) -> dict[str, str]:
    parts = dict(fields(value))
    return {name: _lossy(parts.get(2, b"")) for name in _text(parts.get(1, b""))}


def _node(value: bytes) -> Node:
    parts = dict(fields(value))
    version = _build(parts[8]) if 8 in parts else _lossy(parts.get(7, b""))
    engine = f"{_lossy(parts.get(6, b''))} {version}".strip()
    said = _metadata(parts.get(3, b""))
    listed = dict(fields(said.get(ADDRESSES.encode(), b""))).get(6, b"")
    addresses = tuple(_lossy(dict(fields(value)).get(3, b"")) for _, value in fields(listed))
    trouble = _lossy(dict(fields(said.get(TROUBLE.encode(), b""))).get(3, b""))
    return Node(_lossy(parts.get(1, b"")), engine, addresses, trouble)


def _metadata(value: bytes) -> dict[bytes, bytes]:
    """The values of a ``google.protobuf.Struct``, by key."""
    entries = (dict(fields(entry)) for _, entry in fields(value))
    return {entry.get(1, b""): entry.get(2, b"") for entry in entries}


def _build(value: bytes) -> str:
    version = dict(fields(dict(fields(value)).get(1, b"")))
    return ".".join(str(_number(version.get(n, b"\0"), 0)[0]) for n in (1, 2, 3))
