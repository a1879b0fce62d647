"""Which route of a host takes a request, and why each of the others does not.

Comes in: routes in the order of matching, and a request. Goes out: a `Verdict` a route. Expressions are run by RE2, the dialect and the engine of Envoy, in
linear time; a tenant's expression is never given to Python's own `re`.
"""

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, assert_never

import re2

from weirkeeper.compose.explain.request import Request
from weirkeeper.compose.precedence import precedence_key
from weirkeeper.model.match import (
    BeginsWith,
    Contains,
    Exactly,
    ExactPath,
    HeaderMatch,
    Matches,
    PathMatch,
    Present,
    QueryExactly,
    QueryMatch,
    QueryMatches,
    QueryPresent,
    RegexPath,
    RouteMatch,
    SegmentPrefix,
    StringPrefix,
    ValueMatch,
)
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Route
from weirkeeper.model.text import Id, Sentence, shown
from weirkeeper.model.value import Value

Aspect = Literal["path", "method", "header", "cookie", "query", "scheme", "source", "host", "order"]


class Verdict(Value, frozen=True, kw_only=True):
    """What became of one route: taken, or by which condition it lost. ``order``: it fits too, but another comes first."""

    route: Id
    origin: Origin
    match: str
    taken: bool = False
    lost_by: Aspect | None = None
    why: Sentence = Sentence("")


def verdicts(request: Request, path: str, routes: Sequence[Route]) -> list[Verdict]:
    """One verdict for each route, in order. ``path`` is the request's after the listener has normalised it."""
    winner: Route | None = None
    found: list[Verdict] = []
    for route in routes:
        lost = failing(request, path, route.match)
        if lost is None and winner is not None:
            lost = ("order", f"fits too, but {winner.origin} comes first: {first_difference(winner, route)}")
        if lost is None:
            winner = route
        found.append(Verdict(
            route=route.id, origin=route.origin, match=match_text(route.match), taken=route is winner,
            lost_by=lost[0] if lost else None, why=Sentence(lost[1] if lost else "the first route that fits"),
        ))  # fmt: skip
    return found


def failing(request: Request, path: str, match: RouteMatch) -> tuple[Aspect, str] | None:
    """The first condition that the request does not fulfil, with a sentence; ``None`` where it fulfils all."""
    return next(_failures(request, path, match), None)


def _failures(request: Request, path: str, match: RouteMatch) -> Iterator[tuple[Aspect, str]]:
    if not path_fits(match.path, path):
        yield "path", f"the path {shown(path)} is not {path_text(match.path)}"
    if match.methods and request.method not in match.methods:
        yield "method", f"the method {request.method} is not {' or '.join(match.methods)}"
    for header in match.headers:
        if not header_fits(header, request.header(header.name)):
            yield "header", f"{header_text(header)} is wanted, {_sent(request.header(header.name))}"
    cookies = request.cookies()
    for cookie in match.cookies:
        if cookies.get(cookie.name) != cookie.value:
            yield "cookie", f"cookie {cookie.name}={cookie.value} is wanted, {_sent(cookies.get(cookie.name))}"
    for query in match.query:
        if not _query_fits(query, request.parameter(query.name)):
            yield "query", f"{_query_text(query)} is wanted, {_sent(request.parameter(query.name))}"
    if match.scheme and match.scheme != request.scheme:
        yield "scheme", f"only requests by {match.scheme} are taken"
    if match.source and not _source_fits(match.source, request.source):
        came = f"{request.source} came" if request.source else "no address was given (--source)"
        yield "source", f"only clients from {', '.join(match.source)} are taken; {came}"
    if match.host_regex and not regex_fits(match.host_regex, request.host, case_sensitive=False):
        yield "host", f"the host is not all of {shown(match.host_regex)}"


def _sent(value: str | None) -> str:
    return "it is absent" if value is None else f"{shown(value)} was sent"


def path_fits(match: PathMatch, path: str) -> bool:
    """Whether a path is what the condition asks for."""
    match match:
        case ExactPath(value=value):
            return path == value
        case SegmentPrefix(value=value):
            stem = value.rstrip("/")
            return path == stem or path.startswith(f"{stem}/")
        case StringPrefix(value=value):
            return path.startswith(value)
        case RegexPath(value=value, prefix=prefix, case_sensitive=case_sensitive):
            return regex_fits(f"(?:{value}).*" if prefix else value, path, case_sensitive=case_sensitive)
        case _:
            assert_never(match)


def header_fits(header: HeaderMatch, value: str | None) -> bool:
    """Whether a header's value is what the condition asks for. Turned round, an absent header counts as an empty one."""
    if isinstance(header.match, Present):
        return (value is not None) is not header.inverted
    if value is None and not header.inverted:
        return False
    return _value_fits(header.match, value or "") is not header.inverted


