"""Session persistence of rules: the affinity that it comes to, and the routes that hold a client at one of several backends."""

import base64

import pytest
from test_gateway import World, gateway, route

from weirkeeper.model.filters import CookieAffinity, HeaderSession
from weirkeeper.testing.certificates import Authority

BACKEND = "backendRefs: [{name: shop, port: 80}]"
SPLIT = "backendRefs: [{name: shop, port: 80, weight: 3}, {name: shop, port: 90, weight: 0}]"
HTTPS = "{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}"


def routes(world):
    return [one.route for intent in world.intents().values() for one in intent.routes if one.route.priority == 0]


def of_rule(session, rest=BACKEND, **more):
    return World(gateway(), route(f"sessionPersistence: {session}, {rest}", **more))


def affinity(session, rest=BACKEND, **more):
    (found,) = routes(of_rule(session, rest, **more))
    return found.affinity


def test_a_cookie_by_default_that_ends_with_the_browser() -> None:
    found = affinity("{}")
    assert isinstance(found, CookieAffinity)
    assert found.name.startswith("weir-")
    assert (found.ttl, found.path, found.same_site, found.http_only, found.persistent) == (
        None,
        "/",
        "Strict",
        True,
        True,
    )
    assert affinity("{}") == found, "the same name at every start"


def test_names_tell_rules_and_routes_apart() -> None:
    session = f"sessionPersistence: {{}}, {BACKEND}"
    rules = [f"{matches}{session}" for matches in ("", "matches: [{path: {value: /a}}], ", "name: n, ")]
    one, other = (World(gateway(), route("}, {".join(rows), name=name)) for rows, name in ((rules, "r"), (rules, "r2")))
    names = {one.affinity.name for one in routes(one)}
    assert len(names) == 3
    assert not names & {one.affinity.name for one in routes(other)}
    turned = World(gateway(), route("}, {".join(reversed(rules))))
    assert {one.affinity.name for one in routes(turned)} == names, "a rule keeps its sessions wherever it stands"


def test_a_permanent_cookie_lives_as_long_as_is_said() -> None:
    found = affinity("{sessionName: JSESSIONID, absoluteTimeout: 1h30m, cookieConfig: {lifetimeType: Permanent}}")
    assert (found.name, found.ttl) == ("JSESSIONID", 5_400_000)


def test_a_time_limit_of_a_session_cookie_is_kept_and_said() -> None:
    world = of_rule("{absoluteTimeout: 10m}")
    assert routes(world)[0].affinity.ttl == 600_000
    said = [str(one.reason) for intent in world.intents().values() for one in intent.findings]
    assert said == ["WK502"]


@pytest.mark.parametrize(
    ("match", "path"),
    [
        ("{path: {value: /shop/}}", "/shop"),
        ("{path: {type: Exact, value: /shop/}}", "/shop/"),
        ("{path: {type: RegularExpression, value: '/p1/p2/[^/]+/p3'}}", "/p1/p2"),
        ("{path: {type: RegularExpression, value: '/a|/b'}}", "/"),
        ("{path: {value: /a;b}}", "/"),
    ],
)
def test_the_cookie_comes_back_to_the_paths_of_its_match(match: str, path: str) -> None:
    assert affinity("{}", f"matches: [{match}], {BACKEND}").path == path


def test_calls_have_sessions_too() -> None:
    world = of_rule(
        "{sessionName: s}",
        "matches: [{method: {service: shop.Cart}}], backendRefs: [{name: shop, port: 90}]",
        kind="GRPCRoute",
    )
    assert routes(world)[0].affinity.path == "/shop.Cart"


def test_a_header() -> None:
    assert affinity("{type: Header, sessionName: x-stay}") == HeaderSession(name="x-stay")


@pytest.mark.parametrize(
    ("session", "rest"),
    [
        ("{type: Header, absoluteTimeout: 1h}", BACKEND),
        ("{type: Header}", SPLIT),
        ("{type: Magic}", BACKEND),
        ("{cookieConfig: {lifetimeType: Permanent}}", BACKEND),
        ("{absoluteTimeout: soon}", BACKEND),
        ("{sessionName: 'a b'}", BACKEND),
        ("{cookieConfig: {lifetimeType: Forever}}", BACKEND),
    ],
)
def test_what_cannot_be_kept_is_refused(session: str, rest: str) -> None:
    world = of_rule(session, rest)
    assert [one.action.status for one in routes(world)] == [500]
    assert world.said("HTTPRoute")["Accepted"] == ("False", "UnsupportedValue")


def test_https_keeps_its_cookies_for_itself() -> None:
    pair = Authority("test").issue("a.example")
    data = {"tls.crt": base64.b64encode(pair.certificate).decode(), "tls.key": base64.b64encode(pair.key).decode()}
    secret = f"kind: Secret\nmetadata: {{name: c, namespace: d}}\ntype: kubernetes.io/tls\ndata: {data}"
    world = World(
        secret, gateway("{name: http, port: 80, protocol: HTTP}", HTTPS), route(f"sessionPersistence: {{}}, {BACKEND}")
    )
    assert sorted(one.affinity.secure for one in routes(world)) == [False, True]


def test_a_split_leads_whoever_shows_the_second_cookie_straight_there() -> None:
    first, second, split = sorted(
        routes(of_rule("{sessionName: s, absoluteTimeout: 60s}", SPLIT)), key=lambda one: one.id
    )
    marks = []
    for straight, backend in ((first, "d/shop/80"), (second, "d/shop/90")):
        assert [one.backend for one in straight.action.backends] == [backend]
        (cookie,) = straight.match.cookies
        assert (cookie.name, cookie.own) == ("s-at", True)
        marks.append(cookie.value)
    assert len(set(marks)) == 2
    assert split.match.cookies == ()
    assert [one.weight for one in split.action.backends] == [3, 0]
    told = [one.response_headers.add[-1] for one in split.action.backends]
    assert [one.value for one in told] == [
        f"s-at={mark}; Path=/; Max-Age=60; HttpOnly; SameSite=Strict" for mark in marks
    ]
