"""The Envoy provider: its derivations from composed tables to engine items. Pure; the engine is imported only when one is started."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from weirkeeper.flow import Graph, Index, Read, Table
from weirkeeper.model.backend import Backend, FromDns
from weirkeeper.model.certificate import Certificate, TrustBundle
from weirkeeper.model.config import LoadBalancer
from weirkeeper.model.endpoint import EndpointSet
from weirkeeper.model.features import Capabilities
from weirkeeper.model.filters import Timeouts
from weirkeeper.model.ids import HostKey, Part, ServerName, joined
from weirkeeper.model.listener import Listener
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import L4Route, Route, VirtualHost
from weirkeeper.model.text import Hostname, Id
from weirkeeper.providers.base import Composed, Engine, EngineItem, EngineSettings, ItemKey, Row
from weirkeeper.providers.envoy import names
from weirkeeper.providers.envoy.capabilities import CAPABILITIES
from weirkeeper.providers.envoy.options import EnvoyOptions
from weirkeeper.providers.envoy.printed import printed
from weirkeeper.providers.envoy.translate import (
    answers,
    clusters,
    endpoints,
    hosts,
    key_filter,
    listeners,
    pieces,
    secrets,
    streams,
)
from weirkeeper.providers.envoy.translate.hosts import HostPart, group_token
from weirkeeper.providers.envoy.translate.items import item
from weirkeeper.providers.envoy.translate.listeners import Hanging, HttpChains

Items = Table[ItemKey, EngineItem]
Place = tuple[Id, int]
Group = tuple[Id, Id]
Led = Index[tuple[Id, Id], Part, L4Route]
SPEAKING_HTTP = ("http", "https")
RowOf = Callable[[Group, Sequence[HostPart]], Row]


class Port(NamedTuple):
    """The listeners of one port, or of one group, sorted by id."""

    listeners: tuple[Listener, ...]


class EnvoyProvider:
    """Envoy by delta xDS."""

    name = "envoy"

    def __init__(self, options: EnvoyOptions | None = None, capabilities: Capabilities = CAPABILITIES) -> None:
        self.options = options or EnvoyOptions()
        self.capabilities = capabilities

    def declare(self, graph: Graph, composed: Composed) -> Items:
        """Declare the translations; the answer is the union of all resources."""
        tables = [
            graph.spread("envoy/clusters", composed.backends, _cluster),
            graph.spread("envoy/endpoints", composed.endpoint_sets, _endpoints),
            graph.spread("envoy/certificates", composed.certificates, _certificate),
            graph.spread("envoy/server-names", composed.server_names, _server_name),
            graph.spread("envoy/bundles", composed.trust_bundles, _bundle),
        ]
        ports = graph.group("envoy/ports", _by_port(graph, "envoy/by-port", composed, udp=False), _port)
        udp = graph.group("envoy/udp-ports", _by_port(graph, "envoy/by-udp-port", composed, udp=True), _port)
        led = graph.index(
            "envoy/l4-by-listener", composed.l4_routes, lambda key, one: [(key.load_balancer, one.listener)]
        )
        tables.append(self._listeners(graph, composed, ports, led))
        tables += self._udp(graph, composed, udp, led)
        tables.append(graph.spread("envoy/answers-filter", composed.load_balancers, _answers_filter))
        if self.options.layout == "scoped":
            tables.append(graph.spread("envoy/key-filter", composed.load_balancers, _key_filter))
            tables += self._scopes(graph, composed, ports)
        else:
            tables += self._tables(graph, composed, ports)
        return graph.union("envoy/items", tables)

    def printed(self, items: Mapping[ItemKey, EngineItem]) -> str:
        """The items as YAML, without secrets."""
        return printed(items)

    def engine(self, settings: EngineSettings) -> Engine:
        """An Envoy that is run on this machine."""
        from weirkeeper.providers.envoy.engine import EnvoyEngine  # noqa: PLC0415 (processes and sockets stay out of pure uses)

        return EnvoyEngine(settings)

    def _listeners(self, graph: Graph, composed: Composed, ports: Table[Place, Port], by_listener: Led) -> Items:
        def spoken(read: Read, part: Part, one: Listener) -> HttpChains | None:
            if one.protocol != "https" or one.tls is None:
                return None
            return listeners.http_chains(one, self.options, _defaults(read, composed, part.load_balancer))

        chains = graph.derive("envoy/http-chains", composed.listeners, spoken)

        def rows(read: Read, place: Place, port: Port) -> Iterator[Row]:
            led = {one.id: _led(read, by_listener, place[0], one) for one in port.listeners}
            found = ((one.id, read.get(chains, Part(place[0], one.id))) for one in port.listeners)
            hanging = Hanging(led, {name: made for name, made in found if made is not None})
            defaults = _defaults(read, composed, place[0])
            body = listeners.listener(place[1], port.listeners, self.options, defaults, hanging)
            needs = listeners.listener_needs(port.listeners, scoped=self.options.layout == "scoped")
            for routes in led.values():
                needs += streams.stream_needs(routes, _known(read, composed, place[0]))
            origins = tuple(one.origin for one in port.listeners)
            yield item(place[0], names.LISTENER, listeners.port_name(place[1]), body, needs=needs, origins=origins)

        return graph.spread("envoy/listeners", ports, rows)

    def _udp(self, graph: Graph, composed: Composed, ports: Table[Place, Port], by_listener: Led) -> list[Items]:
        def rows(read: Read, place: Place, port: Port) -> Iterator[Row]:
            one = port.listeners[0]
            route = next(iter(_led(read, by_listener, place[0], one)), None)
            log = streams.logged(port.listeners, self.options.access_log)
            body = streams.udp_listener(place[1], listeners.bound(port.listeners, self.options), route, log)
            needs = [*streams.stream_needs([] if route is None else [route], _known(read, composed, place[0]))]
            yield item(place[0], names.LISTENER, streams.udp_name(place[1]), body, needs=needs, origins=(one.origin,))

        def common(read: Read, key: Part, route: L4Route) -> Iterator[Row]:
            found = streams.shares(route.forward)
            if len(found) < 2 or not _is_udp(read, composed, key.load_balancer, route):
                return
            backend = streams.common_backend(route)
            body, needs = clusters.cluster(backend), clusters.cluster_needs(backend)
            yield item(key.load_balancer, names.CLUSTER, backend.id, body, needs=needs, origins=backend.origins)
            members = [(share.weight, _members_of(read, composed, key.load_balancer, share.backend)) for share in found]
            yield item(key.load_balancer, names.ENDPOINTS, backend.id, endpoints.shared_assignment(backend.id, members))

        return [
            graph.spread("envoy/udp-listeners", ports, rows),
            graph.spread("envoy/udp-clusters", composed.l4_routes, common),
        ]

    def _parts(
        self, graph: Graph, name: str, composed: Composed, source: Table[HostKey, VirtualHost]
    ) -> Table[HostKey, HostPart]:
        def part(read: Read, key: HostKey, host: VirtualHost) -> HostPart:
            return hosts.host_part(host, _defaults(read, composed, key.load_balancer), self.options.trie_from)

        return graph.derive(name, source, part)

    def _scopes(self, graph: Graph, composed: Composed, ports: Table[Place, Port]) -> list[Items]:
        split = self._split(graph, composed)

        def exact(read: Read, key: HostKey, host: VirtualHost) -> Iterator[Row]:
            if self._is_cut(key, host):
                if (depth := read.get(split.depths, key)) is not None:
                    yield _split_row(key, depth, host.origins)
            elif not key.hostname.startswith("*"):
                part = hosts.host_part(host, _defaults(read, composed, key.load_balancer), self.options.trie_from)
                yield _exact_row(key, part)

        def stranger(_: Read, key: HostKey, part: HostPart) -> Iterator[Row]:
            if not key.hostname.startswith("*"):
                yield _exact_row(key, part)

        wild = graph.derive(
            "envoy/wildcards",
            composed.virtual_hosts,
            lambda _, key, host: host if key.hostname.startswith("*") else None,
        )
        parts = self._parts(graph, "envoy/wildcard-parts", composed, wild)
        strangers = _strangers(graph, composed, ports)
        wildcard_strangers = graph.derive(
            "envoy/wildcard-strangers", strangers, lambda _, key, part: part if key.hostname.startswith("*") else None
        )
        rest = _rest(graph, composed, strangers)
        everything = graph.union("envoy/fallback-parts", [parts, wildcard_strangers, rest])
        return [
            graph.spread("envoy/scopes", composed.virtual_hosts, exact),
            self._pieces(graph, composed, split),
            graph.spread("envoy/stranger-scopes", strangers, stranger),
            _grouped(graph, "envoy/fallback-scopes", everything, _fallback_row),
        ]

    def _split(self, graph: Graph, composed: Composed) -> "_Split":
        """Hosts with very many paths, and what their pieces hold."""

        def cut(_: Read, key: HostKey, host: VirtualHost) -> pieces.Split | None:
            return pieces.split(host.routes) if self._is_cut(key, host) else None

        cuts = graph.derive("envoy/splits", composed.virtual_hosts, cut)
        return _Split(
            depths=graph.derive("envoy/split-depths", cuts, lambda _, __, found: found.depth),
            pieces=graph.spread("envoy/piece-routes", cuts, _piece_routes),
        )

    def _is_cut(self, key: HostKey, host: VirtualHost) -> bool:
        return len(host.routes) >= self.options.pieces_from and not key.hostname.startswith("*")

    def _pieces(self, graph: Graph, composed: Composed, split: "_Split") -> Items:
        def rows(read: Read, piece: Piece, held: Held) -> Iterator[Row]:
            key = HostKey(piece.load_balancer, piece.group, piece.hostname)
            host = VirtualHost(
                id=joined(key.group, key.hostname),
                load_balancer=key.load_balancer,
                group=key.group,
                hostname=key.hostname,
                routes=held.routes,
            )
            part = hosts.host_part(host, _defaults(read, composed, key.load_balancer), self.options.trie_from)
            name, body = hosts.piece_scope(group_token(key.group), part, piece.place)
            yield item(
                key.load_balancer, names.SCOPE, name, body, needs=part.needs, origins=part.origins, tail=hosts.FALLBACK
            )

        return graph.spread("envoy/pieces", split.pieces, rows)

    def _tables(self, graph: Graph, composed: Composed, ports: Table[Place, Port]) -> list[Items]:
        parts = self._parts(graph, "envoy/host-parts", composed, composed.virtual_hosts)
        everything = graph.union("envoy/all-parts", [parts, _strangers(graph, composed, ports)])
        return [_grouped(graph, "envoy/route-tables", everything, _table_row)]


def _by_port(graph: Graph, name: str, composed: Composed, *, udp: bool) -> Index[Place, Part, Listener]:
    """The listeners of each port; ports of UDP are not those of TCP."""
    return graph.index(
        name, composed.listeners, lambda key, one: [(key.load_balancer, one.port)] * ((one.protocol == "udp") is udp)
    )


def _led(read: Read, by_listener: Led, load_balancer: Id, one: Listener) -> list[L4Route]:
    return [route for _, route in read.lookup(by_listener, (load_balancer, one.id))]


def _known(read: Read, composed: Composed, load_balancer: Id) -> Callable[[Id], bool]:
    return lambda backend: read.contains(composed.backends, Part(load_balancer, backend))


def _is_udp(read: Read, composed: Composed, load_balancer: Id, route: L4Route) -> bool:
    found = read.get(composed.listeners, Part(load_balancer, route.listener))
    return found is not None and found.protocol == "udp"


def _members_of(read: Read, composed: Composed, load_balancer: Id, backend: Id) -> EndpointSet | None:
    """The members of a backend; nothing where there is no such backend."""
    found = read.get(composed.backends, Part(load_balancer, backend))
    if found is None or isinstance(found.source, FromDns):
        return None
    members = read.get(composed.endpoint_sets, Part(load_balancer, found.source.id))
    return EndpointSet(id=found.source.id) if members is None else members


def _strangers(graph: Graph, composed: Composed, ports: Table[Place, Port]) -> Table[HostKey, HostPart]:
    """Hosts of TLS policies, where they must answer 421. A host that the group really has stays as it is."""

    def rows(read: Read, place: Place, port: Port) -> Iterator[tuple[HostKey, HostPart]]:
        for group, hostname in dict.fromkeys(listeners.misdirected(port.listeners)):
            key = HostKey(place[0], Id(group), Hostname(hostname))
            if not read.contains(composed.virtual_hosts, key):
                yield key, hosts.refusing_part(hostname, hosts.MISDIRECTED)

    return graph.spread("envoy/strangers", ports, rows)


def _rest(graph: Graph, composed: Composed, strangers: Table[HostKey, HostPart]) -> Table[HostKey, HostPart]:
    """What answers to hosts that nobody named, in every group of a listener that says nothing about them."""

    def rows(read: Read, group: Group, port: Port) -> Iterator[tuple[HostKey, HostPart]]:
        key = HostKey(group[0], group[1], Hostname("*"))
        if not (read.contains(composed.virtual_hosts, key) or read.contains(strangers, key)):
            misdirected = any(map(listeners.strict, port.listeners))
            yield key, hosts.refusing_part("*", hosts.MISDIRECTED if misdirected else 404)

    by_group = graph.index(
        "envoy/listeners-by-group",
        composed.listeners,
        lambda key, one: [(key.load_balancer, one.group)] * (one.protocol in SPEAKING_HTTP),
    )
    return graph.spread("envoy/rest", graph.group("envoy/listener-groups", by_group, _port), rows)


class Piece(NamedTuple):
    """One piece of a host; ``place`` is depth and number, as the key filter writes them."""

    load_balancer: Id
    group: Id
    hostname: Hostname
    place: str


class Held(NamedTuple):
    """The routes of one piece, in the order of matching."""

    routes: tuple[Route, ...]


class _Split(NamedTuple):
    depths: Table[HostKey, int]
    pieces: Table[Piece, Held]


def _piece_routes(_: Read, key: HostKey, found: pieces.Split) -> Iterator[tuple[Piece, Held]]:
    return (
        (Piece(*key, place), Held(routes)) for place, routes in zip(_places(found.depth), found.pieces, strict=True)
    )


def _places(depth: int) -> list[str]:
    return [f"{depth}.{number}" for number in range(pieces.PIECES)]


def _split_row(key: HostKey, depth: int, origins: tuple[Origin, ...]) -> Row:
    """It goes when all its pieces are there."""
    name, body = hosts.split_scope(group_token(key.group), key.hostname, depth)
    needs = ((names.SCOPE, f"{name}|{place}") for place in _places(depth))
    return item(key.load_balancer, names.SCOPE, name, body, needs=needs, origins=origins, tail=hosts.SPLIT[depth])


class Members(NamedTuple):
    """The host parts of one group, sorted by host name."""

    parts: tuple[HostPart, ...]


def _grouped(graph: Graph, name: str, parts: Table[HostKey, HostPart], row: RowOf) -> Items:
    index = graph.index(f"{name}/by-group", parts, lambda key, _: [(key.load_balancer, key.group)])
    groups = graph.group(f"{name}/groups", index, _members)
    return graph.spread(name, groups, lambda _, key, members: [row(key, members.parts)])


def _members(_: Read, __: Group, members: Sequence[tuple[HostKey, HostPart]]) -> Members:
    return Members(tuple(part for _, part in members))


def _fallback_row(group: Group, parts: Sequence[HostPart]) -> Row:
    name, body = hosts.fallback_scope(group_token(group[1]), parts)
    return item(group[0], names.SCOPE, name, body, needs=_needs(parts), origins=_origins(parts))


def _table_row(group: Group, parts: Sequence[HostPart]) -> Row:
    name = group_token(group[1])
    return item(
        group[0], names.ROUTES, name, hosts.route_table(name, parts), needs=_needs(parts), origins=_origins(parts)
    )


def _exact_row(key: HostKey, part: HostPart) -> Row:
    name, body = hosts.exact_scope(group_token(key.group), part)
    return item(key.load_balancer, names.SCOPE, name, body, needs=part.needs, origins=part.origins, tail=hosts.EXACT)


def _needs(parts: Iterable[HostPart]) -> Iterator[tuple[str, str]]:
    return (need for part in parts for need in part.needs)


def _origins(parts: Iterable[HostPart]) -> tuple[Origin, ...]:
    return tuple(dict.fromkeys(origin for part in parts for origin in part.origins))


def _defaults(read: Read, composed: Composed, load_balancer: Id) -> Timeouts:
    front = read.get(composed.load_balancers, load_balancer)
    return front.defaults.timeouts if front else Timeouts()


def _port(_: Read, __: Place | Group, members: Sequence[tuple[Part, Listener]]) -> Port:
    return Port(tuple(one for _, one in members))


def _cluster(_: Read, key: Part, backend: Backend) -> Iterator[Row]:
    body, needs = clusters.cluster(backend), clusters.cluster_needs(backend)
    yield item(key.load_balancer, names.CLUSTER, backend.id, body, needs=needs, origins=backend.origins)


def _endpoints(_: Read, key: Part, wished: EndpointSet) -> Iterator[Row]:
    yield item(key.load_balancer, names.ENDPOINTS, wished.id, endpoints.load_assignment(wished))


def _certificate(_: Read, key: Part, wished: Certificate) -> Iterator[Row]:
    yield item(
        key.load_balancer,
        names.SECRET,
        names.certificate_name(wished.id),
        secrets.certificate_secret(wished),
        serves=wished.names,
        default=wished.default,
        private=True,
        origins=(wished.origin,),
    )


def _server_name(_: Read, key: ServerName, certificate: Id) -> Iterator[Row]:
    """The body is the name of the secret: this stays with us and says what Envoy gets when it asks for the host."""
    yield item(key.load_balancer, names.SERVER_NAME, key.hostname, names.certificate_name(certificate).encode())


def _bundle(_: Read, key: Part, wished: TrustBundle) -> Iterator[Row]:
    yield item(
        key.load_balancer,
        names.SECRET,
        names.bundle_name(wished.id),
        secrets.bundle_secret(wished),
        origins=(wished.origin,),
    )


def _answers_filter(_: Read, key: Id, __: LoadBalancer) -> Iterator[Row]:
    yield item(key, names.EXTENSION, names.ANSWERS, answers.answers_filter())


def _key_filter(_: Read, key: Id, __: LoadBalancer) -> Iterator[Row]:
    yield item(key, names.EXTENSION, names.KEYS, key_filter.key_filter())
