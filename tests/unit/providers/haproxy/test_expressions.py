"""Expressions: how their paths begin, and that the place which a search finds lists whoever takes the path, in the right order."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weirkeeper.model.ids import Ref
from weirkeeper.model.match import ExactPath, PathMatch, RegexPath, RouteMatch, SegmentPrefix, StringPrefix
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Respond, Route
from weirkeeper.providers.haproxy.translate.conditions import conditions
from weirkeeper.providers.haproxy.translate.expressions import literal_start, unlike, whole
from weirkeeper.providers.haproxy.translate.paths import Places, places

ORIGIN = Origin(ref=Ref(kind="Ingress", namespace="d", name="n"))


@pytest.mark.parametrize(
    ("pattern", "start"),
    [
        ("/item/[0-9]+", "/item/"),
        ("^/item/x", "/item/x"),
        ("/items?/x", "/item"),
        ("/ab*", "/a"),
        ("/ab{0,2}", "/a"),
        ("/ab+c", "/ab"),
        ("/a.b", "/a"),
        ("/a|/b", ""),
        ("/a(b|c)", ""),
        ("(?i)/a", ""),
        (".*", ""),
        (r"/a\.b", "/a"),
    ],
)
def test_how_all_their_paths_begin(pattern: str, start: str) -> None:
    assert literal_start(pattern) == start


TEXTS = st.sampled_from(["/", "/a", "/A", "/a/b", "/ab", "/a/b/c", "/abc", "/b", "/B/c", "/a/", "/ab/c"])
PATTERNS = st.sampled_from(
    ["/a", "/a.*", "/[ab]", "/a/b?", "/a/.*c", ".*", ".*b", "/ab|/b", "/(?:a|b)/.*", "^/ab.*", "/b/c$", "/b*"]
)
PATHS: st.SearchStrategy[PathMatch] = st.one_of(
    TEXTS.map(lambda text: ExactPath(value=text)),  # type: ignore[arg-type]
    TEXTS.map(lambda text: SegmentPrefix(value=text.rstrip("/") or "/")),  # type: ignore[arg-type]
    TEXTS.map(lambda text: StringPrefix(value=text)),  # type: ignore[arg-type]
    st.builds(
        lambda text, prefix, case: RegexPath(value=text, prefix=prefix, case_sensitive=case),
        PATTERNS,
        st.booleans(),
        st.booleans(),
    ),
)


def takes(wished: PathMatch, path: str) -> bool:
    match wished:
        case ExactPath(value=value):
            return path == value
        case SegmentPrefix(value=value):
            return path == value or path.startswith(value.rstrip("/") + "/")
        case StringPrefix(value=value):
            return path.startswith(value)
        case RegexPath(value=value, prefix=prefix, case_sensitive=case):
            search = re.match if prefix else re.fullmatch
            return search(value, path, 0 if case else re.IGNORECASE) is not None


def found(made: Places, path: str) -> list[Route]:
    """The routes of the place that HAProxy's search finds."""
    if path in made.exact:
        return made.exact[path]
    return made.prefix[max((text for text in made.prefix if f"{path}/?".startswith(text)), key=len)]


@given(st.lists(PATHS, min_size=1, max_size=6), TEXTS)
def test_the_place_of_a_path_lists_who_takes_it_first(wished: list[PathMatch], path: str) -> None:
    routes = [
        Route(id=f"r{n}", match=RouteMatch(path=one), action=Respond(status=200), origin=ORIGIN)
        for n, one in enumerate(wished)
    ]  # type: ignore[arg-type]
    first = next((route for route in routes if takes(route.match.path, path)), None)
    listed = found(places(routes), path)
    # what stands unconditionally ends the list; conditions are asked one by one
    chosen = next((r for r in listed if not isinstance(r.match.path, RegexPath) or takes(r.match.path, path)), None)
    assert chosen is first


@given(PATTERNS, TEXTS, st.booleans(), st.booleans())
def test_an_expression_or_its_opposite_holds(pattern: str, text: str, case_sensitive: bool, prefix: bool) -> None:
    asked = [make(pattern, case_sensitive=case_sensitive, prefix=prefix) for make in (whole, unlike)]
    limit = re.compile(r"\(\*LIMIT_MATCH=[0-9]+\)")
    assert all(limit.match(one) for one in asked), "nothing may be in front of the limit"
    held = [re.match(limit.sub("", one).replace(r"\z", r"\Z"), text) is not None for one in asked]
    assert held == [not held[1], not held[0]]


def test_what_could_not_be_decided_is_asked_for_before_the_route() -> None:
    made = conditions(RouteMatch(path=RegexPath(value="/a+"), host_regex="x.*"))  # type: ignore[arg-type]
    assert len(made.undecided) == 2
    assert all(text.count("!") == 2 for text in made.undecided)
