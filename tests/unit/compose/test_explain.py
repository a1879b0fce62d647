"""Why a request is answered as it is: host, path, conditions, order, rewrites, backends."""

import msgspec
import pytest
from neutral import backend, config, endpoints, host, origin, route

from weirkeeper.cli.ask import decoded
from weirkeeper.compose.explain import Answer, Request, answer, request_of
from weirkeeper.compose.explain.hosts import covers
from weirkeeper.compose.explain.request import normalised
from weirkeeper.compose.explain.verdicts import failing, header_fits, path_fits, regex_fits
from weirkeeper.model.certificate import Certificate
from weirkeeper.model.filters import Deny, FullPath, IpRules, PrefixPath, RegexSubstitution, UrlRewrite
from weirkeeper.model.listener import HttpOptions
from weirkeeper.model.match import (
    BeginsWith,
    Contains,
    CookieMatch,
    Exactly,
    ExactPath,
    HeaderMatch,
    Matches,
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
from weirkeeper.model.route import Forward, Redirect, Respond, WeightedBackend
from weirkeeper.model.secret import Secret, hide
from weirkeeper.model.text import Cidr, Refused


def ask(url: str, *headers: str, method: str = "GET", source: str = "") -> Request:
    made = request_of(url, method, headers, source)
    assert isinstance(made, Request), made
    return made


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://shop.example/", "http:// or https://"),
        ("http://", "host name"),
        ("http://a b/", "host name"),
        ("http://shop.example:99999/", "no URL"),
        ("http://shop.example/ä", "%XX"),
        ("http://[::1/", "no URL"),
        ("http://shop.example/\x1b", "host name"),
    ],
)
def test_what_is_no_request_is_refused(url: str, why: str) -> None:
    made = request_of(url)
    if isinstance(made, Refused):
        assert why in made.why or "is no" in made.why
    else:
        assert "\x1b" in url  # a path is only looked at by listeners; it is printed without control characters


@pytest.mark.parametrize("header", ["no colon", "bad name: x", ": empty", "x: \x01"])
def test_bad_headers_are_refused(header: str) -> None:
    assert isinstance(request_of("http://a/", headers=[header]), Refused)


def test_a_host_header_beats_the_url() -> None:
    assert ask("http://10.0.0.1/", "Host: Shop.Example.:8080").host == "shop.example"
    assert ask("SHOP.example/cart").host == "shop.example"


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ("/a/./b/../c", "/a/c"),
        ("/a//b///c", "/a/b/c"),
        ("/%61%2D%7e", "/a-~"),
        ("/a/..", "/"),
        ("/../../a", "/a"),
        ("/a/.", "/a/"),
        ("/a/%2e%2e/b", "/b"),
        ("/a%20b", "/a%20b"),
        ("/a\\b", "/a/b"),
        ("/a/..;x=1/b", "/b"),
        ("/a;x=1/b", "/a;x=1/b"),
        ("/a|b", "/a%7Cb"),
    ],
)
def test_paths_are_normalised(sent: str, seen: str) -> None:
    assert normalised(sent, HttpOptions()) == seen


@pytest.mark.parametrize("path", ["/%zz", "/100%", "/%00", "/a/%2e%2e;/b", "/a b", "/\u00e9"])
def test_what_engines_read_in_different_ways_is_refused(path: str) -> None:
    assert isinstance(normalised(path, HttpOptions()), Refused)


def test_escaped_slashes_are_refused_unless_wished() -> None:
    assert isinstance(normalised("/a%2Fb", HttpOptions()), Refused)
    assert isinstance(normalised("/a%5cb", HttpOptions()), Refused)
    assert normalised("/a%2Fb", HttpOptions(escaped_slashes="keep")) == "/a%2Fb"
    assert normalised("/a//b", HttpOptions(merge_slashes=False)) == "/a//b"
    assert normalised("/a/../b", HttpOptions(normalise_path=False)) == "/a/../b"


@pytest.mark.parametrize(
    ("pattern", "name", "labels", "fits"),
    [
        ("a.example", "a.example", None, True),
        ("a.example", "b.example", None, False),
        ("*.example", "a.example", 1, True),
        ("*.example", "b.a.example", 1, False),
        ("*.example", "b.a.example", None, True),
        ("*.example", "example", None, False),
        ("*.example", ".example", 1, False),
        ("*.example", "aexample", None, False),
        ("*", "anything", 1, True),
        (None, "anything", None, True),
    ],
)
def test_what_a_host_name_stands_for(pattern, name, labels, fits) -> None:
    assert covers(pattern, name, labels) is fits


