"""L4 routes and the listeners that they hang on: rows of names, shares, and a section for each backend of bytes.

Comes in: a route with its listener; the listeners of a port with their routes. Goes out: a ``Host`` without HTTP, and the ``Stream`` of a port. A port leads by names that it only reads where some name
passes unopened, or where HTTPS and TLS that ends for bytes share it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from weirkeeper.model.backend import Backend, FromDns, LeastRequest, PeakEwma, RandomChoice
from weirkeeper.model.listener import Listener
from weirkeeper.model.route import L4Route
from weirkeeper.model.text import Id
from weirkeeper.providers.haproxy.translate.hosts import BackendOf, deal
from weirkeeper.providers.haproxy.translate.items import BYTES, Host, Section, Stream, unique
from weirkeeper.providers.haproxy.translate.probes import probe
from weirkeeper.providers.haproxy.translate.quoting import key
from weirkeeper.providers.haproxy.translate.sections import CONNECT, Revoked, keywords, named_section
from weirkeeper.providers.haproxy.translate.stream_frontends import CLOSING, ENDED, HTTPS, REST, row

HOUR = 3_600_000
LEVELS = 8
"""Wildcards of so many labels need no reload."""
Led = Mapping[Id, Sequence[L4Route]]
"""The L4 routes of each listener, sorted by id."""


def stream_host(route: L4Route, listener: Listener, backend_of: BackendOf, revoked: Revoked) -> Host:
    """What one route needs. A backend that is not there is one that closes."""
    sections: dict[str, Section] = {}
    found = []
    for share in route.forward.backends:
        backend = backend_of(share.backend)
        if share.weight > 0:
            section = None if backend is None else stream_section(route, backend, revoked)
            sections |= {} if section is None else {section.name: section}
            found.append((CLOSING if section is None else section.name, share.weight))
    shares: dict[str, str] = {}
    target = CLOSING if not found else found[0][0]
    if len(found) > 1:
        target, shares = deal(found)
    ends = _ends(route, listener)
    names = route.sni or (REST,)
    rows = {row(listener.port, name, ended=ends): target for name in names}
    if ends:
        rows |= {row(listener.port, name): f"to-port-{listener.port}-{ENDED}" for name in names}
    return Host(
        streams={key(name): to for name, to in sorted(rows.items())},
        shares=dict(sorted(shares.items())),
        sections=unique(sections.values()),
    )


def stream_section(route: L4Route, backend: Backend, revoked: Revoked) -> Section:
    """The section of a backend of bytes."""
    named = (backend.source.name, backend.source.port) if isinstance(backend.source, FromDns) else None
    lines = (BYTES[0], *_times(route, backend), *_balance(backend), *probe(backend))
    return named_section(
        backend.id,
        lines,
        source=None if isinstance(backend.source, FromDns) else backend.source.id,
        named=named,
        keywords=tuple("layer4" if word == "layer7" else word for word in keywords(backend, revoked)),
        checked=backend.health is not None or backend.passive_health is not None,
    )


def stream(listeners: Sequence[Listener], led: Led, options: str, lines: Iterable[str]) -> Stream | None:
    """How a port leads connections on; nothing where it serves HTTP alone."""
    routes = [(one, route) for one in listeners for route in led.get(one.id, ())]
    bytes_only = [one for one in listeners if one.protocol in {"tcp", "tls"}]
    if not routes and not bytes_only:
        return None
    ends = any(_ends(one, None) for one in bytes_only) or any(_ends(route, one) for one, route in routes)
    http = any(one.protocol == "https" for one in listeners)
    passes = any(route.tls == "passthrough" for _, route in routes)
    taken = {name for _, route in routes for name in route.sni}
    return Stream(
        asks=passes or http or (not ends and any(one.protocol == "tls" for one in listeners)),
        ends=ends,
        accepts="accept-proxy" if any(one.accept_proxy_protocol for one in listeners) else "",
        options=options,
        levels=max([LEVELS, *(name.count(".") for name in taken)]) if _by_name(listeners) else 0,
        rows={
            key(row(one.port, one.hostname)): _own(one)
            for one in listeners
            if one.hostname and one.hostname not in taken
        },
        lines=tuple(lines),
    )


def _by_name(listeners: Sequence[Listener]) -> bool:
    return any(one.protocol != "tcp" for one in listeners)


def _own(one: Listener) -> str:
    """Where a listener's name leads that no route has."""
    return f"to-port-{one.port}-{HTTPS}" if one.protocol == "https" else CLOSING


def _ends(one: L4Route | Listener, listener: Listener | None) -> bool:
    """Whether TLS ends here for bytes."""
    if isinstance(one, Listener):
        return one.protocol == "tls" and one.tls is not None and one.tls.mode == "terminate"
    return one.tls == "terminate" and listener is not None and listener.tls is not None


def _balance(backend: Backend) -> Iterator[str]:
    if isinstance(backend.balancing, LeastRequest | PeakEwma):
        yield "balance leastconn"
    elif isinstance(backend.balancing, RandomChoice):
        yield "balance random(1)"


def _times(route: L4Route, backend: Backend) -> Iterator[str]:
    idle = max(route.idle if route.idle is not None else HOUR, 1)
    yield f"timeout server {idle}ms"
    yield f"timeout tunnel {idle}ms"
    if backend.connect_timeout != CONNECT:
        yield f"timeout connect {max(backend.connect_timeout, 1)}ms"
