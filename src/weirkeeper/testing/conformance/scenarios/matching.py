"""What a route may ask of a request: paths beyond exact and prefix, headers, queries, methods, scheme, source."""

from weirkeeper.kube.types import KubeObject
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
    RouteMatch,
    StringPrefix,
)
from weirkeeper.model.route import Route
from weirkeeper.model.text import Cidr, HeaderName, HeaderValue, Method, PathText, QueryName, QueryValue, RegexText
from weirkeeper.testing.conformance.scenario import Ask, needs
from weirkeeper.testing.conformance.site import Site


def _header(
    name: str, match: Exactly | Matches | Present | Contains | BeginsWith, *, inverted: bool = False
) -> HeaderMatch:
    return HeaderMatch(name=HeaderName(name), match=match, inverted=inverted)


def _else(site: Site, match: RouteMatch) -> list[KubeObject]:
    """What matches goes to `a`, all else to `b`."""
    return [site.neutral(site.route(match), site.route(to="b"), _ready(site))]


def _ready(site: Site) -> Route:
    return site.route(RouteMatch(path=ExactPath(value=PathText("/.ready"))), to="b")


def _goes(
    site: Site, to: str, path: str = "/", *, method: str = "GET", headers: tuple[tuple[str, str], ...] = ()
) -> None:
    got = site.get(path, method=method, headers=headers)
    assert got.header("x-echo-name") == to, (path, method, headers, got.status)


@needs(
    "a path by regular expression",
    "RegexPathMatch",
    lambda site: [
        site.ingress({"use-regex": "true"}, paths=[("/item/[0-9]+", "ImplementationSpecific", "a")]),
        site.ingress(name="ready", host="ready." + site.host, paths=[("/.ready", "Exact", "b")]),
    ],
    probe=Ask(path="/item/1"),
    matching=True,
    ready="ready.",
)
def regex_path(site: Site) -> None:
    site.answers("a", "/item/42")
    assert [site.get(path).status for path in ("/item/x", "/item/", "/x/item/4")] == [404, 404, 404]


@needs(
    "a path by its first letters",
    "StringPrefixPathMatch",
    lambda site: [site.neutral(site.route(RouteMatch(path=StringPrefix(value=PathText("/app")))), _ready(site))],
    probe=Ask(path="/apple"),
    matching=True,
)
def string_prefix(site: Site) -> None:
    site.answers("a", "/apple")
    assert [site.get(path).status for path in ("/app", "/app/x", "/ap")] == [200, 200, 404]


@needs(
    "a header with a value",
    "HTTPRouteHeaderMatching",
    lambda site: _else(site, RouteMatch(headers=(_header("X-Version", Exactly(value=HeaderValue("2"))),))),
    probe=Ask(headers=(("x-version", "2"),)),
    matching=True,
)
def header(site: Site) -> None:
    site.answers("a", headers=(("x-version", "2"),))
    _goes(site, "b")
    _goes(site, "b", headers=(("x-version", "22"),))


@needs(
    "a header that is there, begins, contains, or is not there",
    "HTTPRouteHeaderMatching",
    lambda site: _else(
        site,
        RouteMatch(
            headers=(
                _header("X-There", Present()),
                _header("X-Begins", BeginsWith(value=HeaderValue("be"))),
                _header("X-Contains", Contains(value=HeaderValue("tai"))),
                _header("X-Absent", Present(), inverted=True),
            )
        ),
    ),
    probe=Ask(headers=(("x-there", ""), ("x-begins", "begin"), ("x-contains", "contains"))),
    matching=True,
)
def header_kinds(site: Site) -> None:
    full = (("x-there", "1"), ("x-begins", "begin"), ("x-contains", "contains"))
    site.answers("a", headers=full)
    _goes(site, "b", headers=(*full, ("x-absent", "no")))
    for left_out in range(3):
        _goes(site, "b", headers=tuple(one for number, one in enumerate(full) if number != left_out))


@needs(
    "a header by regular expression",
    "HTTPRouteHeaderMatching RegexHeaderMatch",
    lambda site: _else(site, RouteMatch(headers=(_header("X-User", Matches(value=RegexText("[a-z]+[0-9]"))),))),
    probe=Ask(headers=(("x-user", "ann1"),)),
    matching=True,
)
def regex_header(site: Site) -> None:
    site.answers("a", headers=(("x-user", "ann1"),))
    _goes(site, "b", headers=(("x-user", "ann12"),))
    _goes(site, "b", headers=(("x-user", "1"),))


@needs(
    "a cookie with a value",
    "HTTPRouteHeaderMatching",
    lambda site: _else(site, RouteMatch(cookies=(CookieMatch(name=HeaderName("taste"), value=HeaderValue("new")),))),
    probe=Ask(headers=(("cookie", "taste=new"),)),
    matching=True,
)
def cookie(site: Site) -> None:
    site.answers("a", headers=(("cookie", "other=1; taste=new"),))
    _goes(site, "b", headers=(("cookie", "taste=newer"),))
    _goes(site, "b", headers=(("cookie", "nottaste=new"),))


@needs(
    "query parameters",
    "HTTPRouteQueryParamMatching",
    lambda site: _else(
        site,
        RouteMatch(
            query=(
                QueryMatch(name=QueryName("q"), match=QueryExactly(value=QueryValue("1"))),
                QueryMatch(name=QueryName("there"), match=QueryPresent()),
                QueryMatch(name=QueryName("r"), match=QueryMatches(value=RegexText("[0-9]+"))),
            )
        ),
    ),
    probe=Ask(path="/?q=1&there=&r=7"),
    matching=True,
)
def query(site: Site) -> None:
    site.answers("a", "/?q=1&there=x&r=77")
    for path in ("/?q=2&there=x&r=7", "/?q=1&r=7", "/?q=1&there=x&r=7x", "/"):
        _goes(site, "b", path)


@needs(
    "methods",
    "HTTPRouteMethodMatching",
    lambda site: _else(site, RouteMatch(methods=(Method("POST"), Method("PUT")))),
    probe=Ask(method="PUT"),
    matching=True,
)
def methods(site: Site) -> None:
    site.answers("a", method="POST")
    _goes(site, "a", method="PUT")
    _goes(site, "b", method="GET")


@needs(
    "the scheme that the client came by",
    "SchemeMatch",
    lambda site: _else(site, RouteMatch(scheme="http")),
    matching=True,
)
def scheme(site: Site) -> None:
    site.answers("a")


@needs(
    "the client's address",
    "SourceIpMatch",
    lambda site: _else(site, RouteMatch(source=(Cidr("127.0.0.0/8"),))),
    matching=True,
)
def source(site: Site) -> None:
    site.answers("a")


@needs(
    "a host by regular expression",
    "RegexHostMatch",
    lambda site: _else(site, RouteMatch(host_regex=RegexText("[a-z-]+\\.example"))),
    matching=True,
)
def regex_host(site: Site) -> None:
    site.answers("a")