def chosen(url: str, *hosts) -> str | None:
    return answer(config(*hosts), ask(url)).hostname


def test_the_host_alone_decides() -> None:
    exact = host("a.example", route("only", "/only"))
    wild = host("*.example", route("wild"), labels=1)
    rest = host("*", route("rest"))
    assert chosen("http://a.example/only", exact, wild, rest) == "a.example"
    assert chosen("http://a.example/else", exact, wild, rest) == "a.example"
    assert answer(config(exact, wild, rest), ask("http://a.example/else")).status == 404
    assert chosen("http://b.example/", exact, wild, rest) == "*.example"
    assert chosen("http://c.b.example/", exact, wild, rest) == "*"
    assert chosen("http://else.where/", exact, wild) is None
    assert answer(config(exact, wild), ask("http://else.where/")).status == 404


def test_the_longest_wildcard_is_taken() -> None:
    short, long = host("*.example", route("short")), host("*.a.example", route("long"))
    assert chosen("http://x.a.example/", short, long) == "*.a.example"
    assert chosen("http://x.b.example/", short, long) == "*.example"


@pytest.mark.parametrize(
    ("condition", "path", "fits"),
    [
        (ExactPath(value="/a"), "/a", True),
        (ExactPath(value="/a"), "/a/", False),
        (SegmentPrefix(value="/a"), "/a", True),
        (SegmentPrefix(value="/a"), "/a/", True),
        (SegmentPrefix(value="/a"), "/a/b", True),
        (SegmentPrefix(value="/a"), "/ab", False),
        (SegmentPrefix(value="/"), "/anything", True),
        (StringPrefix(value="/a"), "/ab", True),
        (StringPrefix(value="/a"), "/b", False),
        (RegexPath(value="/a.c"), "/abc", True),
        (RegexPath(value="/a.c"), "/abcd", False),
        (RegexPath(value="/a.c", prefix=True), "/abcd", True),
        (RegexPath(value="/a|/b", prefix=True), "/bcd", True),
        (RegexPath(value="/a.c", prefix=True), "/x/abc", False),
        (RegexPath(value="/ABC"), "/abc", False),
        (RegexPath(value="/ABC", case_sensitive=False), "/abc", True),
    ],
)
def test_paths(condition, path: str, fits: bool) -> None:
    assert path_fits(condition, path) is fits


def test_expressions_are_those_of_re2() -> None:
    assert regex_fits(r"\pN+", "12")
    assert not regex_fits(r"(?=a)a", "a"), "look-ahead is not RE2: it matches nothing"
    assert not regex_fits(r"(a+)+$", "a" * 5000 + "b"), "linear time"
    assert not regex_fits("(", "(")
    assert not regex_fits("a", "a\n")


@pytest.mark.parametrize(
    ("match", "inverted", "value", "fits"),
    [
        (Exactly(value="a"), False, "a", True),
        (Exactly(value="a"), False, "b", False),
        (Exactly(value="a"), False, None, False),
        (Exactly(value="a"), True, None, True),
        (Exactly(value="a"), True, "a", False),
        (Matches(value="a+"), False, "aa", True),
        (Matches(value="a+"), False, "aab", False),
        (Present(), False, "", True),
        (Present(), False, None, False),
        (Present(), True, None, True),
        (Present(), True, "x", False),
        (Contains(value="b"), False, "abc", True),
        (BeginsWith(value="a"), False, "abc", True),
        (BeginsWith(value="b"), True, "abc", True),
    ],
)
def test_headers(match, inverted, value, fits) -> None:
    assert header_fits(HeaderMatch(name="x-a", match=match, inverted=inverted), value) is fits


