"""Rows: who takes a request. Paths, hosts, expressions, headers, queries, cookies, methods, and which of several routes goes first."""

from meaning_table import place, row

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
)  # fmt: skip
from weirkeeper.model.text import HeaderName, HeaderValue, Method, PathText, QueryName, QueryValue, RegexText


def _exact(path):
    return RouteMatch(path=ExactPath(value=PathText(path)))


def _header(name, match, inverted=False):
    return HeaderMatch(name=HeaderName(name), match=match, inverted=inverted)


def _asked(site, **match):
    """What matches goes to `b`, all else to `a`."""
    return [site.neutral(site.route(RouteMatch(**match), to="b"), site.route(to="a"))]


PATHS = place(
    "paths", "",
    lambda site: [
        site.ingress(paths=[("/exact", "Exact", "a"), ("/exact/", "Exact", "b"), ("/shop", "Prefix", "a"), ("/shop/deep", "Prefix", "b"), ("/shop/deep/er", "Exact", "a"), ("/dir/", "Prefix", "b"), ("/Case", "Prefix", "b"), ("/a.b", "Exact", "b")]),
        site.ingress(name="more", paths=[("/caf%C3%A9", "Exact", "b"), ("/a%20b", "Prefix", "b"), ("/semi;x=1", "Prefix", "b"), ("/%61%2d%7E", "Exact", "b"), ("/s(t", "Exact", "a"), ("/x$y", "Prefix", "a"), ("/either", "ImplementationSpecific", "a"), ("/+~_-", "Exact", "a")]),
        site.ingress(name="z-later", paths=[("/exact", "Exact", "b"), ("/shop/new", "Prefix", "b")]),
    ],
    *(row(path, "a") for path in ("/exact", "/exact?x=1", "/exact?", "/shop", "/shop/", "/shop?x", "/shop/x", "/shop/dee", "/shop/deeper", "/shop/Deep", "/shop/deep/er", "/shop/newer", "/s(t", "/x$y", "/x$y/z", "/either", "/either/x", "/+~_-", "/shop/exact", "/shop/a%2Cb")),
    *(row(path, "b") for path in ("/exact/", "/exact/?", "/shop/deep", "/shop/deep/", "/shop/deep/x", "/shop/deep/er/", "/shop/deep/er/x", "/dir", "/dir/", "/dir/x", "/dir?x", "/Case", "/Case/x", "/a.b", "/caf%C3%A9", "/a%20b", "/a%20b/c", "/semi;x=1", "/semi;x=1/y", "/a-~", "/shop/new", "/shop/new/x")),
    *(row(path, 404) for path in ("/", "/x", "/exac", "/exactly", "/exact/x", "/EXACT", "/sho", "/shopping", "/SHOP", "/x/shop", "/dirx", "/di", "/case", "/CASE/x", "/aXb", "/a.bc", "/caf%c3%a9", "/caf", "/a+b", "/semi", "/semi;x=2", "/semi;x=10", "/eitherx", "/s", "/exact%20")),
    row("/%61-%7e", "b", seen="/a-~"), row("/%65xact", "a", seen="/exact"), row("/shop/../exact", "a", seen="/exact"), row("/shop//deep", "b", seen="/shop/deep"), row("/shop/./deep/er", "a", seen="/shop/deep/er"),
)  # fmt: skip

ROOT = place(
    "root", "",
    lambda site: [site.ingress(paths=[("/", "Exact", "b"), ("/", "Prefix", "a")])],
    row("/", "b"), row("/?x", "b"), row("/?", "b"), row("/x", "a"), row("/x/", "a"), row("/.x", "a"), row("/%20", "a"), row("/index.html", "a"),
)  # fmt: skip

HOSTS = place(
    "hosts", "",
    lambda site: [
        site.ingress(host="*." + site.host),
        site.ingress(name="own", host="own." + site.host, paths=[("/", "Prefix", "b")]),
        site.ingress(name="part", host="part." + site.host, paths=[("/only", "Prefix", "b")]),
        site.ingress(name="deep", host="*.deep." + site.host, paths=[("/", "Prefix", "b")]),
        site.ingress(name="dash", host="a-b.x1." + site.host, paths=[("/", "Prefix", "b")]),
    ],
    *(row("/x", "a", host=host + "{h}") for host in ("any.", "ANY.", "x-y.", "a.", "1.", "deep.", "xn--caf-dma.", "owner.", "x1.")),
    *(row("/x", "b", host=host + "{h}") for host in ("own.", "OWN.", "x.deep.", "own.deep.", "a-b.x1.")),
    *(row("/x", "a", host="any.{h}" + port) for port in (":80", ":8080", ".", ".:80")),
    *(row("/x", "b", host="own.{h}" + port) for port in (":80", ":8080", ".", ".:443")),
    row("/x", 404, host="part.{h}"),
    # hosts that nobody has go to the default backend of the place `defaults`
    *(row("/x", "b", host=host) for host in ("{h}", "two.any.{h}", "x.own.{h}", "x.y.deep.{h}", "any.{h}x", "other.x1.{h}", "any.{h}.example", "x{h}")),
    row("/only", "b", host="part.{h}"), row("/only/x", "b", host="PART.{h}"),
)  # fmt: skip