def _value_fits(match: ValueMatch, value: str) -> bool:
    match match:
        case Exactly(value=wanted):
            return value == wanted
        case Matches(value=wanted):
            return regex_fits(wanted, value)
        case Contains(value=wanted):
            return wanted in value
        case BeginsWith(value=wanted):
            return value.startswith(wanted)
        case Present():
            return True
        case _:
            assert_never(match)


def _query_fits(query: QueryMatch, value: str | None) -> bool:
    match query.match:
        case QueryExactly(value=wanted):
            return value == wanted
        case QueryMatches(value=wanted):
            return value is not None and regex_fits(wanted, value)
        case QueryPresent():
            return value is not None
        case _:
            assert_never(query.match)


def _source_fits(ranges: Sequence[str], source: str | None) -> bool:
    if source is None:
        return False
    address = ipaddress.ip_address(source)
    return any(address in ipaddress.ip_network(one, strict=False) for one in ranges)


def regex_fits(pattern: str, text: str, *, case_sensitive: bool = True) -> bool:
    """Whether RE2 matches the whole text; an expression that RE2 refuses matches nothing."""
    options = re2.Options()
    options.case_sensitive = case_sensitive
    options.log_errors = False
    try:
        return re2.compile(pattern, options).fullmatch(text) is not None
    except re2.error:
        return False


# Conditions in words


def match_text(match: RouteMatch) -> str:
    """All conditions in one line."""
    parts = [path_text(match.path), *(["method " + " or ".join(match.methods)] if match.methods else [])]
    parts += [header_text(header) for header in match.headers]
    parts += [f"cookie {cookie.name}={cookie.value}" for cookie in match.cookies]
    parts += [_query_text(query) for query in match.query]
    parts += [f"by {match.scheme}"] if match.scheme else []
    parts += [f"from {', '.join(match.source)}"] if match.source else []
    parts += [f"host by expression {match.host_regex}"] if match.host_regex else []
    return ", ".join(parts)


def path_text(match: PathMatch) -> str:
    """A path condition in words."""
    match match:
        case ExactPath(value=value):
            return f"exactly {value}"
        case SegmentPrefix(value=value):
            return f"{value} or below"
        case StringPrefix(value=value):
            return f"anything that begins with {value}"
        case RegexPath(value=value, prefix=prefix):
            return f"{'begun' if prefix else 'all of it matched'} by expression {value}"
        case _:
            assert_never(match)


def header_text(header: HeaderMatch) -> str:
    """A header condition in words."""
    wanted = _value_text(header.match)
    return f"header {header.name} {'not ' if header.inverted else ''}{wanted}"


def _value_text(match: ValueMatch) -> str:
    match match:
        case Exactly(value=value):
            return f"= {value}"
        case Matches(value=value):
            return f"by expression {value}"
        case Contains(value=value):
            return f"containing {value}"
        case BeginsWith(value=value):
            return f"beginning with {value}"
        case Present():
            return "present"
        case _:
            assert_never(match)


def _query_text(query: QueryMatch) -> str:
    match query.match:
        case QueryExactly(value=value):
            return f"query {query.name}={value}"
        case QueryMatches(value=value):
            return f"query {query.name} by expression {value}"
        case QueryPresent():
            return f"query {query.name} present"
        case _:
            assert_never(query.match)


def first_difference(winner: Route, loser: Route) -> str:
    """Why one route stands before the other: the first rule of the order of matching in which they differ."""
    pairs = zip(precedence_key(winner), precedence_key(loser), _RULES, strict=True)
    return next(sentence(winner, loser) for mine, theirs, sentence in pairs if mine != theirs)


def _always(text: str) -> Callable[[Route, Route], str]:
    return lambda _, __: text


_RULES: tuple[Callable[[Route, Route], str], ...] = (
    lambda winner, loser: f"its priority is higher ({winner.priority}, not {loser.priority})",
    _always("exact paths go first"),
    _always("its path is longer"),
    _always("at equal length an expression goes before a prefix, and a prefix by segment before one by characters"),
    _always("it asks for a scheme"),
    _always("it asks for a method"),
    _always("it asks for more headers and cookies"),
    _always("it asks for more query parameters"),
    _always("it asks for a client address or a host expression"),
    lambda winner, _: f"its object is older ({winner.created_at or 'no time of creation'})",
    lambda winner, loser: f"its object comes first by name ({winner.origin.ref.key}, then {loser.origin.ref.key})",
    _always("its rule comes first"),
)
