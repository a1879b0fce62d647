"""The HAProxy provider: its derivations from composed tables to engine items. Pure; the engine is imported only when one is started."""

from collections.abc import Iterator, Mapping
from typing import Literal

from weirkeeper.flow import Graph, Index, Read, Table
from weirkeeper.model.certificate import Certificate, TrustBundle
from weirkeeper.model.endpoint import EndpointSet
from weirkeeper.model.features import Capabilities
from weirkeeper.model.filters import Timeouts
from weirkeeper.model.ids import HostKey, Part, ServerName
from weirkeeper.model.route import L4Route, VirtualHost
from weirkeeper.model.text import Hostname, Id
from weirkeeper.providers.base import Composed, Engine, EngineItem, EngineSettings, ItemKey, Row
from weirkeeper.providers.haproxy.capabilities import CAPABILITIES
from weirkeeper.providers.haproxy.printed import printed
from weirkeeper.providers.haproxy.translate import hosts, items, listeners, streams
from weirkeeper.providers.haproxy.translate.items import Bundle, Chain, Endpoints, Named, Server
from weirkeeper.providers.items import item
from weirkeeper.providers.ports import Place, PortListeners, by_port, revoked

Items = Table[ItemKey, EngineItem]
Led = Index[tuple[Id, Id], Part, L4Route]
Deep = Table[tuple[Id, Id, int], int]
"""Which numbers of labels stand behind stars that stand for any number of labels, by load balancer and route group."""
DEEPEST = 16
"""Such wildcards with more labels behind the star are not looked for."""


class HaproxyProvider:
    """HAProxy by its runtime socket."""

    name = "haproxy"
    agent: Literal[True] = True

    def __init__(self, capabilities: Capabilities = CAPABILITIES) -> None:
        self.capabilities = capabilities

    def declare(self, graph: Graph, composed: Composed) -> Items:
        """Declare the translations; the answer is the union of all items."""
        led = graph.index(
            "haproxy/l4-by-listener", composed.l4_routes, lambda key, one: [(key.load_balancer, one.listener)]
        )
        ports = by_port(graph, composed, self.name)
        return graph.union(
            "haproxy/items",
            [
                _frontends(graph, composed, ports, led, graph.spread("haproxy/deep", composed.virtual_hosts, _levels)),
                _streams(graph, composed),
                _hosts(graph, composed),
                _strangers(graph, composed, ports),
                graph.spread("haproxy/endpoints", composed.endpoint_sets, _endpoints),
                graph.spread("haproxy/certificates", composed.certificates, _certificate),
                graph.spread("haproxy/server-names", composed.server_names, _server_name),
                graph.spread("haproxy/bundles", composed.trust_bundles, _bundle),
            ],
        )

    def printed(self, items: Mapping[ItemKey, EngineItem]) -> str:
        """The files of HAProxy, without secrets."""
        return printed(items)

    def engine(self, settings: EngineSettings) -> Engine:
        """A HAProxy that is run on this machine."""
        from weirkeeper.providers.haproxy.engine import HaproxyEngine  # noqa: PLC0415 (processes and sockets stay out of pure uses)

        return HaproxyEngine(settings)


def _levels(_: Read, key: HostKey, host: VirtualHost) -> Iterator[tuple[tuple[Id, Id, int], int]]:
    if host.hostname.startswith("*.") and host.wildcard_labels is None:
        level = host.hostname.count(".")
        yield (key.load_balancer, key.group, level), level


def _frontends(
    graph: Graph, composed: Composed, ports: Table[Place, PortListeners], by_listener: Led, deep: Deep
) -> Items:
    def rows(read: Read, place: Place, port: PortListeners) -> Iterator[Row]:
        led = {one.id: [route for _, route in read.lookup(by_listener, (place[0], one.id))] for one in port.listeners}
        groups = sorted({one.group for one in port.listeners if one.protocol in {"http", "https"}})
        levels = [n for group in groups for n in range(1, DEEPEST + 1) if read.contains(deep, (place[0], group, n))]
        made = listeners.port(place[1], port.listeners, revoked(read, composed, place[0]), led, levels)
        yield item(place[0], items.PORT, str(place[1]), made, origins=tuple(one.origin for one in port.listeners))

    return graph.spread("haproxy/frontends", ports, rows)


def _streams(graph: Graph, composed: Composed) -> Items:
    def rows(read: Read, key: Part, route: L4Route) -> Iterator[Row]:
        listener = read.get(composed.listeners, Part(key.load_balancer, route.listener))
        if listener is not None:
            made = streams.stream_host(
                route,
                listener,
                lambda name: read.get(composed.backends, Part(key.load_balancer, name)),
                revoked(read, composed, key.load_balancer),
            )
            yield item(key.load_balancer, items.HOST, f"l4|{key.id}", made, origins=(route.origin,))

    return graph.spread("haproxy/streams", composed.l4_routes, rows)


def _hosts(graph: Graph, composed: Composed) -> Items:
    def rows(read: Read, key: HostKey, host: VirtualHost) -> Iterator[Row]:
        front = read.get(composed.load_balancers, key.load_balancer)
        defaults = front.defaults.timeouts if front else Timeouts()
        made = hosts.host(
            host,
            lambda name: read.get(composed.backends, Part(key.load_balancer, name)),
            defaults,
            revoked(read, composed, key.load_balancer),
        )
        origins = host.origins or tuple(dict.fromkeys(route.origin for route in host.routes))
        yield item(key.load_balancer, items.HOST, _name(key), made, origins=origins, private=bool(made.users))

    return graph.spread("haproxy/hosts", composed.virtual_hosts, rows)


def _strangers(graph: Graph, composed: Composed, ports: Table[Place, PortListeners]) -> Items:
    """Hosts of TLS policies, where they must answer 421. A host that the group really has stays as it is."""

    def rows(read: Read, place: Place, port: PortListeners) -> Iterator[Row]:
        for group, hostname in dict.fromkeys(listeners.misdirected(port.listeners)):
            key = HostKey(place[0], Id(group), Hostname(hostname))
            if not read.contains(composed.virtual_hosts, key):
                made = hosts.refusing_host(group, hostname, hosts.MISDIRECTED)
                yield item(place[0], items.HOST, _name(key), made)

    return graph.spread("haproxy/strangers", ports, rows)


def _name(key: HostKey) -> str:
    return f"{key.group}|{key.hostname}"


def _endpoints(_: Read, key: Part, wished: EndpointSet) -> Iterator[Row]:
    servers = tuple(Server(address=one.address, port=one.port, weight=one.weight) for one in wished.usable)
    yield item(key.load_balancer, items.ENDPOINTS, wished.id, Endpoints(servers=servers))


def _certificate(_: Read, key: Part, wished: Certificate) -> Iterator[Row]:
    pem = wished.chain.strip() + "\n" + wished.key.open().strip() + "\n"
    made = Chain(pem=pem, names=tuple(wished.names))
    yield item(
        key.load_balancer,
        items.CERTIFICATE,
        wished.id,
        made,
        serves=wished.names,
        private=True,
        origins=(wished.origin,),
    )


def _server_name(_: Read, key: ServerName, certificate: Id) -> Iterator[Row]:
    yield item(key.load_balancer, items.SERVER_NAME, key.hostname, Named(certificate=certificate))


def _bundle(_: Read, key: Part, wished: TrustBundle) -> Iterator[Row]:
    made = Bundle(certificates=wished.certificates, revocations=wished.revocations)
    yield item(key.load_balancer, items.BUNDLE, wished.id, made, origins=(wished.origin,))
