"""Delta discovery messages as an agent writes and reads them: the other side of ``wire``, as bytes and as little as is needed.

Comes in: what to ask for, or bytes of a ``DeltaDiscoveryResponse``. Goes out: bytes of a ``DeltaDiscoveryRequest``, or a ``Response``. Pure; what is no protobuf raises ``wire.Malformed``.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from weirkeeper.distribute.wire import ADDRESSES, TROUBLE, field, fields

REFUSED = b"\x08\x03"
"""``google.rpc.Status.code`` INVALID_ARGUMENT."""


class Asker(NamedTuple):
    """Who asks: the node's id, its engine and that engine's version, the addresses at which clients reach it, and why it does not do what is wished (empty: it does)."""

    node: str
    engine: str
    version: str
    addresses: tuple[str, ...] = ()
    trouble: str = ""


class Change(NamedTuple):
    """One item of a response; without a body it is gone."""

    name: str
    version: str
    body: bytes | None


class Response(NamedTuple):
    """One response. ``mark`` is not empty on the last one of a round: then it is the number of kinds that were asked for."""

    kind: str
    nonce: str
    changes: tuple[Change, ...]
    mark: str


def subscription(kind: str, held: Mapping[str, str], asker: Asker | None = None) -> bytes:
    """Asks for all items of a kind, saying which versions are there already. The first request of a stream says who asks."""
    claims = (field(5, field(1, name.encode()) + field(2, version.encode())) for name, version in held.items())
    who = () if asker is None else (field(1, _node(asker)),)
    return b"".join((*who, field(2, kind.encode()), *claims))


def condition(kind: str, asker: Asker) -> bytes:
    """Says how who asks is now, on a stream that has begun. It asks for nothing, and older control planes pass over it."""
    return field(1, _node(asker)) + field(2, kind.encode())


def answer(kind: str, nonce: str, why: str = "") -> bytes:
    """Takes a response, or refuses it and says why."""
    refused = (field(7, REFUSED + field(2, why.encode())),) if why else ()
    return b"".join((field(2, kind.encode()), field(6, nonce.encode()), *refused))


def response(raw: bytes) -> Response:
    """The response in these bytes."""
    single: dict[int, str] = {}
    changes: list[Change] = []
    for number, value in fields(raw):
        if number == 2:
            changes.append(_change(value))
        elif number == 6:
            changes.append(Change(_text(value), "", None))
        elif number in {1, 4, 5}:
            single[number] = _text(value)
    return Response(single.get(4, ""), single.get(5, ""), tuple(changes), single.get(1, ""))


def _change(value: bytes) -> Change:
    parts = dict(fields(value))
    return Change(_text(parts.get(3, b"")), _text(parts.get(1, b"")), dict(fields(parts.get(2, b""))).get(2, b""))


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _node(asker: Asker) -> bytes:
    addresses = _entry(ADDRESSES, _listed(asker.addresses)) if asker.addresses else b""
    trouble = _entry(TROUBLE, field(3, asker.trouble.encode())) if asker.trouble else b""
    who = field(1, asker.node.encode()) + field(6, asker.engine.encode()) + field(7, asker.version.encode())
    return who + field(3, addresses + trouble) if addresses or trouble else who


def _entry(key: str, value: bytes) -> bytes:
    """One entry of a ``google.protobuf.Struct``."""
    return field(1, field(1, key.encode()) + field(2, value))


def _listed(texts: Iterable[str]) -> bytes:
    """A ``google.protobuf.Value``: a list of texts."""
    return field(6, b"".join(field(1, field(3, text.encode())) for text in texts))
