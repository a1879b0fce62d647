"""The items of providers whose engine items are values of their own as JSON: one row for each, its version a digest of its bytes. Pure.

Comes in: a value and what is known about it. Goes out: a row for the reconciler. What the values are is each provider's own.
"""

import hashlib

import msgspec

from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Digest, Hostname, Id
from weirkeeper.providers.base import EngineItem, ItemKey, Row


def item(
    load_balancer: Id,
    kind: str,
    name: str,
    value: object,
    *,
    origins: tuple[Origin, ...] = (),
    serves: tuple[Hostname, ...] = (),
    private: bool = False,
) -> Row:
    """The row for one value; its version is a digest of its bytes."""
    body = msgspec.json.encode(value)
    made = EngineItem(body=body, version=Digest(digest(body)), origins=origins, serves=serves, private=private)
    return ItemKey(load_balancer, kind, name), made


def digest(*parts: str | bytes, size: int = 8) -> str:
    """A name for a content, of ``size`` bytes in hexadecimal. Where one part ends and the next begins counts."""
    found = hashlib.blake2b(digest_size=size)
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        found.update(len(content).to_bytes(4, "big") + content)
    return found.hexdigest()