DEFAULTS = place(
    "defaults", "",
    lambda site: [
        site.ingress(paths=[("/known", "Prefix", "a"), ("/gone", "Prefix", "nobody"), ("/empty", "Exact", "none")], defaultBackend=site.to("b")),
        *site.service("none"),
        site.ingress(name="named", host="named." + site.host, paths=[("/", "Prefix", "a")]),
    ],
    row("/known", "a"), row("/known/x", "a"), row("/", "b"), row("/unknown", "b"), row("/knownx", "b"), row("/gone", 503), row("/gone/x", 503), row("/empty", 503), row("/empty/x", "b"), row("/x", "a", host="named.{h}"),
)  # fmt: skip

EXPRESSIONS = place(
    "expressions", "RegexPathMatch",
    lambda site: [
        site.ingress({"use-regex": "true"}, paths=[("/item/[0-9]+", "ImplementationSpecific", "a"), ("/item/[0-9]+/(edit|view)$", "ImplementationSpecific", "b"), ("/file/.*\\.png", "ImplementationSpecific", "b"), ("/v[12]/api", "ImplementationSpecific", "a"), ("/(en|de)/shop", "ImplementationSpecific", "b")]),
        site.ingress(name="plain", paths=[("/plain.txt", "Exact", "a"), ("/pre", "Prefix", "b")]),
    ],
    *(row(path, "a") for path in ("/item/1", "/item/42", "/ITEM/7", "/item/1/", "/item/1x", "/item/1/view/x", "/v1/api", "/v2/api", "/V2/API/x", "/v1/apix", "/plain.txt", "/PLAIN.txt", "/plain.txt/x")),
    *(row(path, "b") for path in ("/item/1/edit", "/item/12/view", "/Item/12/EDIT", "/file/x.png", "/file/a/b.png", "/file/x.PNG", "/file/x.png.txt", "/en/shop", "/de/shop/x", "/DE/Shop", "/pre", "/pre/x", "/PRE", "/prefix")),
    *(row(path, 404) for path in ("/item/", "/item/x", "/x/item/1", "/items/1", "/file/xpng", "/file/", "/v3/api", "/v/api", "/fr/shop", "/plainXtxt", "/", "/pr")),
)  # fmt: skip

WHOLE = place(
    "whole-expressions", "RegexPathMatch",
    lambda site: [site.neutral(
        site.route(RouteMatch(path=RegexPath(value=RegexText("/(a|bc)+/[0-9]{2,3}"))), to="b"), site.route(RouteMatch(path=RegexPath(value=RegexText("/x\\.y(/.*)?"), case_sensitive=False)), to="b"), site.route(_exact("/a/12"), to="a"),
        site.route(RouteMatch(path=SegmentPrefix(value=PathText("/else"))), to="a"),
    )],
    *(row(path, "b") for path in ("/aa/12", "/abca/123", "/bc/00", "/x.y", "/X.Y/z", "/x.y/", "/bc/12?x=/")),
    row("/a/12", "a"), row("/else/x", "a"),
    *(row(path, 404) for path in ("/a/1", "/a/1234", "/A/12", "/a/12/", "/b/12", "/xzy", "/x.yz", "/x", "/a/12x", "//")),
)  # fmt: skip

LETTERS = place(
    "letters", "StringPrefixPathMatch",
    lambda site: [site.neutral(site.route(RouteMatch(path=StringPrefix(value=PathText("/app"))), to="b"), site.route(RouteMatch(path=SegmentPrefix(value=PathText("/apple"))), to="a"))],
    *(row(path, "b") for path in ("/app", "/app/", "/app/x", "/appl", "/application", "/apples", "/app.js", "/app?x", "/app%20x")),
    *(row(path, "a") for path in ("/apple", "/apple/", "/apple/x")),
    *(row(path, 404) for path in ("/", "/ap", "/App", "/x/app")),
)  # fmt: skip