@pytest.mark.parametrize(
    ("match", "request_", "aspect"),
    [
        (RouteMatch(methods=("POST", "PUT")), ask("http://a/"), "method"),
        (RouteMatch(methods=("GET",)), ask("http://a/"), None),
        (RouteMatch(headers=(HeaderMatch(name="X-A", match=Exactly(value="1,2")),)), ask("http://a/", "x-a: 1", "X-A: 2"), None),
        (RouteMatch(headers=(HeaderMatch(name="X-A", match=Exactly(value="1")),)), ask("http://a/"), "header"),
        (RouteMatch(headers=(HeaderMatch(name="Host", match=Exactly(value="a:81")),)), ask("http://a:81/"), None),
        (RouteMatch(cookies=(CookieMatch(name="c", value="1"),)), ask("http://a/", "Cookie: b=2; c=1"), None),
        (RouteMatch(cookies=(CookieMatch(name="c", value="1"),)), ask("http://a/", "Cookie: xc=1"), "cookie"),
        (RouteMatch(query=(QueryMatch(name="q", match=QueryExactly(value="1")),)), ask("http://a/?q=1&q=2"), None),
        (RouteMatch(query=(QueryMatch(name="q", match=QueryExactly(value="2")),)), ask("http://a/?q=1&q=2"), "query"),
        (RouteMatch(query=(QueryMatch(name="q", match=QueryMatches(value="[0-9]+")),)), ask("http://a/?q=12"), None),
        (RouteMatch(query=(QueryMatch(name="q", match=QueryPresent()),)), ask("http://a/?p"), "query"),
        (RouteMatch(scheme="https"), ask("http://a/"), "scheme"),
        (RouteMatch(source=("10.0.0.0/8",)), ask("http://a/", source="10.1.2.3"), None),
        (RouteMatch(source=("10.0.0.0/8",)), ask("http://a/", source="11.1.2.3"), "source"),
        (RouteMatch(source=("10.0.0.0/8",)), ask("http://a/"), "source"),
        (RouteMatch(host_regex="a+"), ask("http://aaa/"), None),
        (RouteMatch(host_regex="a+"), ask("http://aab/"), "host"),
        (RouteMatch(path=ExactPath(value="/x"), methods=("POST",)), ask("http://a/"), "path"),
    ],
)
def test_the_first_condition_that_fails_is_named(match, request_, aspect) -> None:
    found = failing(request_, request_.path, match)
    assert (found[0] if found else None) == aspect
    assert found is None or len(found[1]) > 10


def test_every_route_is_told_and_why_it_lost() -> None:
    routes = (
        route("exact", "=/cart/health"),
        route("canary", match=RouteMatch(path=SegmentPrefix(value="/cart"), headers=(HeaderMatch(name="x", match=Present()),))),
        route("cart", "/cart"),
        route("twin", "/cart", object_name="other"),
        route("rest", "/"),
    )
    seen = answer(config(host("a", *routes)), ask("http://a/cart/1"))
    assert [(v.route, v.lost_by) for v in seen.considered] == [
        ("exact", "path"), ("canary", "header"), ("cart", None), ("twin", "order"), ("rest", "order"),
    ]  # fmt: skip
    assert [v.route for v in seen.considered if v.taken] == ["cart"] == [seen.route]
    assert "its path is longer" in seen.considered[4].why
    assert "Ingress default/shop spec.cart" in seen.considered[3].why
    assert seen.decided_by == origin("shop", "spec.cart")


def test_backends_with_share_and_endpoints() -> None:
    split = route("split", action=Forward(backends=(WeightedBackend(backend="web", weight=3), WeightedBackend(backend="next"))))
    whole = config(
        host("a", split), backends=(backend("web"), backend("next", protocol="h2c")),
        endpoint_sets=(endpoints("web", "10.0.0.1", "10.0.0.2"), endpoints("next", "10.0.0.3")),
    )  # fmt: skip
    seen = answer(whole, ask("http://a/"))
    assert [(b.id, b.share, b.protocol, b.usable) for b in seen.backends] == [("web", 75, "http1", 2), ("next", 25, "h2c", 1)]
    assert seen.status is None
    assert seen.summary == "forwarded to web (75 %) or next (25 %)"


def test_guards_are_said_in_the_first_line() -> None:
    def seen(**guards: object) -> Answer:
        whole = config(host("a", route("r", **guards)), backends=(backend("web"),), endpoint_sets=(endpoints("web", "10.0.0.1"),))
        return answer(whole, ask("http://a/"))

    closed = seen(auth=(Deny(),))
    assert closed.status == 503
    assert "nobody passes" in closed.summary
    listed = seen(ip_rules=IpRules(allow=(Cidr("10.0.0.0/8"),)))
    assert listed.status is None
    assert listed.summary == "forwarded to web, unless ip_rules refuse it"


