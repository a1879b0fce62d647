"""Which route of a host stands at which listener.

Comes in: the routes of a host in their order of matching, with conditions on the scheme. Goes out: the routes without such conditions, each with the schemes at whose listeners it
stands. A route that an earlier one leaves nothing of is left out: in Gateway API the order of routes comes from their conditions alone, so it could otherwise go first.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from weirkeeper.compose.precedence import precedence_key
from weirkeeper.migrate.source import HostRoutes, without_scheme
from weirkeeper.model.match import PathMatch, RouteMatch
from weirkeeper.model.route import Respond, Route
from weirkeeper.model.text import Id

SCHEMES = ("http", "https")
MISDIRECTED = 421


class Placed(NamedTuple):
    """A route and the schemes at whose listeners it stands; ``guarded``: its clients must show a certificate."""

    route: Route
    schemes: frozenset[str]
    guarded: bool = False


def placed(host: HostRoutes, secure: bool, plain: bool) -> list[Placed]:
    """The routes of a host that has a listener for HTTPS, for HTTP, or both."""
    at: dict[Id, set[str]] = {}
    for scheme, there in (("http", plain), ("https", secure and not host.guarded)):
        for route in _standing(host.routes, scheme) if there else ():
            at.setdefault(route.id, set()).add(scheme)
    found = [Placed(without_scheme(one), frozenset(at[one.id])) for one in host.routes if one.id in at]
    if secure:
        found += [
            Placed(without_scheme(one), frozenset({"https"}), guarded=True) for one in _standing(host.guarded, "https")
        ]
    return found


def _standing(routes: Sequence[Route], scheme: str) -> list[Route]:
    """The routes that are ever reached by a scheme."""
    earlier: dict[PathMatch, list[RouteMatch]] = {}
    found = []
    for route in routes:
        if route.match.scheme not in {None, scheme} or route.action == Respond(status=MISDIRECTED):
            continue
        before = earlier.setdefault(route.match.path, [])
        if not any(_takes_all(one, route.match) for one in before):
            found.append(route)
            before.append(route.match)
    return found


def _takes_all(first: RouteMatch, then: RouteMatch) -> bool:
    """Whether the first of two conditions with the same path takes all that the second would."""
    return (
        set(first.headers) <= set(then.headers)
        and set(first.cookies) <= set(then.cookies)
        and set(first.query) <= set(then.query)
        and (not first.methods or (bool(then.methods) and set(then.methods) <= set(first.methods)))
        and not first.source
        and not first.host_regex
    )


def out_of_order(routes: Sequence[tuple[Route, PathMatch]]) -> list[Route]:
    """The routes of a listener that another one goes before which went after them: ``routes`` are in their old order, each with its new path."""
    new = [precedence_key(_bare(route, path))[1:9] for route, path in routes]
    best, found = None, []
    for (route, _), key in zip(reversed(routes), reversed(new), strict=True):
        if best is not None and best < key:
            found.append(route)
        best = key if best is None else min(best, key)
    return found


def _bare(route: Route, path: PathMatch) -> Route:
    return msgspec.structs.replace(route, match=msgspec.structs.replace(route.match, path=path))
