"""Host names of listeners and routes: which of them meet, and who is the narrowest.

A wildcard stands for any number of labels here (Gateway API, Hostname), and ``*`` for every host. Pure.
"""

from collections.abc import Iterable, Iterator, Sequence

from weirkeeper.controllers.shared.hostnames import ANY, hostname
from weirkeeper.model.text import Hostname, Refused


def inside(narrow: Hostname, wide: Hostname) -> bool:
    """Whether every host of the first is one of the second."""
    if wide in (ANY, narrow):
        return True
    return wide.startswith("*.") and narrow.endswith(wide[1:])


def meeting(listener: Hostname, wished: Sequence[Hostname]) -> tuple[Hostname, ...]:
    """The hosts of a listener that a route gets; all of them where it names none."""
    if not wished:
        return (listener,)
    met = [
        one if inside(one, listener) else listener
        for one in wished
        if one != NOWHERE and (inside(one, listener) or inside(listener, one))
    ]
    return tuple(dict.fromkeys(met))


def behind(host: Hostname, wished: Sequence[Hostname]) -> int:
    """How much less a route says of a host than its name, below zero: it goes behind routes that say more (Gateway API, HTTPRouteSpec.hostnames). 0 where it names the host itself."""
    if host == ANY or host in wished:
        return 0
    return max((len(one) for one in wished if one != ANY and inside(host, one)), default=0) - LONGEST


def narrower(host: Hostname, than: Hostname) -> Iterator[Hostname]:
    """The names that take this host and are narrower than the other one, the host itself first."""
    if host == than:
        return
    yield host
    rest = host.removeprefix("*.")
    while "." in rest:
        rest = rest.partition(".")[2]
        wider = Hostname(f"*.{rest}")
        if wider == than or len(wider) <= len(than):
            return
        yield wider


def hostnames(texts: Iterable[str] | None) -> tuple[Hostname, ...]:
    """The host names of a route; one that is none (no API server lets it pass) takes no request."""
    found = [hostname(text) for text in texts or () if text]
    return tuple(NOWHERE if isinstance(one, Refused) else one for one in found)


LONGEST = 256
"""More than any name has characters."""
NOWHERE = Hostname("invalid.")
"""Meets no listener's host name."""
