"""A port of a Gateway in the neutral model: its listeners, and what keeps them apart.

Comes in: the judged listeners of one port. Goes out: an ``Intent``: model listeners, certificates, and routes of the lowest priority that answer 404 and 421.

*In the clear* all listeners of a port are one, with one route group: the host alone says which of them a request is for. A listener's host name is there with a 404, so that
it shadows the wider ones even while it has no routes (listener isolation). *With TLS* each listener has a group of its own, chosen by the server name. What another
listener of the port takes is misdirected there (421, RFC 9110, 15.5.20); what none takes is not found (Gateway API, HTTPS listeners that share a port).
"""

from collections.abc import Iterator, Sequence

from weirkeeper.controllers.base import HostedRoute, Intent
from weirkeeper.controllers.gateway.classes import OurClass
from weirkeeper.controllers.gateway.hosts import narrower
from weirkeeper.controllers.gateway.listeners import EntryKey, Listening, PortKey
from weirkeeper.controllers.gateway.settings import GatewaySettings
from weirkeeper.controllers.shared.hostnames import ANY
from weirkeeper.controllers.shared.ids import below
from weirkeeper.controllers.shared.parameters import client_address
from weirkeeper.model.listener import HttpOptions, Listener, ListenerTls
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Respond, Route
from weirkeeper.model.text import CipherName, Hostname, Refused, parse
from weirkeeper.model.words import ListenerProtocol, ProxyVersion, TlsVersion, word

LAST = -2000
STREAMS: dict[str, ListenerProtocol] = {"TLS": "tls", "TCP": "tcp", "UDP": "udp"}
MISDIRECTED, NOT_FOUND = 421, 404
PRECISE = 64
"""Up to so many listeners of one port each knows what the others take; beyond, it holds everything that it does not have itself for misdirected."""

Judged = tuple[EntryKey, Listening]


def port_intent(key: PortKey, members: Sequence[Judged], ours: OurClass, settings: GatewaySettings) -> Intent | None:
    """The port, or nothing where no listener of it serves."""
    serving = sorted((row for row in members if row[1].serves), key=lambda row: row[1].rank)
    if not serving:
        return None
    plain = [row for row in serving if row[1].family == "http"]
    secure = [row for row in serving if row[1].protocol == "HTTPS"]
    streams = [row for row in serving if row[1].protocol in STREAMS]
    listeners = [
        *([_plain(key, plain, ours, settings)] if plain else []),
        *(_secure(row, ours, settings) for row in secure),
        *(_stream(one, ours, settings) for _, one in streams),
    ]
    return Intent(
        load_balancer=serving[0][1].load_balancer,
        listeners=tuple(listeners),
        routes=(*_shadows(plain), *_strangers(secure)),
        certificates=tuple(wish for _, one in (*secure, *streams) for wish in one.certificates),
        trust_bundles=tuple(one.trust for _, one in secure if one.trust is not None),
    )


def _plain(key: PortKey, members: Sequence[Judged], ours: OurClass, settings: GatewaySettings) -> Listener:
    _, first = members[0]
    return Listener(
        id=first.group,
        load_balancer=first.load_balancer,
        group=first.group,
        addresses=settings.addresses,
        port=key.port,
        http=_options(ours),
        accept_proxy_protocol=word(ProxyVersion, ours.spec.proxy_protocol),
        access_log=ours.spec.access_log,
        origin=first.origin,
    )


def _secure(row: Judged, ours: OurClass, settings: GatewaySettings) -> Listener:
    _, one = row
    return Listener(
        id=one.group,
        load_balancer=one.load_balancer,
        group=one.group,
        addresses=settings.addresses,
        port=one.port,
        protocol="https",
        hostname=_name(one),
        tls=_ending(one, ours),
        http=_options(ours),
        accept_proxy_protocol=word(ProxyVersion, ours.spec.proxy_protocol),
        access_log=ours.spec.access_log,
        origin=one.origin,
    )


def _stream(one: Listening, ours: OurClass, settings: GatewaySettings) -> Listener:
    """A listener of bytes."""
    tls = ListenerTls(mode="passthrough") if one.tls == "passthrough" else _ending(one, ours)
    return Listener(
        id=one.group,
        load_balancer=one.load_balancer,
        group=one.group,
        addresses=settings.addresses,
        port=one.port,
        protocol=STREAMS[one.protocol],
        hostname=_name(one) if one.tls is not None else None,
        tls=None if one.tls is None else tls,
        accept_proxy_protocol=None if one.protocol == "UDP" else word(ProxyVersion, ours.spec.proxy_protocol),
        access_log=ours.spec.access_log,
        origin=one.origin,
    )


def _name(one: Listening) -> Hostname | None:
    return None if one.hostname == ANY else one.hostname


def _ending(one: Listening, ours: OurClass) -> ListenerTls:
    """TLS that ends here."""
    held = tuple(dict.fromkeys(wish.id for wish in one.certificates))
    return ListenerTls(
        certificates=held,
        default_certificate=held[0] if held and one.hostname == ANY else None,
        min_version=word(TlsVersion, ours.spec.tls.min_version) if ours.spec.tls.min_version != "1.2" else None,
        max_version=word(TlsVersion, ours.spec.tls.max_version),
        ciphers=tuple(
            c for c in (parse(CipherName, text) for text in ours.spec.tls.ciphers) if not isinstance(c, Refused)
        ),
        client_validation=one.clients,
    )


def _options(ours: OurClass) -> HttpOptions:
    return HttpOptions(client_address=client_address(ours.spec))


def _shadows(members: Sequence[Judged]) -> Iterator[HostedRoute]:
    return (_answer(one, one.hostname, NOT_FOUND) for _, one in members if one.hostname != ANY)


def _strangers(members: Sequence[Judged]) -> Iterator[HostedRoute]:
    names = {one.hostname for _, one in members}
    named = sorted(names - {ANY})
    precise, within = len(names) <= PRECISE, _within(named)
    for _, one in members:
        if one.hostname != ANY:
            yield _answer(one, one.hostname, NOT_FOUND)
            yield _answer(one, ANY, MISDIRECTED if ANY in names or len(names) > PRECISE else NOT_FOUND)
        for other in named if precise or one.hostname == ANY else within.get(one.hostname, ()):
            if other != one.hostname:
                yield _answer(one, other, MISDIRECTED)


def _within(names: Sequence[Hostname]) -> dict[Hostname, list[Hostname]]:
    """The names by each wildcard that they are inside of."""
    found = dict[Hostname, list[Hostname]]()
    for name in names:
        for wider in narrower(name, ANY):
            found.setdefault(wider, []).append(name)
    return found


def _answer(one: Listening, host: Hostname, status: int) -> HostedRoute:
    route = Route(
        id=below(one.group, "rest", host),
        action=Respond(status=status),
        priority=LAST,
        origin=Origin(ref=one.origin.ref),
    )
    return HostedRoute(load_balancer=one.load_balancer, group=one.group, hostname=host, route=route)
