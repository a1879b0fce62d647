"""L4 routes: a chain that leads connections on as they are, and the Envoy listener of a port of UDP.

Comes in: a route, already with the names that are its own. Goes out: a filter chain under the route's name, so that a change of another one never touches its connections
(Envoy replaces the chains that differ, and drains those alone); for UDP a whole listener. A cluster that is not there closes the connection.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from envoy.config.core.v3 import address_pb2
from envoy.config.listener.v3 import listener_components_pb2 as components
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.filters.udp.udp_proxy.v3 import route_pb2, udp_proxy_pb2
from xds.core.v3 import extension_pb2
from xds.type.matcher.v3 import matcher_pb2

from weirkeeper.model.backend import Backend, FromEndpointSet
from weirkeeper.model.listener import Listener
from weirkeeper.model.route import Forward, L4Route, WeightedBackend
from weirkeeper.model.text import Id
from weirkeeper.providers.envoy import names
from weirkeeper.providers.envoy.translate.access_log import OF_BYTES, access_log
from weirkeeper.providers.envoy.translate.values import duration, number, packed

NOBODY = "-"
"""No cluster, and no chain, has this name."""
CLOSED = "closed"
HOUR, MINUTE = 3_600_000, 60_000
ATTEMPTS = 3
"""So many endpoints are tried before a client hears that none took its connection."""


def chain_name(route: L4Route) -> str:
    """The name of a route's chain."""
    return f"l4/{route.id}"


def stream_chain(name: str, route: L4Route | None, socket: Any | None, log: str | None) -> Any:
    """The chain of a route; without one every connection is closed."""
    idle = route.idle if route is not None and route.idle is not None else HOUR
    forward = route.forward if route is not None else Forward(backends=())
    made = components.FilterChain.FromString(_unopened(name, forward, idle, log))
    if socket is not None:
        made.transport_socket.CopyFrom(socket)
        made.transport_socket_connect_timeout.CopyFrom(duration(10_000))
    return made


@lru_cache(maxsize=8192)
def _unopened(name: str, forward: Forward, idle: int, log: str | None) -> bytes:
    """The bytes of a chain without TLS: of a port with many names all but one are as they were."""
    proxy = tcp_proxy_pb2.TcpProxy(stat_prefix="l4", max_connect_attempts=number(ATTEMPTS))
    proxy.idle_timeout.CopyFrom(duration(idle))
    _led(proxy, shares(forward))
    if log:
        proxy.access_log.append(access_log(log, OF_BYTES))
    made = components.FilterChain(name=name, filters=[components.Filter(name="l4", typed_config=packed(proxy))])
    body: bytes = made.SerializeToString(deterministic=True)
    return body


def udp_listener(port: int, addresses: Sequence[str], route: L4Route | None, log: str | None) -> bytes:
    """The bytes of the Envoy listener of a port of UDP. A session is what comes from one address and port of a client."""
    proxy = udp_proxy_pb2.UdpProxyConfig(stat_prefix="l4")
    proxy.idle_timeout.CopyFrom(duration(route.idle if route is not None and route.idle is not None else MINUTE))
    cluster = NOBODY if route is None else udp_cluster(route)
    action = extension_pb2.TypedExtensionConfig(name="route", typed_config=packed(route_pb2.Route(cluster=cluster)))
    proxy.matcher.on_no_match.CopyFrom(matcher_pb2.Matcher.OnMatch(action=action))
    if log:
        proxy.access_log.append(access_log(log, OF_BYTES))
    made = listener_pb2.Listener(
        name=udp_name(port),
        address=_address(addresses[0], port),
        udp_listener_config={},
        enable_reuse_port={"value": True},
        listener_filters=[components.ListenerFilter(name="udp", typed_config=packed(proxy))],
    )
    for address in addresses[1:]:
        made.additional_addresses.add().address.CopyFrom(_address(address, port))
    body: bytes = made.SerializeToString(deterministic=True)
    return body


def udp_name(port: int) -> str:
    """The name of the Envoy listener of a port of UDP."""
    return f"udp-{port}"


def udp_cluster(route: L4Route) -> str:
    """Where the datagrams of a route go: Envoy's UDP proxy knows one cluster, so several backends share one that is made for the route."""
    found = shares(route.forward)
    if len(found) > 1:
        return common_backend(route).id
    return found[0].backend if found else NOBODY


def common_backend(route: L4Route) -> Backend:
    """The backend that stands for all of a route's."""
    name = Id(chain_name(route))
    return Backend(id=name, protocol="udp", source=FromEndpointSet(id=name), origins=(route.origin,))


def shares(forward: Forward) -> list[WeightedBackend]:
    """The backends that get something."""
    return [share for share in forward.backends if share.weight > 0]


def stream_needs(routes: Sequence[L4Route], known: Callable[[Id], bool]) -> Iterator[tuple[str, str]]:
    """The clusters that are there; a route to one that is not waits for nobody."""
    for route in routes:
        yield from ((names.CLUSTER, share.backend) for share in shares(route.forward) if known(share.backend))


def logged(listeners: Sequence[Listener], path: str | None) -> str | None:
    """Where connections of these listeners are written down."""
    return path if path and all(one.access_log for one in listeners) else None


def _led(proxy: Any, found: Sequence[WeightedBackend]) -> None:
    if len(found) < 2:
        proxy.cluster = found[0].backend if found else NOBODY
        return
    for share in found:
        proxy.weighted_clusters.clusters.add(name=share.backend, weight=share.weight)


def _address(address: str, port: int) -> Any:
    place = address_pb2.SocketAddress(address=address, port_value=port, protocol=address_pb2.SocketAddress.UDP)
    return address_pb2.Address(socket_address=place)
