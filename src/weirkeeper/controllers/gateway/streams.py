"""TLSRoutes, TCPRoutes and UDPRoutes: one L4 route for each listener that they hang on.

Comes in: routes, and the judged listeners. Goes out: attachments, intents and reports, as for routes of HTTP. A reference that leads nowhere keeps its share, which is refused. A listener's TLS ends here
or goes through (``tls.mode``), and so does that of its routes.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from weirkeeper.controllers.base import Inputs, Intent
from weirkeeper.controllers.gateway import reports
from weirkeeper.controllers.gateway.attachment import Attached, Home, Reach, Tables, Wished, attached, reaches, unserved
from weirkeeper.controllers.gateway.hosts import hostnames
from weirkeeper.controllers.gateway.listeners import EntryKey, Listening
from weirkeeper.controllers.gateway.references import Gathered
from weirkeeper.controllers.gateway.routes import part_ref
from weirkeeper.controllers.gateway.rules import MOST_WEIGHT, Translated
from weirkeeper.controllers.shared.hostnames import ANY
from weirkeeper.controllers.shared.ids import below, id_of, place
from weirkeeper.controllers.shared.report import field
from weirkeeper.flow import Graph, Read, Table
from weirkeeper.kube.conditions import Report
from weirkeeper.kube.gateway_streams import StreamRoute, TCPRoute, TLSRoute, UDPRoute
from weirkeeper.kube.gateway_types import BackendReference
from weirkeeper.model.backend import FromDns
from weirkeeper.model.finding import Finding
from weirkeeper.model.ids import Ref
from weirkeeper.model.route import Forward, L4Route, WeightedBackend
from weirkeeper.model.text import Id
from weirkeeper.model.value import Value
from weirkeeper.model.words import Transport

STREAMS: dict[str, tuple[type[StreamRoute], Transport]] = {
    "tls": (TLSRoute, "TCP"),
    "tcp": (TCPRoute, "TCP"),
    "udp": (UDPRoute, "UDP"),
}
"""The kinds, by the names of their tables."""


class Around(NamedTuple):
    """What the tables of every kind read."""

    inputs: Inputs
    tables: Tables
    listeners: Table[EntryKey, Listening]
    gather: Callable[[Read, Ref], Gathered]
    controller: str


class Led(Value, frozen=True, kw_only=True):
    """A route without its listeners: where it leads, and the rest as for routes of HTTP."""

    forward: Forward
    opened: Forward
    """The same for connections whose TLS ends at the listener."""
    found: Translated


class Streams(NamedTuple):
    """The tables of one kind."""

    attachments: Table[Ref, Attached]
    intents: Table[Ref, Intent]
    reports: Table[Ref, Report]
    reaches: Table[Reach, bool]


def declare_streams(graph: Graph, around: Around, name: str) -> Streams:
    """The tables of the kind."""
    kind, transport = STREAMS[name]
    routes = around.inputs.of(kind)

    def hang(read: Read, ref: Ref, route: StreamRoute) -> Attached | None:
        names = hostnames(route.spec.hostnames) if name == "tls" else ()
        wished = Wished(route.spec.parent_refs or (), route.spec.use_default_gateways)
        return attached(read, around.tables, ref, wished, names)

    attachments: Table[Ref, Attached] = graph.derive(f"gateway.{name}_attachments", routes, hang)

    def lead(read: Read, ref: Ref, route: StreamRoute) -> Led | None:
        return _led(route, around.gather(read, ref), transport) if read.contains(attachments, ref) else None

    led: Table[Ref, Led] = graph.derive(f"gateway.{name}_rules", routes, lead)

    def hung(read: Read, ref: Ref, at: Attached) -> Iterator[tuple[Ref, Intent]]:
        one, route = read.get(led, ref), read.get(routes, ref)
        return iter(()) if one is None or route is None else _intents(read, around.listeners, route, at, one)

    def report(read: Read, ref: Ref, at: Attached) -> Report | None:
        one, route = read.get(led, ref), read.get(routes, ref)
        if one is None or route is None:
            return None
        return reports.route_report(route.metadata.generation, at, one.found, around.controller)

    def reached(read: Read, ref: Ref, at: Attached) -> Iterator[tuple[Reach, bool]]:
        one = read.get(led, ref)
        return iter(()) if one is None else reaches(ref, at, one.found.services)

    return Streams(
        attachments,
        graph.spread(f"gateway.{name}_intents", attachments, hung),
        graph.derive(f"gateway.{name}_reports", attachments, report),
        graph.spread(f"gateway.{name}_reaches", attachments, reached),
    )


def _led(route: StreamRoute, gathered: Gathered, transport: Transport) -> Led:
    """The first rule: more than one is none of Gateway API v1's."""
    rule = next(iter(route.spec.rules or ()), None)
    refs = (rule.backend_refs if rule else None) or ()
    shares = tuple(_share(route.ref, one, gathered, transport) for one in refs)
    opened = shares
    if isinstance(route, TLSRoute):
        opened = tuple(_share(route.ref, one, gathered, transport, opened=True) for one in refs)
    found = Translated(
        backends=tuple(gathered.backends.values()),
        endpoint_sets=tuple(gathered.wishes.values()),
        trust_bundles=tuple(gathered.bundles.values()),
        services=tuple(gathered.services),
        resolved=gathered.resolved,
        rules=len(route.spec.rules or ()),
    )
    return Led(forward=Forward(backends=shares), opened=Forward(backends=opened), found=found)