def test_no_endpoint_is_503() -> None:
    whole = config(host("a", route("r")), backends=(backend("web"),), endpoint_sets=(endpoints("web"),))
    assert answer(whole, ask("http://a/")).status == 503
    weightless = route("r", action=Forward(backends=(WeightedBackend(backend="web", weight=0),)))
    assert answer(config(host("a", weightless)), ask("http://a/")).status == 503


@pytest.mark.parametrize(
    ("where", "rewrite", "sent", "seen"),
    [
        ("/a", FullPath(value="/x"), "/a/b", "/x"),
        ("/a", PrefixPath(value="/x"), "/a/b", "/x/b"),
        ("/a", PrefixPath(value="/"), "/a/b", "/b"),
        ("/a", PrefixPath(value="/"), "/a", "/"),
        ("/a", PrefixPath(value="/x"), "/a", "/x"),
        ("/", PrefixPath(value="/x"), "/b", "/x/b"),
        ("=/a", PrefixPath(value="/x"), "/a", "/x"),
        ("~/v1(/|$)(.*)", RegexSubstitution(pattern=r"^/v1(/|$)(.*)$", substitution=r"/\2"), "/v1/a/b", "/a/b"),
    ],
)
def test_the_path_that_the_backend_sees(where, rewrite, sent, seen) -> None:
    one = route("r", where, rewrite=UrlRewrite(path=rewrite))
    found = answer(config(host("a", one), backends=(backend("web"),)), ask(f"http://a{sent}"))
    assert found.backend_path == seen


def test_everything_that_a_route_does_is_listed() -> None:
    one = route("r", body_limit=1000, upgrades=(), forwarded_prefix="/x")
    seen = answer(config(host("a", one)), ask("http://a/"))
    assert {s.field for s in seen.settings} == {"body_limit", "upgrades", "forwarded_prefix"}


@pytest.mark.parametrize(
    ("action", "status", "said"),
    [
        (Respond(status=403), 403, "by itself"),
        (Redirect(scheme="https", status=308), 308, "https"),
        (Redirect(to="https://new.example/", status=301), 301, "https://new.example/"),
        (Redirect(host="b", path=FullPath(value="/x")), 302, "/x"),
    ],
)
def test_answers_of_its_own(action, status, said) -> None:
    seen = answer(config(host("a", route("r", action=action))), ask("http://a/"))
    assert seen.status == status
    assert said in seen.summary


def certificate(name: str, *names: str, default: bool = False) -> Certificate:
    return Certificate(id=name, chain="", key=Secret("k"), names=names, default=default, origin=origin(name, kind="Secret"))


def test_the_certificate_by_name_then_wildcard_then_default() -> None:
    held = (certificate("d", default=True), certificate("w", "*.example"), certificate("e", "a.example"))
    whole = config(certificates=held)
    assert [answer(whole, ask(f"https://{h}/")).certificate.id for h in ("a.example", "b.example", "c.b.example", "x")] == [
        "e", "w", "d", "d",
    ]  # fmt: skip
    assert answer(whole, ask("http://a.example/")).certificate is None
    assert answer(config(), ask("https://a.example/")).certificate is None


def test_a_port_that_is_listened_on_decides_the_listener() -> None:
    whole = config(host("a", route("r")))
    other = msgspec.structs.replace(whole.listeners[0], id="http-2", port=8080, group="none")
    both = msgspec.structs.replace(whole, listeners=(*whole.listeners, other))
    assert answer(both, ask("http://a:8080/")).listener == "http-2"
    assert answer(both, ask("http://a:8080/")).status == 404
    assert answer(both, ask("http://a:9999/")).listener == "http"
    assert answer(msgspec.structs.replace(whole, listeners=()), ask("http://a/")).listener is None


def test_an_answer_goes_through_json() -> None:
    whole = config(host("a", route("r")), backends=(backend("web"),), endpoint_sets=(endpoints("web", "10.0.0.1"),))
    seen = answer(whole, ask("http://a/"))
    assert decoded(msgspec.json.encode(seen, enc_hook=hide), Answer) == seen
