"""What a route matches on. In: one ``RouteMatch``. Out: Envoy's ``RouteMatch``.

The scheme is judged by ``x-forwarded-proto``, which the connection manager sets itself unless a trusted hop stands in front.
"""

from typing import Any, assert_never

from envoy.config.route.v3 import route_components_pb2 as rc
from envoy.type.matcher.v3 import regex_pb2, string_pb2

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
)
from weirkeeper.providers.envoy.translate.values import quoted


def route_match(match: RouteMatch) -> Any:
    """The conditions of one route."""
    made = path_match(match.path)
    if match.methods:
        made.headers.append(method_matcher(match.methods))
    for header in match.headers:
        made.headers.append(header_matcher(header))
    for cookie in match.cookies:
        value = rf"(?:.*;\s*)?{quoted(cookie.name)}={quoted(cookie.value)}(?:;.*)?"
        made.headers.append(rc.HeaderMatcher(name="cookie", string_match=by_regex(value)))
    for query in match.query:
        made.query_parameters.append(query_matcher(query))
    if match.scheme:
        secure = string_pb2.StringMatcher(exact="https", ignore_case=True)
        made.headers.append(
            rc.HeaderMatcher(name="x-forwarded-proto", string_match=secure, invert_match=match.scheme == "http")
        )
    if match.host_regex:
        made.headers.append(authority_matcher(match.host_regex))
    if match.source:
        raise ValueError("a route that matches on the client's address reached the translation; it is not declared")
    return made


def path_match(path: PathMatch) -> Any:
    """The path condition alone."""
    match path:
        case ExactPath(value=value):
            return rc.RouteMatch(path=value)
        case SegmentPrefix(value=value):
            trimmed = value.rstrip("/")
            return rc.RouteMatch(path_separated_prefix=trimmed) if trimmed else rc.RouteMatch(prefix="/")
        case StringPrefix(value=value):
            return rc.RouteMatch(prefix=value)
        case RegexPath(value=value, prefix=prefix, case_sensitive=case_sensitive):
            text = value if case_sensitive else f"(?i:{value})"
            return rc.RouteMatch(safe_regex=regex(f"(?:{text}).*" if prefix else text))
        case _:
            assert_never(path)


def authority_matcher(pattern: str) -> Any:
    """The host, without its port and in any letter case, by an expression over the whole of it."""
    return rc.HeaderMatcher(name=":authority", string_match=by_regex(rf"(?i:{pattern})(?::[0-9]+)?"))


def method_matcher(methods: tuple[str, ...]) -> Any:
    """One of these methods."""
    if len(methods) == 1:
        return rc.HeaderMatcher(name=":method", string_match=exactly(methods[0]))
    return rc.HeaderMatcher(name=":method", string_match=by_regex("|".join(methods)))


def header_matcher(header: HeaderMatch) -> Any:
    """One header. Turned round, a header that is absent counts as different."""
    name = ":authority" if header.name.lower() == "host" else header.name.lower()
    made = rc.HeaderMatcher(name=name, invert_match=header.inverted)
    match header.match:
        case Present():
            made.present_match = True
            return made
        case Exactly(value=value):
            made.string_match.exact = value
        case Matches(value=value):
            made.string_match.safe_regex.regex = value
        case Contains(value=value):
            made.string_match.contains = value
        case BeginsWith(value=value):
            made.string_match.prefix = value
        case _:
            assert_never(header.match)
    made.treat_missing_header_as_empty = header.inverted
    return made


def query_matcher(query: QueryMatch) -> Any:
    """One query parameter."""
    match query.match:
        case QueryExactly(value=value):
            return rc.QueryParameterMatcher(name=query.name, string_match=exactly(value))
        case QueryMatches(value=value):
            return rc.QueryParameterMatcher(name=query.name, string_match=by_regex(value))
        case QueryPresent():
            return rc.QueryParameterMatcher(name=query.name, present_match=True)
        case _:
            assert_never(query.match)


def exactly(text: str) -> Any:
    """Equal to the text; an empty text is written so that Envoy sees it as set."""
    return string_pb2.StringMatcher(exact=text)


def by_regex(pattern: str) -> Any:
    """The whole text by an RE2 expression."""
    return string_pb2.StringMatcher(safe_regex=regex(pattern))


def regex(pattern: str) -> Any:
    """An RE2 expression; it must match the whole text."""
    return regex_pb2.RegexMatcher(regex=pattern)
