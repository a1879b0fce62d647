"""Listeners that share a port: which of them may, and which lose.

Comes in: every listener wished on one port of one load balancer. Goes out: which of them do not stand, and why. Listeners of one port must
agree on the transport (HTTP in the clear, or TLS, or TCP), and no two may claim the same host name; UDP has ports of its own.
"""

from collections.abc import Iterable, Iterator

from weirkeeper.model.finding import Effect, Finding, Reason, Severity
from weirkeeper.model.listener import Listener
from weirkeeper.model.text import Hostname, Id, Sentence

_TRANSPORT = {"http": "http", "https": "tls", "tls": "tls", "tcp": "tcp", "udp": "udp"}


def listener_conflicts(listeners: Iterable[Listener]) -> Iterator[tuple[Id, Finding]]:
    """Which listeners of one port cannot stand beside the others, and why. Of those that clash the oldest, then the first by id, stands; one that fell still stands in the way of younger ones."""
    older = {True: _Older(), False: _Older()}
    for one in sorted(listeners, key=_age):
        before = older[one.protocol == "udp"]  # ports of UDP and of TCP are not the same ones
        other = before.oldest_against(one)
        if other is not None:
            yield one.id, _conflict(one, other)
        before.add(one)


class _Older:
    """Listeners of a port that came before: the oldest of each transport and of each host name."""

    def __init__(self) -> None:
        self._transports: dict[str, Listener] = {}
        self._names: dict[Hostname | None, Listener] = {}

    def add(self, one: Listener) -> None:
        self._transports.setdefault(_TRANSPORT[one.protocol], one)
        self._names.setdefault(one.hostname, one)

    def oldest_against(self, one: Listener) -> Listener | None:
        """The oldest that this one clashes with."""
        found = [other for kind, other in self._transports.items() if kind != _TRANSPORT[one.protocol]]
        if one.hostname in self._names:
            found.append(self._names[one.hostname])
        return min(found, key=_age, default=None)


def _conflict(listener: Listener, other: Listener) -> Finding:
    return Finding(
        severity=Severity.ERROR,
        reason=Reason.LISTENER_CONFLICT,
        for_user=Sentence(f"port {listener.port} is taken by {other.origin}: {_clash(listener, other)}"),
        remedy=Sentence("choose another port, or make protocol and host names agree"),
        origin=listener.origin,
        effect=Effect.LISTENER_REJECTED,
        affected=(listener.id,),
    )


def _age(listener: Listener) -> tuple[str, str]:
    return (listener.origin.created_at or "9999", listener.id)


def _clash(listener: Listener, other: Listener) -> str:
    if _TRANSPORT[listener.protocol] != _TRANSPORT[other.protocol]:
        return f"{listener.protocol} and {other.protocol} cannot share it"
    return "the same host name is claimed twice" if listener.hostname else "it is claimed twice for all host names"
