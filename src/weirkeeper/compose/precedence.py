"""The order in which the routes of one host are tried: one total order, the same for every controller and every engine.

From the first difference on:

1. higher ``priority`` first (canary conditions before the plain route; Ambassador's precedence);
2. exact paths before all others;
3. the longer path first, counted in characters of the path or expression as it is written;
4. at equal length: regex, then segment prefix, then string prefix (``/a`` by segment is narrower than by string);
5. a scheme condition before none (an HTTPS redirect goes before what it redirects);
6. a method condition before none, then more header and cookie conditions first (our own cookies aside), then more query conditions, then a source condition;
7. the older object first, then namespace and name, then the route's id.

On the domain of Gateway API's HTTPRoute this is its own order (HTTPRouteRule documentation: exact, longest prefix, method, most
headers, most query parameters, oldest, namespace/name, first rule), because rule ids are numbered in the order of the rules.
"""

from typing import assert_never

from weirkeeper.model.match import ExactPath, PathMatch, RegexPath, SegmentPrefix, StringPrefix
from weirkeeper.model.route import Route

PrecedenceKey = tuple[int, int, int, int, int, int, int, int, int, str, str, str]

LAST_TIME = "9999"
"""Objects from files carry no time of creation; they count as the youngest and are told apart by name."""


def precedence_key(route: Route) -> PrecedenceKey:
    """Sorts routes of one host into the order of matching; no two routes have the same key (ids differ)."""
    match = route.match
    kind, length = _path_rank(match.path)
    return (
        -route.priority,
        0 if kind == 0 else 1,
        -length,
        kind,
        0 if match.scheme else 1,
        0 if match.methods else 1,
        -(len(match.headers) + sum(not one.own for one in match.cookies)),
        -len(match.query),
        0 if match.source or match.host_regex else 1,
        route.created_at or LAST_TIME,
        route.origin.ref.key,
        route.id,
    )


def precedence_text(route: Route) -> str:
    """Sorts like ``precedence_key``, and faster: numbers of a fixed width, and texts that hold no character as small as their separator."""
    *numbers, created, ref, ident = precedence_key(route)
    return "".join([f"{MIDDLE + int(number):010d}" for number in numbers]) + f"{created}\0{ref}\0{ident}"


MIDDLE = 5_000_000_000
"""Lies above the size of any number in a key, so that none has a sign."""


def _path_rank(path: PathMatch) -> tuple[int, int]:
    match path:
        case ExactPath(value=value):
            return 0, len(value)
        case RegexPath(value=value):
            return 1, len(value)
        case SegmentPrefix(value=value):
            return 2, len(value)
        case StringPrefix(value=value):
            return 3, len(value)
        case _:
            assert_never(path)
