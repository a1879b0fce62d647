"""Canaries: a second Ingress of the same namespace with the same host and path, compiled into ordinary routes and weights of the first.

In ingress-nginx's order: header, then cookie, then weight. Each condition is a route of its own with one more condition than the plain one, so that it
goes before it; their ids are in the order of trial. One canary for a path: the oldest, then the first by name; the others are told.
"""

from collections.abc import Iterator, Sequence

import msgspec

from weirkeeper.controllers.ingress.annotations.options import Options
from weirkeeper.controllers.ingress.claimed import Claimed
from weirkeeper.controllers.shared.ids import below
from weirkeeper.kube.types import IngressPath
from weirkeeper.model.ids import Ref
from weirkeeper.model.match import CookieMatch, Exactly, HeaderMatch, Matches, RouteMatch, ValueMatch
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Action, Forward, Route, WeightedBackend
from weirkeeper.model.text import HeaderName, HeaderValue

ALWAYS, NEVER = HeaderValue("always"), HeaderValue("never")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a canary stands: the Ingress, its path, and the field path of its backend."""

    claimed: Claimed
    path: IngressPath
    field: str


def same_path(a: IngressPath, b: IngressPath) -> bool:
    """Whether two rules mean the same path."""
    return a.path_type == b.path_type and (a.path.rstrip("/") or "/") == (b.path.rstrip("/") or "/")


def canary_of(path: IngressPath, host: str, namespace: str, neighbours: Sequence[tuple[Ref, Claimed]]) -> Place | None:
    """The canary of a path, if there is one."""
    places = [
        (claimed.ingress.metadata.creation_timestamp or "9999", ref, place)
        for ref, claimed in neighbours
        if claimed.options.canary and ref.namespace == namespace
        for place in places_of(claimed, host)
        if same_path(place.path, path)
    ]
    return min(places, key=lambda found: found[:2])[2] if places else None


def places_of(claimed: Claimed, host: str) -> Iterator[Place]:
    """The paths of an Ingress on a host."""
    for i, rule in enumerate(claimed.ingress.spec.rules or ()):
        if (rule.host.lower() or "*") == host and rule.http is not None:
            for j, path in enumerate(rule.http.paths):
                yield Place(claimed=claimed, path=path, field=f"spec.rules[{i}].http.paths[{j}].backend")


def split(route: Route, canary: Action, options: Options, origin: Origin) -> Iterator[Route]:
    """The routes of a path with a canary, the plain one (by weight) last."""
    main = route.action
    if isinstance(main, Forward) and isinstance(canary, Forward):
        route = msgspec.structs.replace(route, also=(origin,))
        for i, (match, to_canary) in enumerate(_conditions(route.match, options)):
            name = below(route.id, "canary", str(i))
            yield msgspec.structs.replace(route, id=name, match=match, action=canary if to_canary else main)
        yield msgspec.structs.replace(route, action=_weighted(main, canary, options))
    else:
        yield route


def _conditions(match: RouteMatch, options: Options) -> Iterator[tuple[RouteMatch, bool]]:
    header, cookie = options.canary_header, options.canary_cookie
    if header is not None:
        if options.canary_header_value is not None:
            yield _on_header(match, header, Exactly(value=options.canary_header_value)), True
        elif options.canary_header_pattern is not None:
            yield _on_header(match, header, Matches(value=options.canary_header_pattern.text)), True
        else:
            yield _on_header(match, header, Exactly(value=ALWAYS)), True
            yield _on_header(match, header, Exactly(value=NEVER)), False
    if cookie is not None:
        for value, to_canary in ((ALWAYS, True), (NEVER, False)):
            condition = CookieMatch(name=HeaderName(cookie), value=value)
            yield msgspec.structs.replace(match, cookies=(condition,)), to_canary


def _on_header(match: RouteMatch, name: HeaderName, value: ValueMatch) -> RouteMatch:
    return msgspec.structs.replace(match, headers=(HeaderMatch(name=name, match=value),))


def _weighted(main: Forward, canary: Forward, options: Options) -> Forward:
    total = options.canary_weight_total
    share = min(options.canary_weight, total)
    if share == 0:
        return main
    shares = ((main.backends[0].backend, total - share), (canary.backends[0].backend, share))
    return Forward(backends=tuple(WeightedBackend(backend=b, weight=w) for b, w in shares))
