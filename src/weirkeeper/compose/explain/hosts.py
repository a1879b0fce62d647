"""Which listener takes a request, and which of its hosts.

Comes in: listeners, hosts and a request. Goes out: what was chosen, and what was tried on the way, each with a sentence. The host decides alone: once a host
is chosen, a path that it does not know is a 404, and no wildcard or catch-all is asked.
"""

from collections.abc import Iterable, Mapping

from weirkeeper.compose.explain.request import Request
from weirkeeper.model.certificate import Certificate
from weirkeeper.model.listener import Listener, ListenerTls
from weirkeeper.model.route import VirtualHost
from weirkeeper.model.text import Hostname, Id, Sentence
from weirkeeper.model.value import Value


class HostTried(Value, frozen=True, kw_only=True):
    """One host name that was looked for, and what came of it."""

    hostname: Hostname
    taken: bool = False
    why: Sentence


def listener_for(listeners: Iterable[Listener], request: Request) -> Listener | None:
    """The listener of the request's scheme (and port, where the URL names one that is listened on) with the narrowest host name."""
    speaking = [one for one in listeners if one.protocol == request.scheme]
    on_port = [one for one in speaking if one.port == request.port]
    fitting = [one for one in on_port or speaking if covers(one.hostname, request.host)]
    return min(fitting, key=lambda one: (-len(one.hostname or ""), one.port, one.id), default=None)


def covers(pattern: Hostname | None, host: str, labels: int | None = None) -> bool:
    """Whether a host name, with ``*`` for so many labels (``None``: one or more), stands for a host."""
    if pattern is None or pattern == "*":
        return True
    if not pattern.startswith("*."):
        return pattern == host
    rest = host.removesuffix(pattern[1:])
    return rest not in (host, "") and (labels is None or rest.count(".") + 1 == labels)


def host_for(hosts: Mapping[Hostname, VirtualHost], request: Request) -> tuple[VirtualHost | None, list[HostTried]]:
    """The host that takes the request, and every name that was tried until then: exact, wildcards from the longest, then ``*``."""
    tried: list[HostTried] = []
    for name in _names(request.host):
        host = hosts.get(name)
        why = _refusal(name, host, request.host)
        if host is not None and why is None:
            tried.append(HostTried(hostname=name, taken=True, why=Sentence(_TAKEN[_kind(name)])))
            return host, tried
        if why is not None:
            tried.append(HostTried(hostname=name, why=why))
    return None, tried


_TAKEN = {
    "exact": "this very host has rules of its own, and they alone decide",
    "wildcard": "no exact host; the longest wildcard that stands for it",
    "any": "no host and no wildcard names it; the rules without host take it",
}


def _kind(name: Hostname) -> str:
    return "any" if name == "*" else "wildcard" if name.startswith("*.") else "exact"


def _names(host: Hostname) -> list[Hostname]:
    labels = host.split(".")
    wildcards = [Hostname("*." + ".".join(labels[n:])) for n in range(1, len(labels))]
    return [host, *wildcards, Hostname("*")]


def _refusal(name: Hostname, host: VirtualHost | None, asked: Hostname) -> Sentence | None:
    """Why this name does not take the host; ``None`` where it does. Wildcards nobody wrote are not worth a word, unless they stand for it."""
    if host is None:
        return None if _kind(name) == "wildcard" else Sentence(_ABSENT[_kind(name)])
    if covers(name, asked, host.wildcard_labels):
        return None
    return Sentence("`*` stands for exactly one label here, and the host has more")


_ABSENT = {"exact": "no rules name this host", "any": "there are no rules without host and no default backend"}


def certificate_for(
    certificates: Iterable[Certificate], host: Hostname, tls: ListenerTls | None = None
) -> Certificate | None:
    """The certificate that is shown for a host: exact name, then wildcard of one label, then the default. A listener that names its certificates shows one of them in any case."""
    named = tls.certificates if tls is not None else ()
    held = sorted((one for one in certificates if not named or one.id in named), key=lambda one: one.id)
    for name in (host, Hostname("*." + host.partition(".")[2])):
        for one in held:
            if name in one.names:
                return one
    by_default = named[0] if tls is not None and named else None
    return next((one for one in held if one.default or one.id == by_default), None)


def hosts_of(hosts: Iterable[VirtualHost], group: Id) -> dict[Hostname, VirtualHost]:
    """The hosts of one route group by name."""
    return {host.hostname: host for host in hosts if host.group == group}
