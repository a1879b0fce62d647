"""Routes grouped by host: sorted, duplicates told, one ``VirtualHost`` a host and route group.

Comes in: the hosted routes of all controllers. Goes out: a virtual host with its routes in the order of matching; routes that can never
match because an earlier one has the very same match are left out, with a finding for their owner.
"""

from collections.abc import Mapping, Sequence

import msgspec

from weirkeeper.compose.precedence import precedence_key, precedence_text
from weirkeeper.flow import MANY, Memo
from weirkeeper.model.finding import Effect, Finding, Reason, Severity
from weirkeeper.model.ids import HostKey, joined
from weirkeeper.model.route import HostedRoute, Route, VirtualHost
from weirkeeper.model.text import Id, Sentence


def host_key(hosted: HostedRoute) -> HostKey:
    """The virtual host that a route belongs to."""
    return HostKey(hosted.load_balancer, hosted.group, hosted.hostname)


def virtual_host(key: HostKey, members: Sequence[tuple[Id, HostedRoute]]) -> VirtualHost:
    """The host with its routes in order and the findings about routes that lost."""
    routes, findings = _without_duplicates(_in_order([hosted.route for _, hosted in members]))
    routes = _led(routes, {hosted.route.id: hosted.follows for _, hosted in members if hosted.follows is not None})
    return VirtualHost(
        id=joined(key.group, key.hostname),
        load_balancer=key.load_balancer,
        group=key.group,
        hostname=key.hostname,
        wildcard_labels=_narrowest([hosted.wildcard_labels for _, hosted in members]),
        routes=tuple(routes),
        findings=tuple(findings),
    )


def _narrowest(labels: list[int | None]) -> int | None:
    known = [n for n in labels if n is not None]
    return min(known) if known else None


def _in_order(routes: list[Route]) -> list[Route]:
    if len(routes) <= MANY:
        return sorted(routes, key=precedence_key)
    ranks = dict(zip(_rank.many(routes), routes, strict=True))
    return [ranks[rank] for rank in sorted(ranks)]


def _without_duplicates(routes: list[Route]) -> tuple[list[Route], list[Finding]]:
    if len(routes) == 1 or len({route.match.path for route in routes}) == len(routes):
        return routes, []
    winners: dict[bytes, Route] = {}
    kept, findings = [], []
    said = _said if len(routes) > MANY else _match_bytes
    if len(routes) > MANY and len(set(_said.many(routes))) == len(routes):
        return routes, []
    for route in routes:
        winner = winners.setdefault(said(route), route)
        if winner is route:
            kept.append(route)
        elif winner.action != route.action or winner.origin.ref != route.origin.ref:
            findings.append(_duplicate(route, winner))
    return kept, findings


def _led(routes: list[Route], follows: Mapping[Id, Id]) -> list[Route]:
    """The routes without those whose leading one gave way: nobody gets a path of somebody else by a condition that only stands beside it."""
    if not follows:
        return routes
    there = {route.id for route in routes}
    return [route for route in routes if follows.get(route.id, route.id) in there]


def _match_bytes(route: Route) -> bytes:
    """The match and priority of a route as one text: two routes have the same exactly if these are equal."""
    return msgspec.json.encode((route.match, route.priority))


_rank = Memo(precedence_text)
_said = Memo(_match_bytes)


def _duplicate(route: Route, winner: Route) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        reason=Reason.DUPLICATE_ROUTE,
        for_user=Sentence(f"{winner.origin} already serves the same host and path and is older, or first by name"),
        remedy=Sentence("remove the path from one of the two objects, or make its path or conditions differ"),
        origin=route.origin,
        effect=Effect.RULE_DROPPED,
        affected=(route.id,),
    )
