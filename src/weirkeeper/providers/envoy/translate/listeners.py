"""Listeners of one port to one Envoy listener: a chain for each TLS listener, chosen by server name.

A listener with a host name of its own is a policy (decision 0004): its chain has named certificates and its own group, and a host that the group
does not have is misdirected. The listener without a host name takes all other names on demand; connections whose server name is
none, or no host name, get the default certificate in a chain apart. L4 routes have a chain each, chosen by their own names.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from envoy.config.core.v3 import address_pb2
from envoy.config.listener.v3 import listener_components_pb2 as components
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.listener.proxy_protocol.v3 import proxy_protocol_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2

from weirkeeper.model.filters import Timeouts
from weirkeeper.model.listener import Listener, ListenerTls
from weirkeeper.model.route import L4Route
from weirkeeper.model.text import Hostname, Id
from weirkeeper.providers.envoy import names
from weirkeeper.providers.envoy.options import EnvoyOptions
from weirkeeper.providers.envoy.translate.chain_matcher import chain_matcher
from weirkeeper.providers.envoy.translate.connection_manager import connection_manager
from weirkeeper.providers.envoy.translate.downstream_tls import named_socket, on_demand_socket
from weirkeeper.providers.envoy.translate.streams import CLOSED, NOBODY, chain_name, logged, stream_chain
from weirkeeper.providers.envoy.translate.values import duration, number, packed

BUFFER = 32 * 1024
SECURE = ("https", "tls")
ON_DEMAND, FALLBACK = "on-demand", "fallback"


class HttpChains(NamedTuple):
    """The chains of a listener for HTTPS as bytes. Nothing of them depends on who stands beside it, and a port may have thousands: they are made where the listener changes."""

    main: bytes
    fallback: bytes | None = None


class Hanging(NamedTuple):
    """What the listeners of a port have, by their ids: L4 routes, sorted by id, and the chains of those for HTTPS."""

    led: Mapping[Id, Sequence[L4Route]]
    secure: Mapping[Id, HttpChains]


def port_name(port: int) -> str:
    """The name of the Envoy listener of a port."""
    return f"port-{port}"


def listener(
    port: int, listeners: Sequence[Listener], options: EnvoyOptions, defaults: Timeouts, hanging: Hanging
) -> bytes:
    """The bytes of the Envoy listener of one port; the listeners come sorted by id."""
    addresses = bound(listeners, options)
    made = listener_pb2.Listener(
        name=port_name(port),
        address=_address(addresses[0], port),
        per_connection_buffer_limit_bytes=number(BUFFER),
        enable_reuse_port={"value": True},
        tcp_backlog_size=number(4096),
    )
    for address in addresses[1:]:
        made.additional_addresses.add().address.CopyFrom(_address(address, port))
    if any(one.accept_proxy_protocol for one in listeners):
        made.listener_filters.append(_inspect("proxy-protocol", proxy_protocol_pb2.ProxyProtocol()))
    if any(one.protocol in SECURE for one in listeners):
        made.listener_filters.append(_inspect("tls-inspector", tls_inspector_pb2.TlsInspector()))
        _secure_chains(made, listeners, options, hanging)
    elif listeners[0].protocol == "tcp":
        route = next(iter(hanging.led.get(listeners[0].id, ())), None)
        name = CLOSED if route is None else chain_name(route)
        made.filter_chains.append(stream_chain(name, route, None, logged(listeners, options.access_log)))
    else:
        made.filter_chains.append(_chain("plain", listeners[0], options, defaults, None))
    return _bytes(made)


def http_chains(one: Listener, options: EnvoyOptions, defaults: Timeouts) -> HttpChains:
    """Its own chain, and one for connections without a server name where it has a certificate for them."""
    tls = one.tls or ListenerTls()
    if one.hostname:
        return HttpChains(_bytes(_chain(_host_chain(one.hostname), one, options, defaults, _socket(tls))))
    main = _bytes(_chain(ON_DEMAND, one, options, defaults, on_demand_socket(tls)))
    if not tls.default_certificate:
        return HttpChains(main)
    default = named_socket(tls, (tls.default_certificate,))
    return HttpChains(main, _bytes(_chain(FALLBACK, one, options, defaults, default)))


def listener_needs(listeners: Sequence[Listener], *, scoped: bool) -> list[tuple[str, str]]:
    """The filters that are scripts, and the secrets of named certificates and trust bundles."""
    found = [(names.EXTENSION, name) for name in ((names.KEYS, names.ANSWERS) if scoped else (names.ANSWERS,))]
    for one in listeners:
        if one.tls is None:
            continue
        named = one.tls.certificates if one.hostname else ()
        default = (one.tls.default_certificate,) if one.tls.default_certificate else ()
        found += [(names.SECRET, names.certificate_name(held)) for held in (*named, *default)]
        if one.tls.client_validation:
            found.append((names.SECRET, names.bundle_name(one.tls.client_validation.trust)))
    return found


def misdirected(listeners: Sequence[Listener]) -> list[tuple[str, str]]:
    """Which (group, host name) must answer 421: the policies' hosts, in the groups of the listeners without a host name."""
    secure = [one for one in listeners if one.tls]
    policies = [one for one in secure if one.hostname]
    return [
        (g.group, p.hostname) for g in secure if not g.hostname for p in policies if p.hostname and p.group != g.group
    ]


