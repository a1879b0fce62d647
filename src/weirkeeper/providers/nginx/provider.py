"""The NGINX provider: its derivations from composed tables to engine items. Pure; the engine is imported only when one is started."""

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from weirkeeper.flow import Graph, Index, Read, Table
from weirkeeper.model.backend import Backend
from weirkeeper.model.certificate import Certificate, TrustBundle
from weirkeeper.model.endpoint import EndpointSet
from weirkeeper.model.features import Capabilities
from weirkeeper.model.filters import Timeouts
from weirkeeper.model.ids import HostKey, Part, ServerName
from weirkeeper.model.route import L4Route, VirtualHost
from weirkeeper.model.text import Id
from weirkeeper.providers.base import Composed, Engine, EngineItem, EngineSettings, ItemKey, Row
from weirkeeper.providers.items import item
from weirkeeper.providers.nginx.capabilities import CAPABILITIES
from weirkeeper.providers.nginx.printed import printed
from weirkeeper.providers.nginx.translate import backends, hosts, items, listeners, streams
from weirkeeper.providers.nginx.translate.items import Bundle
from weirkeeper.providers.ports import Place, PortListeners, by_port, revoked

Items = Table[ItemKey, EngineItem]
ByListener = Index[tuple[Id, Id], Part, L4Route]


class NginxProvider:
    """NGINX by entries of a shared dictionary that its Lua reads."""

    name = "nginx"
    agent: Literal[True] = True

    def __init__(self, capabilities: Capabilities = CAPABILITIES) -> None:
        self.capabilities = capabilities

    def declare(self, graph: Graph, composed: Composed) -> Items:
        """Declare the translations; the answer is the union of all items."""
        led = graph.index(
            "nginx/l4-by-listener", composed.l4_routes, lambda key, one: [(key.load_balancer, one.listener)]
        )
        ports = by_port(graph, composed, self.name)
        return graph.union(
            "nginx/items",
            [
                graph.spread("nginx/listeners", ports, _ports(composed, led)),
                graph.spread("nginx/streams", composed.l4_routes, _streams(composed)),
                graph.spread("nginx/hosts", composed.virtual_hosts, _hosts(composed)),
                graph.spread("nginx/backends", composed.backends, _backends(composed)),
                graph.spread("nginx/endpoints", composed.endpoint_sets, _endpoints),
                graph.spread("nginx/certificates", composed.certificates, _certificate),
                graph.spread("nginx/server-names", composed.server_names, _server_name),
                graph.spread("nginx/bundles", composed.trust_bundles, _bundle),
            ],
        )

    def printed(self, items: Mapping[ItemKey, EngineItem]) -> str:
        """The file of NGINX and the entries of its dictionary, without secrets."""
        return printed(items)

    def engine(self, settings: EngineSettings) -> Engine:
        """An NGINX that is run on this machine."""
        from weirkeeper.providers.nginx.engine import NginxEngine  # noqa: PLC0415 (processes and sockets stay out of pure uses)

        return NginxEngine(settings)


def _ports(composed: Composed, led: ByListener) -> Callable[[Read, Place, PortListeners], Iterator[Row]]:
    def rows(read: Read, place: Place, port: PortListeners) -> Iterator[Row]:
        datagrams = tuple(one for one in port.listeners if one.protocol == "udp")
        for many in (tuple(one for one in port.listeners if one.protocol != "udp"), datagrams):
            if many:
                led_on = any(read.lookup(led, (place[0], one.id)) for one in many)
                made = listeners.port(place[1], many, revoked(read, composed, place[0]), led=led_on)
                yield item(place[0], items.PORT, made.entry, made, origins=tuple(one.origin for one in many))

    return rows


def _streams(composed: Composed) -> Callable[[Read, Part, L4Route], Iterator[Row]]:
    def rows(read: Read, key: Part, route: L4Route) -> Iterator[Row]:
        listener = read.get(composed.listeners, Part(key.load_balancer, route.listener))
        if listener is not None:
            known = streams.Known(
                lambda name: read.get(composed.backends, Part(key.load_balancer, name)),
                lambda name: read.get(composed.endpoint_sets, Part(key.load_balancer, name)),
            )
            comes = revoked(read, composed, key.load_balancer)
            made = streams.led(route, listener, known, comes, listeners.opened(listener, comes))
            yield item(key.load_balancer, items.LED, key.id, made, origins=(route.origin,))

    return rows


def _hosts(composed: Composed) -> Callable[[Read, HostKey, VirtualHost], Iterator[Row]]:
    def rows(read: Read, key: HostKey, host: VirtualHost) -> Iterator[Row]:
        front = read.get(composed.load_balancers, key.load_balancer)
        made = hosts.host(
            host,
            lambda name: read.get(composed.backends, Part(key.load_balancer, name)),
            front.defaults.timeouts if front else Timeouts(),
            revoked(read, composed, key.load_balancer),
        )
        origins = host.origins or tuple(dict.fromkeys(route.origin for route in host.routes))
        name = hosts.host_name(key.group, key.hostname)
        private = any(route.auth for route in host.routes)
        yield item(key.load_balancer, items.HOST, name, made, origins=origins, private=private)

    return rows


def _backends(composed: Composed) -> Callable[[Read, Part, Backend], Iterator[Row]]:
    def rows(read: Read, key: Part, wished: Backend) -> Iterator[Row]:
        made = backends.backend(wished, revoked(read, composed, key.load_balancer))
        yield item(key.load_balancer, items.BACKEND, wished.id, made, origins=wished.origins)

    return rows


def _endpoints(_: Read, key: Part, wished: EndpointSet) -> Iterator[Row]:
    yield item(key.load_balancer, items.ENDPOINTS, wished.id, backends.endpoints(wished))


def _certificate(_: Read, key: Part, wished: Certificate) -> Iterator[Row]:
    made = {"chain": wished.chain.strip() + "\n", "key": wished.key.open().strip() + "\n"}
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
    yield item(key.load_balancer, items.SERVER_NAME, key.hostname, {"certificate": certificate})


def _bundle(_: Read, key: Part, wished: TrustBundle) -> Iterator[Row]:
    made = Bundle(certificates=wished.certificates, revocations=wished.revocations)
    yield item(key.load_balancer, items.BUNDLE, wished.id, made, origins=(wished.origin,))