def _share(
    route: Ref, one: BackendReference, gathered: Gathered, transport: Transport, *, opened: bool = False
) -> WeightedBackend:
    weight = min(max(1 if one.weight is None else one.weight, 0), MOST_WEIGHT)
    backend = gathered.stream_backend(one, transport, opened=opened)
    return WeightedBackend(backend=backend or id_of(route.kind, place(route), route.name, "nowhere"), weight=weight)


def _intents(
    read: Read, listeners: Table[EntryKey, Listening], route: StreamRoute, at: Attached, led: Led
) -> Iterator[tuple[Ref, Intent]]:
    """The part of a route in each load balancer that it hangs on."""
    by_front: dict[Id, dict[Id, list[Home]]] = {}
    modes: dict[Id, Listening] = {}
    for parent in at.parents:
        groups = by_front.setdefault(parent.load_balancer, {})
        for home in parent.homes:
            groups.setdefault(home.group, []).append(home)
        sections = (read.get(listeners, key) for key in parent.sections)
        modes |= {one.group: one for one in sections if one is not None}
    lost = tuple(unserved(at, route.origin(field("spec.hostnames"))))
    for i, (front, groups) in enumerate(by_front.items()):
        here = [_route(route, led, modes[group], homes) for group, homes in groups.items()]
        yield part_ref(route.ref, front, i), _intent(front, here, led.found, lost if i == 0 else ())


def _intent(front: Id, routes: Sequence[L4Route], found: Translated, lost: tuple[Finding, ...]) -> Intent:
    """With what these routes lead to, and no more: how a connection was opened says which backends those are."""
    wanted = {share.backend for one in routes for share in one.forward.backends}
    backends = tuple(one for one in found.backends if one.id in wanted)
    sources = {one.source.id for one in backends if not isinstance(one.source, FromDns)}
    trusted = {one.tls.trust for one in backends if one.tls is not None}
    return Intent(
        load_balancer=front,
        l4_routes=tuple(routes),
        backends=backends,
        endpoint_sets=tuple(one for one in found.endpoint_sets if one.id in sources),
        trust_bundles=tuple(one for one in found.trust_bundles if one.id in trusted),
        findings=lost,
    )


def _route(route: StreamRoute, led: Led, listener: Listening, homes: list[Home]) -> L4Route:
    names = {home.hostname: home.rank for home in homes}
    ref = route.ref
    return L4Route(
        id=below(id_of(ref.kind, place(ref), ref.name), *listener.group.split("/"), joint="@"),
        load_balancer=listener.load_balancer,
        listener=listener.group,
        tls=listener.tls,
        sni=() if ANY in names else tuple(names),
        priorities=() if ANY in names or not any(names.values()) else tuple(names.values()),
        forward=led.opened if listener.tls == "terminate" else led.forward,
        created_at=route.origin().created_at,
        origin=route.origin(field("spec.rules[0]")),
    )
