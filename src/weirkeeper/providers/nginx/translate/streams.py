"""L4 routes as NGINX's stream module has them: which names of a port they take, and the endpoints of each share. Pure.

Comes in: a route, its listener, backends and endpoints. Goes out: a ``Led``; and of the listeners of a port the ``Stream``: whose its names are. Without Lua there every endpoint stands in the file.
What NGINX cannot do for bytes (a name that is resolved again and again, a certificate of ours for a backend) makes the whole route one that is refused.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from weirkeeper.model.backend import Backend, BackendTls, FromDns, LeastRequest, PeakEwma, RandomChoice
from weirkeeper.model.endpoint import EndpointSet
from weirkeeper.model.listener import Listener
from weirkeeper.model.route import L4Route
from weirkeeper.model.text import Id
from weirkeeper.providers.nginx.translate.backends import Revoked, name_of, trust_of, versions
from weirkeeper.providers.nginx.translate.items import Again, Led, Opened, Share, Stream, Toward

HOUR, MINUTE = 3_600_000, 60_000
BY_NAME = "NGINX resolves the name of a backend of bytes only once: name its addresses, or choose another engine"
NAMES = "NGINX does not compare alternative names of clients: choose another engine"
SHOWN = "NGINX is not given certificates of the load balancer for backends of bytes: choose another engine"


class Known(NamedTuple):
    """What a route leads to, by id."""

    backend: Callable[[Id], Backend | None]
    endpoints: Callable[[Id], EndpointSet | None]


def led(route: L4Route, listener: Listener, known: Known, revoked: Revoked, opened: Opened | None) -> Led:
    """What one route needs. A backend that is not there, or has no endpoints, is a share that closes. ``opened`` is how TLS ends at the listener, where it does."""
    udp, ends = listener.protocol == "udp", route.tls == "terminate"
    leads = [] if ends and opened is None else [share for share in route.forward.backends if share.weight > 0]
    found = [(share.weight, known.backend(share.backend)) for share in leads]
    return Led(
        id=route.id,
        port=listener.port,
        udp=udp,
        names=route.sni,
        idle=max(route.idle if route.idle is not None else MINUTE if udp else HOUR, 1),
        shares=tuple(_share(weight, backend, known.endpoints, revoked) for weight, backend in found),
        opened=opened if ends else None,
        refused=_refused(listener, [backend for _, backend in found if backend], ends=ends),
    )


def stream(listeners: Sequence[Listener], *, led: bool) -> Stream | None:
    """How a port leads connections on; nothing where it serves HTTP alone. ``led``: some route takes connections of it."""
    protocols = {one.protocol for one in listeners}
    if not led and not protocols & {"tcp", "tls", "udp"}:
        return None
    web = [one for one in listeners if one.protocol == "https"]
    bytes_only = [one for one in listeners if one.protocol == "tls"]
    rest = any(not one.hostname for one in web) or not any(not one.hostname for one in bytes_only)
    return Stream(
        protocol="tls" if protocols & {"https", "tls"} else "udp" if "udp" in protocols else "tcp",
        accepts=any(one.accept_proxy_protocol for one in listeners),
        http=bool(web),
        web=_names(web),
        closed=_names(bytes_only),
        rest_http=bool(web) and rest,
    )


def _names(listeners: Iterable[Listener]) -> tuple[str, ...]:
    return tuple(sorted({one.hostname for one in listeners if one.hostname}))


def _refused(listener: Listener, backends: Iterable[Backend], *, ends: bool) -> str:
    """Why NGINX cannot do it; empty where it can."""
    asked = listener.tls.client_validation if ends and listener.tls else None
    return NAMES if asked and asked.san_dns else next(filter(None, map(_unable, backends)), "")


def _unable(backend: Backend) -> str:
    if isinstance(backend.source, FromDns):
        return BY_NAME
    return SHOWN if backend.tls and backend.tls.client_certificate is not None else ""


def _share(
    weight: int, backend: Backend | None, endpoints_of: Callable[[Id], EndpointSet | None], revoked: Revoked
) -> Share:
    if backend is None or isinstance(backend.source, FromDns):
        return Share(weight=weight)
    members = endpoints_of(backend.source.id)
    return Share(
        weight=weight,
        servers=tuple((one.address, one.port, one.weight) for one in members.usable if one.weight > 0)
        if members
        else (),
        balance=_balance(backend),
        connect=max(backend.connect_timeout, 1),
        again=_again(backend),
        tls=_toward(backend.tls, revoked) if backend.tls else None,
    )


def _balance(backend: Backend) -> str:
    if isinstance(backend.balancing, LeastRequest | PeakEwma):
        return "least_conn"
    return "random" if isinstance(backend.balancing, RandomChoice) else ""


def _again(backend: Backend) -> Again | None:
    """How many connections in a row may fail before an endpoint is left out, and for how long. Nobody probes it by itself."""
    if backend.passive_health is not None:
        return Again(fails=backend.passive_health.consecutive_errors, pause=backend.passive_health.ejection)
    if backend.health is not None:
        return Again(fails=backend.health.unhealthy, pause=backend.health.interval)
    return None


def _toward(tls: BackendTls, revoked: Revoked) -> Toward:
    limited = tls.min_version or tls.max_version
    return Toward(
        name=name_of(tls),
        versions=versions(tls.min_version or "1.0", tls.max_version) if limited else (),
        ciphers=tls.ciphers,
        trust=trust_of(tls),
        revoked=bool(tls.verify and tls.trust is not None and revoked(tls.trust)),
        depth=tls.depth if tls.verify else None,
    )
