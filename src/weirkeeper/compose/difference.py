"""What differs between two configurations, in words of hosts and routes, and whom it touches.

Comes in: two `View`s (of two folders, or of a folder and a running program). Goes out: a `Difference`: changed hosts with their routes, changed listeners,
backends, endpoints and certificates, and the blast radius. Routes are told apart by what they match, not by their ids: that is what clients notice.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, TypeVar

import msgspec

from weirkeeper.compose.explain.verdicts import match_text
from weirkeeper.model.backend import Backend, FromEndpointSet
from weirkeeper.model.certificate import Certificate
from weirkeeper.model.config import LoadBalancerConfig
from weirkeeper.model.endpoint import EndpointSet
from weirkeeper.model.ids import HostKey, Part
from weirkeeper.model.listener import Listener
from weirkeeper.model.match import RouteMatch
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, L4Route, Redirect, Respond, Route, VirtualHost
from weirkeeper.model.text import Hostname, Id
from weirkeeper.model.value import Value

K = TypeVar("K")
V = TypeVar("V", bound=msgspec.Struct)
Kind = Literal["added", "removed", "changed"]
What = Literal["listener", "stream", "backend", "endpoints", "certificate"]


class View(NamedTuple):
    """The composed rows of all load balancers."""

    listeners: Mapping[Part, Listener]
    virtual_hosts: Mapping[HostKey, VirtualHost]
    backends: Mapping[Part, Backend]
    endpoint_sets: Mapping[Part, EndpointSet]
    certificates: Mapping[Part, Certificate]
    l4_routes: Mapping[Part, L4Route]


class RouteChange(Value, frozen=True, kw_only=True):
    """One route: its conditions, what it did and does, and the fields that differ."""

    kind: Kind
    match: str
    before: str = ""
    after: str = ""
    fields: tuple[str, ...] = ()
    origin: Origin


class HostChange(Value, frozen=True, kw_only=True):
    """One host with its changed routes. ``order``: the same routes, tried in another order."""

    kind: Kind
    load_balancer: Id
    hostname: Hostname
    routes: tuple[RouteChange, ...] = ()
    order: bool = False


class PartChange(Value, frozen=True, kw_only=True):
    """A listener, L4 route (``stream``), backend, endpoint set or certificate; ``hosts`` are those that it touches."""

    kind: Kind
    what: What
    load_balancer: Id
    id: Id
    detail: str = ""
    hosts: tuple[Hostname, ...] = ()


class Radius(Value, frozen=True, kw_only=True):
    """How far it reaches: hosts and routes that differ or lead to something that differs, of all that there are on both sides."""

    hosts: int = 0
    hosts_of: int = 0
    routes: int = 0
    routes_of: int = 0
    hosts_by_endpoints_only: int = 0


class Difference(Value, frozen=True, kw_only=True):
    """All of it, in a fixed order."""

    hosts: tuple[HostChange, ...] = ()
    parts: tuple[PartChange, ...] = ()
    radius: Radius = Radius()

    @property
    def empty(self) -> bool:
        """Whether nothing differs."""
        return not (self.hosts or self.parts)


def view(configs: Iterable[LoadBalancerConfig]) -> View:
    """The rows of these configurations."""
    whole = tuple(configs)
    return View(
        listeners={Part(c.load_balancer.id, one.id): one for c in whole for one in c.listeners},
        virtual_hosts={HostKey(h.load_balancer, h.group, h.hostname): h for c in whole for h in c.virtual_hosts},
        backends={Part(c.load_balancer.id, one.id): one for c in whole for one in c.backends},
        endpoint_sets={Part(c.load_balancer.id, one.id): one for c in whole for one in c.endpoint_sets},
        certificates={Part(c.load_balancer.id, one.id): one for c in whole for one in c.certificates},
        l4_routes={Part(c.load_balancer.id, one.id): one for c in whole for one in c.l4_routes},
    )


def difference(before: View, after: View) -> Difference:
    """What changes on the way from one to the other. Where objects come from, and findings, are no difference."""
    hosts = [_host_change(key, old, new) for key, old, new in _pairs(before.virtual_hosts, after.virtual_hosts)]
    changed = tuple(one for one in hosts if one is not None)
    parts = (
        *_parts("listener", before.listeners, after.listeners, (before, after)),
        *_parts("stream", before.l4_routes, after.l4_routes, (before, after)),
        *_parts("backend", before.backends, after.backends, (before, after)),
        *_parts("endpoints", before.endpoint_sets, after.endpoint_sets, (before, after)),
        *_parts("certificate", before.certificates, after.certificates, (before, after)),
    )
    return Difference(hosts=changed, parts=parts, radius=_radius(before, after, changed, parts))


def _pairs(before: Mapping[K, V], after: Mapping[K, V]) -> Iterable[tuple[K, V | None, V | None]]:
    for key in sorted({*before, *after}, key=str):
        old, new = before.get(key), after.get(key)
        if old != new:
            yield key, old, new


def _kind(old: object, new: object) -> Kind:
    return "added" if old is None else "removed" if new is None else "changed"


def _fields(old: msgspec.Struct, new: msgspec.Struct, ignored: Iterable[str] = ()) -> tuple[str, ...]:
    names = (field.name for field in msgspec.structs.fields(new))
    return tuple(n for n in names if n not in ignored and getattr(old, n, None) != getattr(new, n))


# Hosts and routes


def _host_change(key: HostKey, old: VirtualHost | None, new: VirtualHost | None) -> HostChange | None:
    was, now = _by_match(old), _by_match(new)
    pairs = ((match, was.get(match), now.get(match)) for match in dict.fromkeys((*was, *now)))
    routes = tuple(change for _, a, b in pairs if (change := _route_change(a, b)) is not None)
    common = [match for match in was if match in now] != [match for match in now if match in was]
    if old is not None and new is not None and not routes and not common:
        return None
    return HostChange(
        kind=_kind(old, new), load_balancer=key.load_balancer, hostname=key.hostname, routes=routes, order=common
    )


def _by_match(host: VirtualHost | None) -> dict[tuple[RouteMatch, int], Route]:
    found: dict[tuple[RouteMatch, int], Route] = {}
    for route in host.routes if host else ():
        found.setdefault((route.match, route.priority), route)
    return found


_NOT_SEEN = frozenset({"id", "origin", "created_at", "rule_name"})


def _route_change(old: Route | None, new: Route | None) -> RouteChange | None:
    route = new or old
    assert route is not None
    fields = _fields(old, new, _NOT_SEEN) if old is not None and new is not None else ()
    if old is not None and new is not None and not fields:
        return None
    return RouteChange(
        kind=_kind(old, new),
        match=match_text(route.match),
        before=action_text(old) if old else "",
        after=action_text(new) if new else "",
        fields=fields,
        origin=route.origin,
    )


def action_text(route: Route) -> str:
    """What a route does, in one line."""
    match route.action:
        case Respond(status=status):
            return f"answers {status}"
        case Redirect(status=status, to=to, scheme=scheme, host=host):
            return f"redirects ({status}) to {to or host or scheme or 'another path'}"
        case Forward(backends=backends):
            many = len(backends) > 1
            return "to " + (", ".join(f"{b.backend}{f' × {b.weight}' if many else ''}" for b in backends) or "nowhere")


# Everything else


def _parts(
    what: What,
    before: Mapping[Part, V],
    after: Mapping[Part, V],
    views: tuple[View, View],
) -> Iterable[PartChange]:
    for part, old, new in _pairs(before, after):
        fields = _fields(old, new, ("origin", "origins", "created_at")) if old is not None and new is not None else ()
        if old is not None and new is not None and not fields:
            continue
        yield PartChange(
            kind=_kind(old, new),
            what=what,
            load_balancer=part.load_balancer,
            id=part.id,
            detail=_endpoint_detail(old, new) if what == "endpoints" else ", ".join(fields),
            hosts=tuple(sorted({host.hostname for one in views for host in _touched(what, part, one)})),
        )


def _endpoint_detail(old: object, new: object) -> str:
    was = {f"{e.address}:{e.port}": e for e in old.endpoints} if isinstance(old, EndpointSet) else {}
    now = {f"{e.address}:{e.port}": e for e in new.endpoints} if isinstance(new, EndpointSet) else {}
    gone, come = sorted(was.keys() - now.keys()), sorted(now.keys() - was.keys())
    moved = sorted(a for a in was.keys() & now.keys() if was[a] != now[a])
    signs = [("+", come), ("-", gone), ("~", moved)]
    return " ".join(f"{sign}{address}" for sign, addresses in signs for address in addresses)


def _touched(what: str, part: Part, side: View) -> Iterable[VirtualHost]:
    """The hosts of one side that lead to a part or stand behind it; a stream leads by itself."""
    if what == "stream":
        return []
    if what == "listener":
        listener = side.listeners.get(part)
        group = listener.group if listener else None
        return [h for h in side.virtual_hosts.values() if h.load_balancer == part.load_balancer and h.group == group]
    if what == "certificate":
        certificate = side.certificates.get(part)
        names = certificate.names if certificate else ()
        return [h for h in side.virtual_hosts.values() if h.load_balancer == part.load_balancer and h.hostname in names]
    ids = {part.id} if what == "backend" else _backends_with(part, side)
    hosts = (h for h in side.virtual_hosts.values() if h.load_balancer == part.load_balancer)
    return [h for h in hosts if any(_leads_to(route, ids) for route in h.routes)]


def _backends_with(part: Part, side: View) -> set[Id]:
    return {
        key.id
        for key, backend in side.backends.items()
        if key.load_balancer == part.load_balancer
        and isinstance(backend.source, FromEndpointSet)
        and backend.source.id == part.id
    }


def _leads_to(route: Route, backends: set[Id]) -> bool:
    return isinstance(route.action, Forward) and any(b.backend in backends for b in route.action.backends)


def _radius(before: View, after: View, hosts: tuple[HostChange, ...], parts: tuple[PartChange, ...]) -> Radius:
    every = {(k.load_balancer, k.hostname) for v in (before, after) for k in v.virtual_hosts}
    direct = {(one.load_balancer, one.hostname) for one in hosts}
    by_parts = {(p.load_balancer, h) for p in parts if p.what != "endpoints" for h in p.hosts}
    by_endpoints = {(p.load_balancer, h) for p in parts if p.what == "endpoints" for h in p.hosts}
    sizes = [sum(len(h.routes) for h in v.virtual_hosts.values()) for v in (before, after)]
    return Radius(
        hosts=len(direct | by_parts),
        hosts_of=len(every),
        routes=sum(len(one.routes) for one in hosts),
        routes_of=max(sizes),
        hosts_by_endpoints_only=len(by_endpoints - direct - by_parts),
    )