def strict(one: Listener) -> bool:
    """Whether a host that the listener's group does not have is misdirected (421), since it may belong to another TLS policy."""
    return bool(one.tls and one.hostname)


def _secure_chains(made: Any, listeners: Sequence[Listener], options: EnvoyOptions, hanging: Hanging) -> None:
    """Narrow names first, whatever is done with their connections; a name that belongs to a listener without a route for it is closed."""
    chosen = _Chosen()
    for one in listeners:
        if one.id in hanging.secure:
            _http_chains(made, one, hanging.secure[one.id], chosen)
    for one in listeners:
        for route in hanging.led.get(one.id, ()):
            _l4_chains(made, one, route, options, chosen)
        if one.protocol == "tls" and one.hostname:
            chosen.names.setdefault(one.hostname, NOBODY)
    if not made.filter_chains:  # Envoy refuses a listener without any
        made.filter_chains.append(stream_chain(CLOSED, None, None, None))
        chosen.rest = None if chosen.names else CLOSED
    made.filter_chain_matcher.CopyFrom(chain_matcher(chosen.names, chosen.rest, chosen.fallback))


class _Chosen:
    """Which chain takes which connections: by name, those of other names, and those without one."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.rest: str | None = None
        self.fallback: str | None = None


def _http_chains(made: Any, one: Listener, chains: HttpChains, chosen: _Chosen) -> None:
    if one.hostname:
        chosen.names[one.hostname] = _host_chain(one.hostname)
    else:
        chosen.rest = ON_DEMAND
    if chains.fallback is not None:
        chosen.fallback = FALLBACK
        made.filter_chains.add().MergeFromString(chains.fallback)
    made.filter_chains.add().MergeFromString(chains.main)


def _host_chain(host: Hostname) -> str:
    return f"host/{host}"


def _l4_chains(made: Any, one: Listener, route: L4Route, options: EnvoyOptions, chosen: _Chosen) -> None:
    """The chain of a route. What is in TLS that ends here nobody knows, so no protocol is offered."""
    name, ends = chain_name(route), route.tls == "terminate" and one.tls is not None
    tls = msgspec.structs.replace(one.tls, alpn=()) if ends and one.tls is not None else None
    socket = None if tls is None else _socket(tls)
    made.filter_chains.append(stream_chain(name, route, socket, logged([one], options.access_log)))
    chosen.names |= dict.fromkeys(route.sni, name)
    if not route.sni and chosen.rest is None:
        chosen.rest = name
        chosen.fallback = name if tls is None or _named(tls) else None


def _socket(tls: ListenerTls) -> Any:
    return named_socket(tls, _named(tls)) if _named(tls) else on_demand_socket(tls)


def _named(tls: ListenerTls) -> tuple[Id, ...]:
    return tls.certificates or ((tls.default_certificate,) if tls.default_certificate else ())


def _chain(name: str, one: Listener, options: EnvoyOptions, defaults: Timeouts, socket: Any | None) -> Any:
    manager = connection_manager(one, options, defaults, strict=strict(one))
    made = components.FilterChain(name=name, filters=[components.Filter(name="http", typed_config=packed(manager))])
    if socket is not None:
        made.transport_socket.CopyFrom(socket)
        made.transport_socket_connect_timeout.CopyFrom(duration(min(one.http.header_timeout, 10_000)))
    return made


def bound(listeners: Sequence[Listener], options: EnvoyOptions) -> list[str]:
    """The addresses at which listeners of one port take connections."""
    wished: list[str] = list(dict.fromkeys(address for one in listeners for address in one.addresses))
    return wished or (["0.0.0.0", "::"] if options.ipv6 else ["0.0.0.0"])  # noqa: S104 (a load balancer binds all)


def _address(address: str, port: int) -> Any:
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address=address, port_value=port))


def _bytes(message: Any) -> bytes:
    body: bytes = message.SerializeToString(deterministic=True)
    return body


def _inspect(name: str, config: Any) -> Any:
    return components.ListenerFilter(name=name, typed_config=packed(config))
