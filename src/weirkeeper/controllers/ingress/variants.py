"""How an Ingress speaks to its Services, where it has wishes of its own: the backend is then its own, and its id says whose."""

import msgspec

from weirkeeper.controllers.ingress.annotations.options import Options
from weirkeeper.controllers.shared.reach import address_id
from weirkeeper.model.backend import (
    Backend,
    BackendTls,
    ConsistentHash,
    FromEndpointSet,
    FromServiceAddress,
    LeastRequest,
    LoadBalancing,
    PeakEwma,
    RandomChoice,
    RoundRobin,
)
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Id
from weirkeeper.model.value import Milliseconds, Value

PROTOCOLS = {
    "HTTP": ("http1", False),
    "HTTPS": ("http1", True),
    "AUTO_HTTP": ("auto", False),
    "GRPC": ("grpc", False),
    "GRPCS": ("grpc", True),
}
BALANCING: dict[str, LoadBalancing] = {
    "round_robin": RoundRobin(),
    "ewma": PeakEwma(),
    "least_conn": LeastRequest(),
    "random": RandomChoice(),
}


class Variant(Value, frozen=True, kw_only=True):
    """What differs from how the Service port is spoken to by default; ``None`` differs not."""

    protocol: str | None = None
    over_tls: bool | None = None
    tls: BackendTls | None = None
    balancing: LoadBalancing | None = None
    connect_timeout: Milliseconds | None = None
    service_address: bool = False


def wished_variant(options: Options, tls: BackendTls | None) -> Variant | None:
    """What the options wish, or nothing."""
    protocol, over_tls = PROTOCOLS.get(options.backend_protocol or "", (None, None))
    hashed = (options.affinity is not None and options.affinity_mode == "balanced") or options.hash_by is not None
    wished = Variant(
        protocol=protocol,
        over_tls=over_tls,
        tls=tls,
        balancing=ConsistentHash() if hashed else BALANCING.get(options.load_balance or "round_robin"),
        connect_timeout=options.connect_timeout,
        service_address=options.service_upstream,
    )
    if isinstance(wished.balancing, RoundRobin):
        wished = msgspec.structs.replace(wished, balancing=None)
    return wished if wished != Variant() else None


def backend_variant(backend: Backend, wished: Variant, name: Id, origin: Origin) -> Backend:
    """The backend as wished, under an id of its own; the very same where nothing differs."""
    over_tls = backend.tls is not None if wished.over_tls is None else wished.over_tls
    source = backend.source
    if wished.service_address and isinstance(source, FromEndpointSet):
        source = FromServiceAddress(id=address_id(source.id))
    varied = msgspec.structs.replace(
        backend,
        protocol=wished.protocol or backend.protocol,
        source=source,
        tls=(wished.tls or backend.tls or BackendTls()) if over_tls else None,
        balancing=wished.balancing or backend.balancing,
        connect_timeout=wished.connect_timeout or backend.connect_timeout,
    )
    if varied == backend:
        return backend
    return msgspec.structs.replace(varied, id=name, origins=(*backend.origins, origin))
