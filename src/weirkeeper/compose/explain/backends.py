"""The backends of a route, their shares and their members, as somebody who asks why wants to see them."""

from typing import assert_never

from weirkeeper.model.backend import Backend, FromDns, FromEndpointSet, FromServiceAddress
from weirkeeper.model.config import LoadBalancerConfig
from weirkeeper.model.endpoint import Endpoint
from weirkeeper.model.route import Forward
from weirkeeper.model.text import Id, Sentence
from weirkeeper.model.value import Value


class BackendSeen(Value, frozen=True, kw_only=True):
    """A backend of the route, its share of requests in percent, and its members; those in ``usable`` get requests."""

    id: Id
    share: float
    protocol: str = ""
    tls: bool = False
    endpoints: tuple[Endpoint, ...] = ()
    usable: int = 0
    note: Sentence = Sentence("")


def backends_seen(config: LoadBalancerConfig, forward: Forward) -> tuple[BackendSeen, ...]:
    """Every backend that is forwarded to."""
    known = {backend.id: backend for backend in config.backends}
    sets = {members.id: members for members in config.endpoint_sets}
    total = sum(weighted.weight for weighted in forward.backends)
    seen = []
    for weighted in forward.backends:
        share = round(100 * weighted.weight / total, 2) if total else 0.0
        backend = known.get(weighted.backend)
        if backend is None:
            seen.append(BackendSeen(id=weighted.backend, share=share, note=Sentence("")))
            continue
        source = backend.source
        members = sets.get(source.id) if isinstance(source, FromEndpointSet) else None
        seen.append(BackendSeen(
            id=backend.id, share=share, protocol=backend.protocol, tls=backend.tls is not None,
            endpoints=members.endpoints if members else (), usable=len(members.usable) if members else 0,
            note=_source_note(backend),
        ))  # fmt: skip
    return tuple(seen)


def _source_note(backend: Backend) -> Sentence:
    match backend.source:
        case FromEndpointSet():
            return Sentence("")
        case FromDns(name=name, port=port):
            return Sentence(f"found by DNS: {name}:{port}")
        case FromServiceAddress(id=name):
            return Sentence(f"the Service's own address ({name})")
        case _:
            assert_never(backend.source)
