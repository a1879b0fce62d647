"""The order of routes is one strict total order, and the explanation of it agrees with it."""

import functools
import itertools
import random
import re

from hypothesis import given
from hypothesis import strategies as st

from weirkeeper.compose.explain.request import Request
from weirkeeper.compose.explain.verdicts import failing, first_difference, verdicts
from weirkeeper.compose.fit import fit_virtual_host
from weirkeeper.compose.needs import needs
from weirkeeper.compose.precedence import precedence_key, precedence_text
from weirkeeper.compose.virtual_hosts import host_key, virtual_host
from weirkeeper.model.features import FEATURES, Capabilities
from weirkeeper.model.filters import IpRules, Mirror, Timeouts, UrlRewrite
from weirkeeper.model.ids import Ref
from weirkeeper.model.match import (
    Exactly,
    ExactPath,
    HeaderMatch,
    Matches,
    Present,
    QueryExactly,
    QueryMatch,
    RegexPath,
    RouteMatch,
    SegmentPrefix,
    StringPrefix,
)
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, HostedRoute, Respond, Route, WeightedBackend
from weirkeeper.providers.envoy.translate import pieces

WORDS = st.sampled_from(["/", "/a", "/b", "/ab", "/a/b", "/a/b/c"])
PATHS = st.one_of(
    WORDS.map(lambda text: ExactPath(value=text)),
    WORDS.map(lambda text: SegmentPrefix(value=text)),
    WORDS.map(lambda text: StringPrefix(value=text)),
    st.sampled_from(["/a.*", "/[ab]", "/a|/b"]).map(lambda text: RegexPath(value=text)),
)
HEADERS = st.builds(
    HeaderMatch,
    name=st.sampled_from(["x-a", "x-b"]),
    match=st.sampled_from([Present(), Exactly(value="1"), Matches(value="[0-9]+")]),
    inverted=st.booleans(),
)
MATCHES = st.builds(
    RouteMatch,
    path=PATHS,
    methods=st.sampled_from([(), ("GET",), ("POST",)]),
    headers=st.lists(HEADERS, max_size=2).map(tuple),
    query=st.sampled_from([(), (QueryMatch(name="q", match=QueryExactly(value="1")),)]),
    scheme=st.sampled_from([None, "http", "https"]),
)
TARGETS = st.lists(st.sampled_from(["/a", "/b", "/ab", "/", "c", "/a/b"]), min_size=1, max_size=5).map(
    lambda parts: "/" + "".join(parts).lstrip("/")
)
OBJECTS = st.sampled_from(["one", "two", "three"])
TIMES = st.sampled_from(["", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"])


@st.composite
def routes(draw, at_least: int = 1) -> list[Route]:
    count = draw(st.integers(at_least, 8))
    made = []
    for number in range(count):
        created = draw(TIMES)
        made.append(
            Route(
                id=f"r{number}",
                match=draw(MATCHES),
                action=Forward(backends=(WeightedBackend(backend=draw(st.sampled_from(["x", "y"]))),)),
                priority=draw(st.sampled_from([0, 0, 1])),
                created_at=created,
                origin=Origin(ref=Ref(kind="Ingress", namespace="d", name=draw(OBJECTS)), created_at=created),
                ip_rules=draw(st.sampled_from([None, IpRules(deny=("10.0.0.0/8",))])),
                mirrors=draw(st.sampled_from([(), (Mirror(backend="m"),)])),
                rewrite=draw(st.sampled_from([None, UrlRewrite(host="b.example")])),
                timeouts=draw(st.sampled_from([Timeouts(), Timeouts(idle=1000)])),
            )
        )
    return made


REQUESTS = st.builds(
    Request,
    host=st.just("shop.example"),
    scheme=st.sampled_from(["http", "https"]),
    path=st.sampled_from(["/", "/a", "/b", "/ab", "/a/", "/a/b", "/a/b/c", "/c"]),
    query=st.sampled_from(["", "q=1", "q=2"]),
    method=st.sampled_from(["GET", "POST", "PUT"]),
    headers=st.lists(st.tuples(st.sampled_from(["X-A", "X-B"]), st.sampled_from(["1", "x"])), max_size=2).map(tuple),
)


def merged(given_routes: list[Route]):
    members = [
        (one.id, HostedRoute(load_balancer="lb", group="g", hostname="shop.example", route=one)) for one in given_routes
    ]
    return virtual_host(host_key(members[0][1]), members)


@given(routes(at_least=2))
def test_no_two_routes_are_equal_in_order(given_routes) -> None:
    keys = [precedence_key(one) for one in given_routes]
    assert len(set(keys)) == len(keys)


@given(routes(at_least=2), st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_the_order_of_arrival(given_routes, chance: random.Random) -> None:
    shuffled = list(given_routes)
    chance.shuffle(shuffled)
    assert merged(shuffled) == merged(given_routes)


@given(routes(at_least=2))
def test_a_route_that_is_added_moves_no_other(given_routes) -> None:
    before = [one.id for one in merged(given_routes[:-1]).routes]
    after = [one.id for one in merged(given_routes).routes if one.id in before]
    assert [name for name in before if name in after] == after


@given(routes(at_least=2))
def test_the_order_is_the_documented_one(given_routes) -> None:
    """A second telling of the rules, one by one."""
    by_rules = sorted(given_routes, key=functools.cmp_to_key(compared))
    assert [one.id for one in by_rules] == [one.id for one in sorted(given_routes, key=precedence_key)]


def compared(one: Route, other: Route) -> int:
    for rule in (
        lambda r: -r.priority,
        lambda r: not isinstance(r.match.path, ExactPath),
        lambda r: -len(r.match.path.value),
        lambda r: [ExactPath, RegexPath, SegmentPrefix, StringPrefix].index(type(r.match.path)),
        lambda r: r.match.scheme is None,
        lambda r: not r.match.methods,
        lambda r: -len(r.match.headers),
        lambda r: -len(r.match.query),
        lambda r: r.created_at or "9999",
        lambda r: r.origin.ref.key,
        lambda r: r.id,
    ):
        if rule(one) != rule(other):
            return -1 if rule(one) < rule(other) else 1
    return 0


@given(routes(), REQUESTS)
def test_the_first_route_that_fits_is_taken_and_the_others_know_why_not(given_routes, request) -> None:
    host = merged(given_routes)
    told = verdicts(request, request.path, host.routes)
    fitting = [one.id for one in host.routes if failing(request, request.path, one.match) is None]
    assert [one.route for one in told if one.taken] == fitting[:1]
    assert [one.route for one in told if one.lost_by == "order"] == fitting[1:]
    assert all(one.why for one in told)
    assert all(one.taken == (one.lost_by is None) for one in told)


@given(routes(at_least=2))
def test_why_one_stands_before_another_can_always_be_said(given_routes) -> None:
    ordered = sorted(given_routes, key=precedence_key)
    for earlier, later in itertools.pairwise(ordered):
        assert first_difference(earlier, later)


SOME = [
    "IpRules",
    "HTTPRouteRequestMirror",
    "HTTPRouteHostRewrite",
    "RegexPathMatch",
    "StringPrefixPathMatch",
    "IdleTimeout",
]
FEATURE_SETS = st.sets(st.sampled_from([*SOME, "HTTPRouteHeaderMatching"]))


@given(routes(), FEATURE_SETS, FEATURE_SETS)
def test_nothing_is_silent(given_routes, lacking, approximated) -> None:
    """Every need is programmed, approximated or refused; whatever is not programmed as it is has a finding."""
    can = Capabilities(
        engine="toy",
        version="1",
        supported=frozenset(FEATURES) - lacking - approximated,
        degrades=dict.fromkeys(sorted(approximated - lacking), "something close"),
    )
    host = merged(given_routes)
    fitted = fit_virtual_host(host, can)
    after = {one.id: one for one in fitted.routes}
    for before in host.routes:
        wanted = {feature for feature, _ in needs(before)}
        told = {f.feature for f in fitted.findings if before.id in f.affected}
        assert told == wanted - can.supported
        missing = {feature for feature in wanted if can.lacks(feature)}
        if not missing:
            assert after[before.id] == before
        elif missing & {feature for feature, _ in needs(before.match)}:
            assert before.id not in after or after[before.id].action.status == 500
        else:
            assert isinstance(after[before.id].action, Respond)
            assert (after[before.id].action.status, after[before.id].match) == (500, before.match)
    assert not any(can.lacks(feature) for one in fitted.routes for feature, _ in needs(one)), (
        "no engine is given what it lacks"
    )


@given(routes())
def test_what_fits_is_left_alone(given_routes) -> None:
    host = merged(given_routes)
    everything = Capabilities(engine="toy", version="1", supported=frozenset(FEATURES))
    assert fit_virtual_host(host, everything) is host


@given(routes(at_least=2))
def test_the_text_of_the_order_sorts_like_the_order(made) -> None:
    assert sorted(made, key=precedence_text) == sorted(made, key=precedence_key)


@given(st.lists(MATCHES, min_size=1, max_size=12), st.lists(TARGETS, min_size=1, max_size=20))
def test_a_piece_of_a_host_has_every_route_that_could_match_in_the_same_order(matches, targets) -> None:
    """For each depth: what takes a request first of all routes takes it first of its piece."""
    made = [plain(f"r{number}", match) for number, match in enumerate(matches)]
    for depth in range(1, pieces.DEEPEST + 1):
        dealt = pieces._dealt(made, [pieces.piece_of(route, depth) for route in made])
        for target in targets:
            piece = dealt[pieces.number_of(pieces.head_of(target, depth))]
            assert [r for r in made if takes(r.match.path, target)] == [r for r in piece if takes(r.match.path, target)]


def test_a_host_is_cut_where_its_routes_differ_and_left_whole_where_they_do_not() -> None:
    def many(form: str) -> list[Route]:
        return [plain(f"r{n}", RouteMatch(path=SegmentPrefix(value=form.format(n)))) for n in range(1_000)]

    found = [pieces.split(many(form)) for form in ("/p{}", "/api/p{}", "/api/v1/p{}")]
    assert [cut and cut.depth for cut in found] == [1, 2, 3]
    assert all(cut and sum(map(len, cut.pieces)) == 1_000 and max(map(len, cut.pieces)) < 30 for cut in found)
    assert pieces.split(many("/a/b/c/d{}")) is None
    by_expression = [plain(f"x{n}", RouteMatch(path=RegexPath(value=f"/x{n}"))) for n in range(200)]
    assert pieces.split(many("/p{}") + by_expression) is None


def plain(name: str, match: RouteMatch) -> Route:
    return Route(id=name, match=match, action=Respond(status=200), origin=Origin(ref=Ref(kind="Ingress", name="i")))


def takes(path, target: str) -> bool:
    match path:
        case ExactPath(value=value):
            return target == value
        case SegmentPrefix(value=value):
            return f"{target}/".startswith(value.rstrip("/") + "/")
        case StringPrefix(value=value):
            return target.startswith(value)
        case RegexPath(value=value):
            return re.fullmatch(value, target) is not None