_SENT = lambda *pairs: {"headers": tuple(pairs)}
HEADERS = [
    place(
        "header-" + name, "HTTPRouteHeaderMatching" + more,
        lambda site, match=match, inverted=inverted: _asked(site, headers=(_header("X-Kind", match, inverted),)),
        *(row("/", to, **_SENT(*pairs)) for to, pairs in rows),
    )
    for name, more, match, inverted, rows in (
        ("exact", "", Exactly(value=HeaderValue("One two")), False, [("b", [("x-kind", "One two")]), ("b", [("X-KIND", "One two")]), ("a", [("x-kind", "one two")]), ("a", [("x-kind", "One two ,")]), ("a", [("x-kind", "One")]), ("a", []), ("a", [("x-kind", "")]), ("a", [("x-kinds", "One two")]), ("a", [("x-kind", "One"), ("x-kind", "two")])]),
        ("comma", "", Exactly(value=HeaderValue("a,b")), False, [("b", [("x-kind", "a,b")]), ("a", [("x-kind", "a")]), ("a", [("x-kind", "b")]), ("a", [("x-kind", "a, b")])]),
        ("not", "", Exactly(value=HeaderValue("no")), True, [("a", [("x-kind", "no")]), ("b", [("x-kind", "yes")]), ("b", []), ("b", [("x-kind", "No")])]),
        ("there", "", Present(), False, [("b", [("x-kind", "1")]), ("b", [("x-kind", "")]), ("a", []), ("a", [("kind", "1")])]),
        ("absent", "", Present(), True, [("a", [("x-kind", "1")]), ("a", [("x-kind", "")]), ("b", [])]),
        ("begins", "", BeginsWith(value=HeaderValue("Bear")), False, [("b", [("x-kind", "Bearer x")]), ("b", [("x-kind", "Bear")]), ("a", [("x-kind", "bear")]), ("a", [("x-kind", "xBear")]), ("a", [("x-kind", "Be")]), ("a", [])]),
        ("contains", "", Contains(value=HeaderValue("(i+1)")), False, [("b", [("x-kind", "x(i+1)y")]), ("b", [("x-kind", "(i+1)")]), ("a", [("x-kind", "(ii1)")]), ("a", [("x-kind", "(I+1)")]), ("a", [])]),
        ("regex", " RegexHeaderMatch", Matches(value=RegexText("v[0-9]+(-rc)?")), False, [("b", [("x-kind", "v1")]), ("b", [("x-kind", "v12-rc")]), ("a", [("x-kind", "v1-rc2")]), ("a", [("x-kind", "xv1")]), ("a", [("x-kind", "V1")]), ("a", [("x-kind", "")]), ("a", [])]),
        ("not-regex", " RegexHeaderMatch", Matches(value=RegexText("(?:curl|wget)/.*")), True, [("a", [("x-kind", "curl/8")]), ("a", [("x-kind", "wget/")]), ("b", [("x-kind", "curl")]), ("b", [("x-kind", "x curl/8")]), ("b", [])]),
    )
]  # fmt: skip

COOKIES = place(
    "cookies", "HTTPRouteHeaderMatching",
    lambda site: _asked(site, cookies=(CookieMatch(name=HeaderName("taste"), value=HeaderValue("new")),)),
    *(row("/", "b", headers=(("cookie", text),)) for text in ("taste=new", "a=1; taste=new", "taste=new; a=1", "a=1;taste=new", "xtaste=old; taste=new", "taste=new; taste=old")),
    row("/", "a", headers=(("cookie", "taste=old; taste=new"),), but=dict.fromkeys(("envoy", "haproxy"), "any of several cookies of one name counts")),
    *(row("/", "a", headers=(("cookie", text),)) for text in ("taste=old", "taste=newer", "nottaste=new", "taste=", "Taste=new", "taste", "x=taste=new", "a=1", "taste=NEW")),
    row("/", "a"),
)  # fmt: skip

