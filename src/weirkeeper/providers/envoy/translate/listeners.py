"""Listeners of one port to one Envoy listener: a chain for each TLS listener, chosen by server name.

A listener with a host name of its own is a policy (decision 0004): its chain has named certificates and its own group, and a host that the group
does not have is misdirected. The listener without a host name takes all other names on demand; connections whose server name is
none, or no host name, get the default certificate in a chain apart. L4 routes have a chain each, chosen by their own names.

A listener that believes some addresses has each of its chains twice: strangers get the one that believes nobody, for what it removes of a request no rule of a chain can make depend on an address.
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
from weirkeeper.model.listener import ClientAddress, Listener, ListenerTls
from weirkeeper.model.route import L4Route
from weirkeeper.model.text import Hostname, Id
from weirkeeper.providers.envoy import names
from weirkeeper.providers.envoy.options import EnvoyOptions
from weirkeeper.providers.envoy.translate.chain_matcher import Apart, by_address, chain_matcher
from weirkeeper.providers.envoy.translate.connection_manager import connection_manager
from weirkeeper.providers.envoy.translate.downstream_tls import named_socket, on_demand_socket
from weirkeeper.providers.envoy.translate.streams import CLOSED, NOBODY, chain_name, logged, stream_chain
from weirkeeper.providers.envoy.translate.values import cidr, duration, number, packed

BUFFER = 32 * 1024
SECURE = ("https", "tls")
NOWHERE = "255.255.255.255/32"
"""Where no connection comes from."""
PLAIN, ON_DEMAND, FALLBACK = "plain", "on-demand", "fallback"


class HttpChains(NamedTuple):
    """The chains of a listener for HTTPS as bytes. Nothing of them depends on who stands beside it, and a port may have thousands: they are made where the listener changes.

    ``strangers`` are the same for those that the listener does not believe, where it believes some addresses.
    """

    main: bytes
    fallback: bytes | None = None
    strangers: tuple[bytes, ...] = ()


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
        _plain_chains(made, listeners[0], options, defaults)
    return _bytes(made)


def _plain_chains(made: Any, one: Listener, options: EnvoyOptions, defaults: Timeouts) -> None:
    made.filter_chains.append(_chain(PLAIN, one, options, defaults, None))
    if apart := _apart(one, PLAIN):
        made.filter_chains.append(_chain(apart.strangers, _believing_nobody(one), options, defaults, None))
        made.filter_chain_matcher.CopyFrom(by_address(PLAIN, apart))


def http_chains(one: Listener, options: EnvoyOptions, defaults: Timeouts) -> HttpChains:
    """Its own chain, and one for connections without a server name where it has a certificate for them."""
    tls = one.tls or ListenerTls()
    named = {_host_chain(one.hostname): _socket(tls)} if one.hostname else {ON_DEMAND: on_demand_socket(tls)}
    if tls.default_certificate and not one.hostname:
        named[FALLBACK] = named_socket(tls, (tls.default_certificate,))
    main, *fallback = (_bytes(_chain(name, one, options, defaults, socket)) for name, socket in named.items())
    apart = {name: found for name in named if (found := _apart(one, name))}
    strange = (
        _bytes(_chain(found.strangers, _believing_nobody(one), options, defaults, named[name]))
        for name, found in apart.items()
    )
    return HttpChains(main, fallback[0] if fallback else None, tuple(strange))


def _apart(one: Listener, chain: str) -> Apart | None:
    """Whom a chain of this listener is for, where it believes some addresses only."""
    trusted = one.http.client_address.trusted
    if one.http.client_address.header or not trusted:
        return None
    ranges = [found for found in map(cidr, trusted) if found is not None]
    return Apart(ranges or [cidr(NOWHERE)], f"{chain} (strangers)")


def _believing_nobody(one: Listener) -> Listener:
    return msgspec.structs.replace(one, http=msgspec.structs.replace(one.http, client_address=ClientAddress()))


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
    made.filter_chain_matcher.CopyFrom(chain_matcher(chosen.names, chosen.rest, chosen.fallback, chosen.apart))


class _Chosen:
    """Which chain takes which connections: by name, those of other names, and those without one."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.rest: str | None = None
        self.fallback: str | None = None
        self.apart: dict[str, Apart] = {}


def _http_chains(made: Any, one: Listener, chains: HttpChains, chosen: _Chosen) -> None:
    names = [_host_chain(one.hostname) if one.hostname else ON_DEMAND]
    if one.hostname:
        chosen.names[one.hostname] = names[0]
    else:
        chosen.rest = ON_DEMAND
    if chains.fallback is not None:
        chosen.fallback = FALLBACK
        names.append(FALLBACK)
        made.filter_chains.add().MergeFromString(chains.fallback)
    for chain in (chains.main, *chains.strangers):
        made.filter_chains.add().MergeFromString(chain)
    chosen.apart |= {name: apart for name in names if (apart := _apart(one, name))}


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
