"""Matches of HTTPRoutes and GRPCRoutes as the model's.

Comes in: a match as it is written. Goes out: a ``RouteMatch``, or why there is none. Of several conditions on one header or parameter the first counts (Gateway API, HTTPHeaderMatch).
"""

from collections.abc import Sequence
from typing import TypeVar

from weirkeeper.controllers.shared.paths import decoded, never_asked_for
from weirkeeper.controllers.shared.regexes import checked_regex, quoted
from weirkeeper.kube.gateway_routes import GrpcMatch, GrpcMethodMatch, HttpMatch, NamedMatch, PathMatchSpec
from weirkeeper.model.match import (
    Exactly,
    ExactPath,
    HeaderMatch,
    Matches,
    PathMatch,
    QueryExactly,
    QueryMatch,
    QueryMatches,
    RegexPath,
    RouteMatch,
    SegmentPrefix,
)
from weirkeeper.model.text import (
    HeaderName,
    HeaderValue,
    Method,
    PathText,
    QueryName,
    QueryValue,
    Refused,
    RegexText,
    parse,
    shown,
)

T = TypeVar("T", bound=str)
EXACT, REGEX = "Exact", "RegularExpression"


class WrongMatch(Exception):
    """Why a match cannot be used."""


def typed(kind: type[T], text: str, what: str) -> T:
    """The text under its type, or a ``WrongMatch``."""
    found = parse(kind, text)
    if isinstance(found, Refused):
        raise WrongMatch(f"{what} {found.why}")
    return found


def http_match(match: HttpMatch) -> RouteMatch:
    """The match of an HTTPRoute."""
    return RouteMatch(
        path=_path(match.path or PathMatchSpec()),
        methods=(typed(Method, match.method, "the method"),) if match.method else (),
        headers=_headers(match.headers or ()),
        query=_queries(match.query_params or ()),
    )


def grpc_match(match: GrpcMatch) -> RouteMatch:
    """The match of a GRPCRoute: a method is a path (gRPC over HTTP/2)."""
    return RouteMatch(path=_method(match.method), headers=_headers(match.headers or ()))


def _path(one: PathMatchSpec) -> PathMatch:
    text, kind = one.value or "/", one.type or "PathPrefix"
    if kind == REGEX:
        return RegexPath(value=_regex(text, "path"))
    if kind not in (EXACT, "PathPrefix"):
        raise WrongMatch(f"the path type {shown(kind)} is none of Exact, PathPrefix, RegularExpression")
    path = typed(PathText, decoded(text), "the path")
    if strange := never_asked_for(path):
        raise WrongMatch(f"the path {shown(text)} {strange}")
    return ExactPath(value=path) if kind == EXACT else SegmentPrefix(value=PathText(path.rstrip("/") or "/"))


def _regex(text: str, what: str) -> RegexText:
    found = checked_regex(text)
    if isinstance(found, Refused):
        raise WrongMatch(f"the expression {shown(text)} of the {what} {found.why}")
    return found.text


def _first(named: Sequence[NamedMatch], *, fold: bool) -> list[NamedMatch]:
    found: dict[str, NamedMatch] = {}
    for one in named:
        found.setdefault(one.name.lower() if fold else one.name, one)
    return list(found.values())


def _headers(named: Sequence[NamedMatch]) -> tuple[HeaderMatch, ...]:
    return tuple(
        HeaderMatch(
            name=typed(HeaderName, one.name, "the header's name"),
            match=Matches(value=_regex(one.value, "header"))
            if one.type == REGEX
            else Exactly(value=typed(HeaderValue, one.value, "the header's value")),
        )
        for one in _first(named, fold=True)
    )


def _queries(named: Sequence[NamedMatch]) -> tuple[QueryMatch, ...]:
    return tuple(
        QueryMatch(
            name=typed(QueryName, one.name, "the parameter's name"),
            match=QueryMatches(value=_regex(one.value, "parameter"))
            if one.type == REGEX
            else QueryExactly(value=typed(QueryValue, one.value, "the parameter's value")),
        )
        for one in _first(named, fold=False)
    )


def _method(one: GrpcMethodMatch | None) -> PathMatch:
    service, method = (one.service or "", one.method or "") if one is not None else ("", "")
    if one is not None and one.type == REGEX:
        whole = f"/(?:{service or '[^/]+'})/(?:{method or '[^/]+'})"
        return RegexPath(value=_regex(whole, "method"))
    if service and method:
        return ExactPath(value=typed(PathText, f"/{service}/{method}", "the method"))
    if service:
        return SegmentPrefix(value=typed(PathText, f"/{service}", "the service"))
    if method:
        return RegexPath(value=_regex(f"/[^/]+/{quoted(method)}", "method"))
    return SegmentPrefix(value=PathText("/"))