QUERIES = [
    place("query-exact", "HTTPRouteQueryParamMatching", lambda site: _asked(site, query=(QueryMatch(name=QueryName("q"), match=QueryExactly(value=QueryValue("1"))),)),
          *(row(path, "b") for path in ("/?q=1", "/x?q=1", "/?a=2&q=1", "/?q=1&a=2", "/?q=1&q=2")), *(row(path, "a") for path in ("/", "/?q", "/?q=", "/?q=11", "/?Q=1", "/?qq=1", "/?a=q=1", "/q=1", "/?q=2&q=1", "/?x%23q=1", "/?q=%31", "/?%71=1", "/?q=1+", "/?q=+1"))),
    place("query-there", "HTTPRouteQueryParamMatching", lambda site: _asked(site, query=(QueryMatch(name=QueryName("flag"), match=QueryPresent()),)),
          *(row(path, "b") for path in ("/?flag=", "/?flag=x", "/?a&flag=1", "/?flag=0&flag")), *(row(path, "a") for path in ("/", "/?", "/?flags=1", "/?xflag=1", "/flag", "/?x=flag"))),
    place("query-regex", "HTTPRouteQueryParamMatching", lambda site: _asked(site, query=(QueryMatch(name=QueryName("id"), match=QueryMatches(value=RegexText("[a-f0-9]{4}"))),)),
          *(row(path, "b") for path in ("/?id=00ff", "/?x=1&id=abcd", "/y?id=1234&z")), *(row(path, "a") for path in ("/", "/?id=", "/?id=00f", "/?id=00fff", "/?id=00FF", "/?ID=00ff", "/?id=x00ff"))),
    place("query-escape", "HTTPRouteQueryParamMatching", lambda site: _asked(site, query=(QueryMatch(name=QueryName("q"), match=QueryExactly(value=QueryValue("a%20b"))),)),
          row("/?q=a%20b", "b"), *(row(path, "a") for path in ("/?q=a+b", "/?q=a%2520b", "/?q=a%20B", "/?%71=a%20b", "/?q=a%20b%20"))),
    place("query-two", "HTTPRouteQueryParamMatching", lambda site: _asked(site, query=(QueryMatch(name=QueryName("a"), match=QueryExactly(value=QueryValue("1"))), QueryMatch(name=QueryName("b"), match=QueryExactly(value=QueryValue("2"))))),
          *(row(path, "b") for path in ("/?a=1&b=2", "/?b=2&a=1", "/?a=1&x&b=2")), *(row(path, "a") for path in ("/?a=1", "/?b=2", "/?a=2&b=1", "/?a=1b=2", "/"))),
]  # fmt: skip

METHODS = place(
    "methods", "HTTPRouteMethodMatching",
    lambda site: _asked(site, methods=(Method("POST"), Method("DELETE"))),
    *(row("/", "b", method=method) for method in ("POST", "DELETE")), *(row("/", "a", method=method) for method in ("GET", "HEAD", "PUT", "PATCH", "OPTIONS")),
    row("/", "b", method="POST", body=b"x=1"), row("/x?y", "b", method="DELETE"), row("/", "a", method="PUT", body=b"\x00\xff"),
)  # fmt: skip

ORDER = place(
    "order", "HTTPRouteHeaderMatching HTTPRouteMethodMatching HTTPRouteQueryParamMatching",
    lambda site: [site.neutral(
        site.route(RouteMatch(path=SegmentPrefix(value=PathText("/p")), headers=(_header("x-v", Exactly(value=HeaderValue("2"))),)), to="b"),
        site.route(RouteMatch(path=SegmentPrefix(value=PathText("/p"))), to="a"),
        site.route(RouteMatch(path=SegmentPrefix(value=PathText("/p/q"))), to="b"),
        site.route(RouteMatch(path=ExactPath(value=PathText("/p/q/r"))), to="a"),
        site.route(RouteMatch(path=SegmentPrefix(value=PathText("/m")), methods=(Method("POST"),)), to="b"),
        site.route(RouteMatch(path=SegmentPrefix(value=PathText("/m")), headers=(_header("x-v", Exactly(value=HeaderValue("2"))),)), to="a"),
        site.route(RouteMatch(path=SegmentPrefix(value=PathText("/n")), headers=(_header("x-v", Exactly(value=HeaderValue("2"))), _header("x-w", Present()))), to="b"),
        site.route(RouteMatch(path=SegmentPrefix(value=PathText("/n")), headers=(_header("x-v", Exactly(value=HeaderValue("2"))),)), to="a"),
    )],
    row("/p", "a"), row("/p/x", "a"), row("/p", "b", headers=(("x-v", "2"),)), row("/p/x", "b", headers=(("x-v", "2"),)), row("/p/q", "b"), row("/p/q/s", "b"), row("/p/q/r", "a"), row("/p/q/r", "a", headers=(("x-v", "2"),)),
    row("/m", "b", method="POST"), row("/m", "b", method="POST", headers=(("x-v", "2"),)), row("/m", "a", headers=(("x-v", "2"),)), row("/m", 404), row("/n", 404), row("/n", "a", headers=(("x-v", "2"),)), row("/n", "b", headers=(("x-v", "2"), ("x-w", ""))), row("/n", 404, headers=(("x-w", ""),)),
)  # fmt: skip

SCHEMES = place(
    "schemes", "SchemeMatch",
    lambda site: _asked(site, scheme="http"),
    row("/", "b"), row("/x", "b", headers=(("x-forwarded-proto", "https"),)),
)  # fmt: skip

PLACES = (PATHS, ROOT, HOSTS, DEFAULTS, EXPRESSIONS, WHOLE, LETTERS, *HEADERS, COOKIES, *QUERIES, METHODS, ORDER, SCHEMES)
