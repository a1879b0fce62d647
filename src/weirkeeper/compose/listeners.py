"""Listeners that share a port: which of them may, and which lose.

Comes in: every listener wished on one port of one load balancer. Goes out: whether one of them stands, or why not. Listeners of one port must
agree on the transport (HTTP in the clear, or TLS, or TCP), and no two may claim the same host name; UDP has ports of its own.
"""

from collections.abc import Sequence

from weirkeeper.model.finding import Effect, Finding, Reason, Severity
from weirkeeper.model.listener import Listener
from weirkeeper.model.text import Sentence

_TRANSPORT = {"http": "http", "https": "tls", "tls": "tls", "tcp": "tcp", "udp": "udp"}


def listener_conflict(listener: Listener, neighbours: Sequence[Listener]) -> Finding | None:
    """Why this listener cannot stand beside the others of its port; ``None`` when it can. The oldest, then the first by id, stands."""
    for other in neighbours:
        if other.id == listener.id or _age(other) > _age(listener):
            continue
        why = _clash(listener, other)
        if why:
            return Finding(
                severity=Severity.ERROR,
                reason=Reason.LISTENER_CONFLICT,
                for_user=Sentence(f"port {listener.port} is taken by {other.origin}: {why}"),
                remedy=Sentence("choose another port, or make protocol and host names agree"),
                origin=listener.origin,
                effect=Effect.LISTENER_REJECTED,
                affected=(listener.id,),
            )
    return None


def _age(listener: Listener) -> tuple[str, str]:
    return (listener.origin.created_at or "9999", listener.id)


def _clash(listener: Listener, other: Listener) -> str:
    if (listener.protocol == "udp") != (other.protocol == "udp"):
        return ""  # ports of UDP and of TCP are not the same ones
    if _TRANSPORT[listener.protocol] != _TRANSPORT[other.protocol]:
        return f"{listener.protocol} and {other.protocol} cannot share it"
    if listener.hostname == other.hostname:
        return "the same host name is claimed twice" if listener.hostname else "it is claimed twice for all host names"
    return ""
