"""Conditions and paths in Gateway API's words.

Comes in: the match and rewrite of a neutral route. Goes out: a match of an HTTPRoute, or why there is none; and, where an expression and its rewrite only swap one prefix for
another, the two prefixes.
"""

import re
from typing import Any, NamedTuple, assert_never

from weirkeeper.controllers.shared.regexes import quoted
from weirkeeper.model.filters import RegexSubstitution
from weirkeeper.model.match import (
    BeginsWith,
    Contains,
    Exactly,
    ExactPath,
    HeaderMatch,
    Matches,
    PathMatch,
    Present,
    RegexPath,
    RouteMatch,
    SegmentPrefix,
    StringPrefix,
)
from weirkeeper.model.route import Route
from weirkeeper.model.text import Refused

Json = dict[str, Any]
MOST_PATH, MOST_HEADER = 1024, 4096
_LEGAL = re.compile(r"(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+", re.ASCII)
"""What a literal path may be made of (HTTPPathMatch)."""
_PREFIX = re.compile(r"((?:/[A-Za-z0-9_~-]+)*)(\(/\|\$\)\(\.\*\)|/\(\.\*\)|\(/\.\*\))\$?", re.ASCII)
"""The expressions that stand in most Ingresses with a rewrite: a literal prefix, and groups for what follows it."""
WHOLE_SEGMENTS = "(/|$)(.*)"
_SWAPS = {WHOLE_SEGMENTS: (r"/\2",), "/(.*)": (r"/\1",), "(/.*)": (r"\1",)}


class Swap(NamedTuple):
    """A prefix and what takes its place; ``exact`` says that the expression takes the very same paths, letter case aside."""

    prefix: str
    replacement: str
    exact: bool


def swap_of_route(route: Route) -> Swap | None:
    """The prefixes of an expression with a rewrite, where that is all it does."""
    path, rewrite = route.match.path, route.rewrite.path if route.rewrite is not None else None
    if not isinstance(path, RegexPath) or not isinstance(rewrite, RegexSubstitution):
        return None
    found = _PREFIX.fullmatch(path.value)
    if found is None:
        return None
    prefix, groups = found.groups()
    for tail in _SWAPS[groups]:
        base = rewrite.substitution.removesuffix(tail)
        if base != rewrite.substitution and _literal(base or "/"):
            return Swap(prefix or "/", base or "/", exact=groups == WHOLE_SEGMENTS or not prefix)
    return None


def literal_of(path: PathMatch) -> str | None:
    """The prefix that an expression stands for: one without special characters, or one for whole segments."""
    if not isinstance(path, RegexPath) or not path.prefix:
        return None
    segments = _PREFIX.fullmatch(path.value)
    if segments is not None and segments[2] == WHOLE_SEGMENTS:
        return segments[1] or "/"
    plain = re.sub(r"\\([^A-Za-z0-9])", r"\1", path.value)
    return (plain.rstrip("/") or "/") if quoted(plain) == path.value and _literal(plain) else None


def _literal(text: str) -> bool:
    return _LEGAL.fullmatch(text) is not None and text.startswith("/") and "//" not in text


def match_of(match: RouteMatch, path: PathMatch | None = None) -> Json | Refused:
    """The conditions of a route; ``path`` takes the place of its own."""
    said = path_of(path or match.path)
    if isinstance(said, Refused):
        return said
    headers = [_header(one) for one in match.headers] + [_cookie(one.name, one.value) for one in match.cookies]
    wrong = next((one for one in headers if isinstance(one, Refused)), None)
    if wrong is not None:
        return wrong
    if match.source or match.host_regex or match.query or len(match.methods) > 1:
        return Refused("asks for what no match of an HTTPRoute can say")
    return {
        "path": said,
        **({"headers": headers} if headers else {}),
        **({"method": str(match.methods[0])} if match.methods else {}),
    }


def path_of(path: PathMatch) -> Json | Refused:
    """A condition on the path."""
    match path:
        case ExactPath(value=value):
            return _said("Exact", value)
        case SegmentPrefix(value=value):
            return _said("PathPrefix", value)
        case StringPrefix(value=value):
            return _said("RegularExpression", f"{quoted(value)}.*")
        case RegexPath(value=value, prefix=prefix, case_sensitive=case_sensitive):
            return _said("RegularExpression", f"{'' if case_sensitive else '(?i)'}(?:{value}){'.*' if prefix else ''}")
        case _:
            assert_never(path)


def _said(kind: str, value: str) -> Json | Refused:
    """A path of that type. Whatever characters a literal path of ours has, HTTPRoutes allow too; not its length."""
    if len(value) > MOST_PATH:
        return Refused(f"has a path of more than {MOST_PATH} characters")
    return {"type": kind, "value": str(value)}


def _header(one: HeaderMatch) -> Json | Refused:
    if one.inverted:
        return Refused(f"asks for a header {one.name} that is not so")
    match one.match:
        case Exactly(value=value):
            return {"name": str(one.name), "value": str(value)}
        case Matches(value=value):
            return _by_expression(one.name, value)
        case Present():
            return _by_expression(one.name, ".*")
        case Contains(value=value):
            return _by_expression(one.name, f".*{quoted(value)}.*")
        case BeginsWith(value=value):
            return _by_expression(one.name, f"{quoted(value)}.*")
        case _:
            assert_never(one.match)


def _by_expression(name: str, value: str) -> Json | Refused:
    if len(value) > MOST_HEADER:
        return Refused(f"asks for the header {name} by too long an expression")
    return {"type": "RegularExpression", "name": str(name), "value": str(value)}


def _cookie(name: str, value: str) -> Json | Refused:
    """A cookie as a part of the header that carries all of them (RFC 6265, 4.2.1)."""
    return _by_expression("Cookie", f"(?:.*;\\s*)?{quoted(name)}={quoted(value)}(?:;.*)?")
