"""Where a Service or a workload is reached from outside, as text for an annotation on it.

Comes in: what an Ingress means, and where its load balancer answers. Goes out: for each Service and workload that a rule leads to the list of its public endpoints, in the form that
Rancher 2 wrote (rancher/rancher, pkg/controllers/user/endpoints): whatever reads those reads these. Places follow acknowledgements, as statuses do: none while no instance serves.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from weirkeeper.controllers.base import Intent
from weirkeeper.controllers.shared.hostnames import ANY, covers
from weirkeeper.model.backend import FromEndpointSet, FromServiceAddress
from weirkeeper.model.endpoint import EndpointSetWish
from weirkeeper.model.ids import Ref
from weirkeeper.model.listener import Listener
from weirkeeper.model.route import Forward, HostedRoute, Redirect
from weirkeeper.model.text import Hostname, Id
from weirkeeper.model.value import Value
from weirkeeper.status.addresses import Addresses

MOST = 100
"""So many are listed: annotations of an object may have 256 KiB together."""


class Target(NamedTuple):
    """A Service or workload, and the Ingress that leads to it."""

    target: Ref
    ingress: Ref


class Way(Value, frozen=True, kw_only=True, array_like=True):
    """A host and path of a load balancer, over TLS or not."""

    load_balancer: Id
    hostname: Hostname
    path: str
    tls: bool


class Front(NamedTuple):
    """Where a load balancer answers, and its listeners."""

    addresses: Addresses | None
    listeners: Sequence[Listener]


def ways(ref: Ref, intent: Intent) -> Iterator[tuple[Target, tuple[Way, ...]]]:
    """The ways of an Ingress to each Service and workload behind it."""
    wishes = {wish.id: wish for wish in intent.endpoint_sets}
    sources = (
        (backend.id, backend.source.id)
        for backend in intent.backends
        if isinstance(backend.source, FromEndpointSet | FromServiceAddress)
    )
    members = {backend: wishes[source] for backend, source in sources if source in wishes}
    secure = _secure_hosts(intent)
    found: dict[Ref, dict[Way, None]] = {}
    for hosted in intent.routes:
        for target in _targets(hosted, members):
            found.setdefault(target, {})[_way(hosted, secure)] = None
    return ((Target(target, ref), tuple(of)) for target, of in found.items())


def public_text(
    target: Ref, members: Iterable[tuple[Target, tuple[Way, ...]]], fronts: Mapping[Id, Front]
) -> str | None:
    """The endpoints of one target as text, or nothing where it has none."""
    found = {
        (way.hostname, way.path, key.ingress, port): _endpoint(target, key.ingress, way, front.addresses, port)
        for key, many in members
        for way in many
        if (front := fronts[way.load_balancer]).addresses is not None
        if (port := _port(front.addresses, front.listeners, tls=way.tls)) is not None
    }
    listed = [found[key] for key in sorted(found)][:MOST]
    return msgspec.json.encode(listed).decode() if listed else None


def _secure_hosts(intent: Intent) -> tuple[str, ...]:
    """Hosts with a certificate, and those that send clients to HTTPS."""
    named = [name for wish in intent.certificates for name in wish.hosts]
    redirected = [
        hosted.hostname
        for hosted in intent.routes
        if isinstance(hosted.route.action, Redirect) and hosted.route.match.scheme == "http"
        if hosted.route.action.scheme == "https"
    ]
    return tuple(dict.fromkeys((*named, *redirected)))


def _targets(hosted: HostedRoute, members: Mapping[Id, EndpointSetWish]) -> Iterator[Ref]:
    action = hosted.route.action
    for weighted in action.backends if isinstance(action, Forward) else ():
        wish = members.get(weighted.backend)
        if wish is not None and wish.workloads:
            yield from (one.workload for one in wish.workloads)
        elif wish is not None and not wish.static:
            yield wish.service


def _way(hosted: HostedRoute, secure: Sequence[str]) -> Way:
    host = hosted.hostname
    tls = any(covers(name, host) for name in secure)
    return Way(load_balancer=hosted.load_balancer, hostname=host, path=str(hosted.route.match.path.value), tls=tls)


def _port(addresses: Addresses, listeners: Sequence[Listener], *, tls: bool) -> int | None:
    """The port for clients: the listener's own, or where a Service stands in front the well-known one; nothing where neither is open."""
    protocol, known = ("https", 443) if tls else ("http", 80)
    own = [listener.port for listener in listeners if listener.protocol == protocol]
    return next((port for port in (*own, known) if own and port in addresses.ports), None)


def _endpoint(target: Ref, ingress: Ref, way: Way, addresses: Addresses, port: int) -> dict[str, Any]:
    service = {"serviceName": f"{target.namespace}:{target.name}"} if target.kind == "Service" else {}
    return {
        "addresses": [ip or hostname for ip, hostname in addresses.places],
        "port": port,
        "protocol": "HTTPS" if way.tls else "HTTP",
        **service,
        "ingressName": f"{ingress.namespace}:{ingress.name}",
        "hostname": "" if way.hostname == ANY else way.hostname,
        "path": way.path,
        "allNodes": False,
    }
