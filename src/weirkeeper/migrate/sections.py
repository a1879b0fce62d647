"""Listeners of a Gateway, from the hosts and certificates of a front.

Comes in: a ``Front``. Goes out: its ``Section``s, and for each host at which of them its routes stand.

An Ingress class listens once for HTTPS and chooses the certificate by the name that the client asks for; a Gateway has a listener for each such name. Routes of a host stand at the
listener that takes its name, and at those of narrower names only where no host of that name decides for itself: in both worlds a host decides alone.
"""

from collections.abc import Iterable
from typing import NamedTuple

from weirkeeper.controllers.base import CertificateWish
from weirkeeper.controllers.shared.hostnames import ANY, covers
from weirkeeper.migrate.names import Names, host_word
from weirkeeper.migrate.source import Front
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import Hostname

MOST = 64
"""So many listeners a Gateway or a ListenerSet may have (Gateway API, spec.listeners)."""


class Section(NamedTuple):
    """A listener: its protocol as Gateway API says it, its host (none for all), and the Secret with its certificate."""

    name: str
    protocol: str
    port: int
    hostname: Hostname = ANY
    secret: Ref | None = None
    mode: str = ""


class Sections(NamedTuple):
    """All listeners of a front."""

    plain: Section | None
    secure: tuple[Section, ...]
    streams: tuple[Section, ...]

    @property
    def all(self) -> list[Section]:
        """In the order of writing."""
        return [*([self.plain] if self.plain else []), *self.secure, *self.streams]


def sections_of(front: Front, names: Names) -> Sections:
    """The listeners of a front."""
    among, http, https = (front.load_balancer.id, front.only, "listeners"), front.port("http"), front.port("https")
    plain = None if http is None else Section(names.new(among, "http"), "HTTP", http)
    passed = {name for one in front.streams if one.tls == "passthrough" for name in one.sni}
    secure = () if https is None else tuple(
        Section(names.new(among, "https", "" if host == ANY else host_word(host)), "HTTPS", https, host, wish.secret)
        for host, wish in _named(front).items()
        if host not in passed
    )  # fmt: skip
    return Sections(plain, secure, tuple(_streams(front, names, among)))


def _named(front: Front) -> dict[Hostname, CertificateWish]:
    """The names that certificates are there for, and which one: the oldest claim holds. A certificate for no name in particular answers for its hosts' rest."""
    found: dict[Hostname, CertificateWish] = {}
    for wish in front.certificates:
        for host in wish.hosts or (ANY,):
            if not front.only or wish.origin.ref.namespace in {"", front.only}:
                found.setdefault(host, wish)
    return dict(sorted(found.items(), key=lambda row: (row[0] == ANY, row[0].removeprefix("*."), row[0])))


def _streams(front: Front, names: Names, among: tuple[str, ...]) -> Iterable[Section]:
    listeners = {one.id: one for one in front.listeners}
    for route in front.streams:
        listener = listeners[route.listener]
        if route.tls == "passthrough":
            for host in route.sni:
                yield Section(names.new(among, "tls", host_word(host)), "TLS", listener.port, host, mode="Passthrough")
        else:
            protocol = "UDP" if listener.protocol == "udp" else "TCP"
            yield Section(names.new(among, protocol, str(listener.port)), protocol, listener.port)


def secure_sections(host: Hostname, sections: Sections, hosts: Iterable[Hostname]) -> list[Section]:
    """The listeners for HTTPS at which the routes of a host stand."""
    known = set(hosts)
    at = [_narrowest(host, sections.secure)]
    at += [one for one in sections.secure if one.hostname not in known and _decider(one.hostname, known) == host]
    return [one for one in dict.fromkeys(at) if one is not None]


def _narrowest(host: Hostname, secure: Iterable[Section]) -> Section | None:
    """The listener that takes a host: of its very name, of its wildcard, or of all names."""
    fitting = [one for one in secure if one.hostname in (host, ANY) or covers(one.hostname, host)]
    return min(fitting, key=lambda one: (one.hostname != host, one.hostname == ANY), default=None)


def _decider(name: Hostname, known: set[Hostname]) -> Hostname | None:
    """The host that decides for requests to a name that has no rules of its own."""
    wildcard = Hostname(f"*.{name.partition('.')[2]}")
    if not name.startswith("*") and wildcard in known:
        return wildcard
    return ANY if ANY in known else None
