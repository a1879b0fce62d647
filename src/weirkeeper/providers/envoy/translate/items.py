"""From a serialised resource to an engine item."""

import hashlib
from collections.abc import Iterable

from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Digest, Hostname, Id
from weirkeeper.providers.base import EngineItem, ItemKey, Row


def item(
    load_balancer: Id,
    kind: str,
    name: str,
    body: bytes,
    *,
    needs: Iterable[tuple[str, str]] = (),
    origins: tuple[Origin, ...] = (),
    serves: tuple[Hostname, ...] = (),
    default: bool = False,
    tail: bytes = b"",
    private: bool = False,
) -> Row:
    """The row for one resource; its version is a digest of its bytes. What ends in ``tail`` shares it with others."""
    version = Digest(hashlib.blake2b(body, digest_size=8).hexdigest())
    made = EngineItem(
        tail=tail,
        body=body.removesuffix(tail),
        version=version,
        needs=tuple(sorted(set(needs))),
        serves=serves,
        default=default,
        private=private,
        origins=origins,
    )
    return ItemKey(load_balancer, kind, name), made
