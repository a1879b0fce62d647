"""The paths of one host as two sets of places, so that one longest-prefix search finds what takes a request.

Comes in: routes in the order of matching. Goes out: for each place, the routes that take everything there, in the same order. A prefix place is a raw prefix of
the path with a ``/`` behind it: ``/a/`` is the segment prefix ``/a``, ``/app`` a prefix of characters. An exact place is a whole path.

An expression stands wherever its paths can lie: at the prefix that all of them begin with, and at every place below that one.

The search finds the longest prefix, or the exact path. What the order of routes says besides (a canary before a longer path, say) is worked out here: a place
lists every route that covers it, be its own path shorter.
"""

from collections.abc import Sequence
from typing import NamedTuple

from weirkeeper.model.match import ExactPath, RegexPath, SegmentPrefix, StringPrefix
from weirkeeper.model.route import Route
from weirkeeper.providers.haproxy.translate.expressions import literal_start


class Places(NamedTuple):
    """Routes by exact path, and by raw prefix."""

    exact: dict[str, list[Route]]
    prefix: dict[str, list[Route]]


class _Paths(NamedTuple):
    exact: dict[str, list[int]]
    segment: dict[str, list[int]]
    letters: dict[str, list[int]]
    expressions: dict[str, list[int]]
    """By how all their paths begin."""
    folded: dict[str, list[int]]
    """The same for those that letter case means nothing to: in lower case. They have no place of their own."""


def places(routes: Sequence[Route]) -> Places:
    """Every place of the host at which something other may hold than around it."""
    paths = _by_path(routes)
    prefixes = {*paths.segment, *paths.letters, *paths.expressions, "/"}
    whole = {*paths.exact, *(text[:-1] for text in paths.letters if text.endswith("/") and text != "/")}
    return Places(
        exact={path: _taken(routes, _of_path(paths, path)) for path in whole},
        prefix={text: _taken(routes, _of_prefix(paths, text)) for text in prefixes},
    )


def _by_path(routes: Sequence[Route]) -> _Paths:
    paths = _Paths({}, {}, {}, {}, {})
    for number, route in enumerate(routes):
        match route.match.path:
            case ExactPath(value=value):
                paths.exact.setdefault(value, []).append(number)
            case SegmentPrefix(value=value):
                paths.segment.setdefault(value.rstrip("/") + "/", []).append(number)
            case StringPrefix(value=value):
                paths.letters.setdefault(value, []).append(number)
            case RegexPath(value=value, case_sensitive=True):
                paths.expressions.setdefault(_start(value), []).append(number)
            case RegexPath(value=value):
                paths.folded.setdefault(_start(value).lower(), []).append(number)
    return paths


def _of_path(paths: _Paths, path: str) -> list[int]:
    found = list(paths.exact.get(path, ()))
    found += [n for end in range(len(path) + 2) for n in paths.segment.get(f"{path}/"[:end], ())]
    for end in range(len(path) + 1):
        found += [n for table in (paths.letters, paths.expressions) for n in table.get(path[:end], ())]
    lower = path.lower()
    return found + [n for start, numbers in paths.folded.items() if lower.startswith(start) for n in numbers]


def _of_prefix(paths: _Paths, text: str) -> list[int]:
    ends = [text[:end] for end in range(len(text) + 1)]
    found = [
        n for end in ends for table in (paths.segment, paths.letters, paths.expressions) for n in table.get(end, ())
    ]
    lower = text.lower()
    return found + [n for start, numbers in paths.folded.items() if _meet(lower, start) for n in numbers]


def _meet(one: str, other: str) -> bool:
    """Whether a text can begin with both."""
    return one.startswith(other) or other.startswith(one)


def _start(pattern: str) -> str:
    found = literal_start(pattern)
    return found if found.startswith("/") else "/"


def _taken(routes: Sequence[Route], numbers: list[int]) -> list[Route]:
    return [routes[number] for number in sorted(numbers)]
