"""L4 routes of one port: who gets which server name, and what a provider can do of it.

Comes in: L4 routes with the listeners that they hang on. Goes out: each with the names that it gets; a name that two routes of one port want goes to the
narrower listener's, then to the higher priority, then to the older one, then to the first by namespace and name. One that gets none is not there, and its owner is told.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import msgspec

from weirkeeper.compose.fit import STOPPING, unsupported
from weirkeeper.compose.needs import needs
from weirkeeper.model.features import Capabilities
from weirkeeper.model.finding import Effect, Finding, Reason, Severity
from weirkeeper.model.listener import Listener
from weirkeeper.model.route import L4Route
from weirkeeper.model.text import Hostname, Id, Sentence

EVERY_NAME = Hostname("*")
"""Stands for what no other name takes, connections without a name among it."""


class Place(NamedTuple):
    """One name of one port; ``datagrams`` tells a port of UDP from one of TCP."""

    load_balancer: Id
    port: int
    datagrams: bool
    name: Hostname


class Claim(NamedTuple):
    """That a route wants a place."""

    place: Place
    route: Id


class Rank(NamedTuple):
    """Which claim goes first: the smallest."""

    listener: int
    priority: int
    created_at: str
    owner: str
    route: Id


def claims(route: L4Route, listener: Listener) -> Iterator[tuple[Claim, Rank]]:
    """What a route on this listener wants."""
    rank = Rank(-len(listener.hostname or ""), 0, route.created_at or "9999", route.origin.ref.key, route.id)
    priorities = dict(zip(route.sni, route.priorities, strict=bool(route.priorities)))
    for name in dict.fromkeys(route.sni or (EVERY_NAME,)):
        place = Place(route.load_balancer, listener.port, listener.protocol == "udp", name)
        yield Claim(place, route.id), rank._replace(priority=-priorities.get(name, 0))


def winner(members: Sequence[tuple[Claim, Rank]]) -> Id:
    """The route that gets a place."""
    return min(rank for _, rank in members).route


def settled(route: L4Route, lost: Collection[Hostname]) -> L4Route | None:
    """The route with the names that are left to it."""
    if not lost:
        return route
    kept = tuple(name for name in route.sni if name not in lost)
    return msgspec.structs.replace(route, sni=kept, priorities=()) if kept else None


def losses(route: L4Route, lost: Collection[Hostname]) -> tuple[Finding, ...]:
    """What the owner of a route should know of names that others have."""
    return tuple(
        Finding(
            severity=Severity.WARNING,
            reason=Reason.DUPLICATE_ROUTE,
            for_user=Sentence(
                f"an older object, or one that is first by name, already has {_words(name)} of this port"
            ),
            remedy=Sentence("remove one of the two, or choose another host name or port"),
            origin=route.origin,
            effect=Effect.RULE_DROPPED,
            affected=(route.id,),
        )
        for name in sorted(lost)
    )


def fit_l4_route(route: L4Route, can: Capabilities) -> tuple[L4Route | None, tuple[Finding, ...]]:
    """The route, or nothing where the provider cannot do it: nobody is led anywhere by half of it."""
    findings = tuple(
        unsupported(feature, where, route.origin, can, (route.id,))
        for feature, where in needs(route)
        if feature not in can.supported
    )
    return (None if any(one.effect in STOPPING for one in findings) else route), findings


def _words(name: Hostname) -> str:
    return "all names" if name == EVERY_NAME else f"the name {name}"
