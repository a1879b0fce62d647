"""What a route does to requests and answers: headers, rewrites, redirects, copies, limits of time, pages of its own."""

from weirkeeper.model.backend import RetryBudget
from weirkeeper.model.filters import (
    FullPath,
    HeaderEdit,
    HeaderValuePair,
    Mirror,
    PrefixPath,
    RegexSubstitution,
    Retry,
    Timeouts,
    UrlRewrite,
)
from weirkeeper.model.match import RouteMatch, SegmentPrefix
from weirkeeper.model.route import Forward, Redirect, Respond, WeightedBackend
from weirkeeper.model.text import BodyText, HeaderName, HeaderValue, PathText, RegexText, Substitution
from weirkeeper.model.value import Fraction, Milliseconds
from weirkeeper.testing.conformance.scenario import Ask, needs
from weirkeeper.testing.conformance.site import Manifest, Site
from weirkeeper.testing.echo import EchoServer
from weirkeeper.testing.eventually import poll_until

ODD = '%REQ(x)% %% ${y} {http.request.host} "q" \\1 $1'
EDIT = HeaderEdit(
    set=(HeaderValuePair(name=HeaderName("X-Set"), value=HeaderValue(ODD)),),
    add=(HeaderValuePair(name=HeaderName("X-Add"), value=HeaderValue("2")),),
    remove=(HeaderName("X-Gone"),),
)


def came(echo: EchoServer, host: str) -> int:
    """How many requests for that host the backend has had."""
    return sum(1 for seen in echo.requests if seen.host == host)


def _below(path: str) -> RouteMatch:
    return RouteMatch(path=SegmentPrefix(value=PathText(path)))


@needs(
    "request headers are set, added and removed, to the letter",
    "HTTPRouteRequestHeaderModification",
    lambda site: [site.neutral(site.route(request_headers=EDIT))],
)
def request_headers(site: Site) -> None:
    site.answers("a")
    echo = site.get(headers=[("X-Set", "1"), ("X-Add", "1"), ("X-Gone", "1")]).echo
    assert echo.all_headers("x-set") == [ODD]
    assert ",".join(echo.all_headers("x-add")).replace(" ", "") == "1,2"
    assert echo.header("x-gone") is None


@needs(
    "answer headers are set, added and removed, to the letter",
    "HTTPRouteResponseHeaderModification",
    lambda site: [site.neutral(site.route(response_headers=EDIT))],
)
def response_headers(site: Site) -> None:
    site.answers("a")
    wished = [("x-echo-set-header", text) for text in ("X-Set:1", "X-Add:1", "X-Gone:1")]
    got = site.get(headers=wished)
    assert got.all_headers("x-set") == [ODD]
    assert ",".join(got.all_headers("x-add")).replace(" ", "") == "1,2"
    assert got.header("x-gone") is None


@needs(
    "request headers are edited for one backend",
    "HTTPRouteBackendRequestHeaderModification",
    lambda site: [
        site.neutral(
            site.route(to=Forward(backends=(WeightedBackend(backend=site.backend_id("a"), request_headers=EDIT),)))
        )
    ],
)
def backend_headers(site: Site) -> None:
    assert site.answers("a").echo.all_headers("x-set") == [ODD]


@needs(
    "the backend sees another host",
    "HTTPRouteHostRewrite",
    lambda site: [site.ingress({"upstream-vhost": "inner.example:81"})],
)
def host_rewrite(site: Site) -> None:
    assert site.answers("a").echo.host == "inner.example:81"


@needs(
    "the matched prefix is replaced, or the whole path",
    "HTTPRoutePathRewrite",
    lambda site: [
        site.neutral(
            site.route(_below("/old"), rewrite=UrlRewrite(path=PrefixPath(value=PathText("/new/er")))),
            site.route(_below("/root"), rewrite=UrlRewrite(path=PrefixPath(value=PathText("/")))),
            site.route(_below("/all"), rewrite=UrlRewrite(path=FullPath(value=PathText("/one%20page")))),
        )
    ],
    probe=Ask(path="/old/x"),
)
def path_rewrite(site: Site) -> None:
    assert site.answers("a", "/old/x?q=1").echo.path == "/new/er/x?q=1"
    paths = {path: site.get(path).echo.path for path in ("/old", "/root/x", "/root", "/all/x?q=1")}
    assert paths == {"/old": "/new/er", "/root/x": "/x", "/root": "/", "/all/x?q=1": "/one%20page?q=1"}


@needs(
    "the path is rewritten by regular expression",
    "RegexPathMatch RegexPathRewrite",
    lambda site: [
        site.ingress(
            {"rewrite-target": "/$2/to/$1"}, paths=[("/from/([a-z]+)/([0-9]+)", "ImplementationSpecific", "a")]
        ),
        site.ingress(name="ready", host="ready." + site.host, paths=[("/.ready", "Exact", "b")]),
    ],
    probe=Ask(path="/from/x/1"),
    matching=True,
    ready="ready.",
)
def regex_rewrite(site: Site) -> None:
    assert site.answers("a", "/from/shop/12?q=%REQ(x)%").echo.path == "/12/to/shop?q=%REQ(x)%"


@needs(
    "a redirect to HTTPS",
    "SchemeMatch HTTPRouteSchemeRedirect HTTPRoutePortRedirect",
    lambda site: [site.ingress({"force-ssl-redirect": "true"})],
)
def scheme_redirect(site: Site) -> None:
    got = site.until(lambda answer: answer.status == 308, "/x?q=1")
    assert got.header("location") == f"https://{site.host}:{site.stage.https_port}/x?q=1"


@needs(
    "a redirect to another port",
    "HTTPRoutePortRedirect",
    lambda site: [site.neutral(site.route(to=Redirect(port=8123, status=307)))],
)
def port_redirect(site: Site) -> None:
    got = site.until(lambda answer: answer.status == 307, "/x?q=1")
    assert got.header("location") == f"http://{site.host}:8123/x?q=1"


@needs(
    "a redirect to another path",
    "HTTPRoutePathRedirect",
    lambda site: [site.ingress({"app-root": "/start"})],
)
def path_redirect(site: Site) -> None:
    got = site.until(lambda answer: answer.status == 302)
    assert (got.header("location") or "").removeprefix(f"http://{site.host}") == "/start"
    assert site.get("/x").header("x-echo-name") == "a"


@needs(
    "a redirect that rewrites the path by regular expression",
    "HTTPRoutePathRedirect RegexPathRewrite",
    lambda site: [
        site.neutral(
            site.route(
                to=Redirect(
                    status=301,
                    path=RegexSubstitution(pattern=RegexText("^/v1/(.*)"), substitution=Substitution("/v2/\\1")),
                )
            )
        )
    ],
)
def regex_redirect(site: Site) -> None:
    got = site.until(lambda answer: answer.status == 301, "/v1/x")
    assert (got.header("location") or "").removeprefix(f"http://{site.host}") == "/v2/x"


@needs(
    "every request is copied",
    "HTTPRouteRequestMirror",
    lambda site: [site.ingress({"mirror-target": f"http://b.{site.namespace}.svc.cluster.local:80"})],
)
def mirror(site: Site) -> None:
    site.answers("a")
    poll_until(lambda: any(site.namespace in seen.host for seen in site.backends.b.requests), what="a copy came")


@needs(
    "a share of requests is copied",
    "HTTPRouteRequestMirror HTTPRouteRequestPercentageMirror",
    lambda site: [
        site.neutral(
            site.route(
                mirrors=(
                    Mirror(backend=site.backend_id("b"), share=Fraction(numerator=100)),
                    Mirror(backend=site.backend_id("a"), share=Fraction(numerator=0)),
                )
            )
        )
    ],
)
def share_mirror(site: Site) -> None:
    site.answers("a")
    echo_b, echo_a = site.backends.b, site.backends.a
    poll_until(lambda: any(site.namespace in seen.host for seen in echo_b.requests), what="a copy came")
    before = sum(1 for seen in echo_a.requests if site.namespace in seen.host)
    site.get()
    assert sum(1 for seen in echo_a.requests if site.namespace in seen.host) == before + 1


@needs(
    "a request takes too long",
    "HTTPRouteRequestTimeout",
    lambda site: [site.neutral(site.route(timeouts=Timeouts(request=Milliseconds(300))))],
)
def request_timeout(site: Site) -> None:
    site.answers("a")
    assert site.get("/?delay=5").status == 504


@needs(
    "a try at a backend takes too long",
    "HTTPRouteBackendTimeout",
    lambda site: [site.neutral(site.route(timeouts=Timeouts(backend_request=Milliseconds(300))))],
)
def backend_timeout(site: Site) -> None:
    site.answers("a")
    assert site.get("/?delay=5").status == 504


@needs("a stream without bytes ends", "IdleTimeout", lambda site: [site.ingress({"proxy-read-timeout": "1"})])
def idle_timeout(site: Site) -> None:
    site.answers("a")
    assert site.get("/?delay=6").status in {408, 504}


@needs(
    "a failed request is tried again",
    "HTTPRouteRetry",
    lambda site: [site.ingress({"proxy-next-upstream": "error http_503", "proxy-next-upstream-tries": "3"})],
)
def retry(site: Site) -> None:
    site.answers("a")
    before = came(site.backends.a, site.host)
    assert site.get("/?status=503").status == 503
    assert came(site.backends.a, site.host) - before == 3
    assert site.get("/?status=500").status == 500
    assert came(site.backends.a, site.host) - before == 4


def _budgets(site: Site) -> Manifest:
    again = Retry(attempts=2, statuses=(503,))
    budgets = {"some": RetryBudget(percent=100, at_least=10), "none": RetryBudget(percent=0, at_least=0)}
    return site.neutral(
        *(site.route(_below(f"/{name}"), to=name, retry=again) for name in budgets),
        backends=[site.backend(name, retry_budget=budget) for name, budget in budgets.items()],
        endpoints=dict.fromkeys(budgets, (site.backends.a.port,)),
    )


@needs(
    "the share of requests that may be retries is limited",
    "HTTPRouteRetry RetryBudget",
    lambda site: [_budgets(site)],
    probe=Ask(path="/none"),
)
def retry_budget(site: Site) -> None:
    for path, tries in (("/some", 3), ("/none", 1 if site.exact("RetryBudget") else 3)):
        site.answers("a", path)
        before = came(site.backends.a, site.host)
        assert site.get(f"{path}?status=503").status == 503
        assert came(site.backends.a, site.host) - before == tries, path


@needs(
    "an answer of the load balancer's own, to the letter",
    "DirectResponse",
    lambda site: [
        site.neutral(site.route(to=Respond(status=418, body=BodyText(ODD), content_type=HeaderValue("text/x-odd"))))
    ],
)
def direct_response(site: Site) -> None:
    got = site.until(lambda answer: answer.status == 418)
    assert (got.text, got.header("content-type")) == (ODD, "text/x-odd")


@needs(
    "error answers are replaced by another backend's",
    "CustomErrorPages",
    lambda site: [site.ingress({"custom-http-errors": "404,503", "default-backend": "b"})],
)
def error_pages(site: Site) -> None:
    site.answers("a")
    page = site.get("/x?status=404", headers=(("accept", "text/html"),)).echo
    assert (page.name, page.path, page.host) == ("b", "/", site.host)
    told = {name: page.header("x-" + name) for name in ("code", "format", "original-uri", "namespace", "ingress-name")}
    assert told == {
        "code": "404",
        "format": "text/html",
        "original-uri": "/x?status=404",
        "namespace": site.namespace,
        "ingress-name": "main",
    }
    assert (page.header("x-service-name"), page.header("x-service-port")) == ("a", "80")
    assert site.get("/?status=403").header("x-echo-name") == "a"


@needs(
    "a default backend answers where a Service has no endpoints",
    "CustomErrorPages",
    lambda site: [
        *site.service("none"),
        site.ingress({"default-backend": "b"}, paths=[("/", "Prefix", "none"), ("/a", "Prefix", "a")]),
    ],
)
def default_backend(site: Site) -> None:
    site.answers("a", "/a")
    assert site.get().header("x-echo-name") == "b"
    assert site.get("/a?status=503").header("x-echo-name") == "a"


@needs(
    "cross-origin requests are answered by policy",
    "HTTPRouteCORS",
    lambda site: [
        site.ingress(
            {"enable-cors": "true", "cors-allow-origin": "https://ok.example", "cors-allow-methods": "GET, PUT"}
        )
    ],
)
def cors(site: Site) -> None:
    asked = (("access-control-request-method", "PUT"),)
    origin, other = ("origin", "https://ok.example"), ("origin", "https://evil.example")
    got = site.until(
        lambda answer: answer.header("access-control-allow-origin") == "https://ok.example",
        method="OPTIONS",
        headers=(origin, *asked),
    )
    assert "PUT" in (got.header("access-control-allow-methods") or "")
    simple = site.get(headers=(origin,))
    assert simple.header("access-control-allow-origin") == "https://ok.example", simple
    assert site.get(headers=(other,)).header("access-control-allow-origin") is None


@needs(
    "cookie paths are rewritten",
    "CookieRewrite",
    lambda site: [site.ingress({"proxy-cookie-path": "/inner /outer"})],
)
def cookie_rewrite(site: Site) -> None:
    site.answers("a")
    got = site.get(headers=(("x-echo-set-header", "set-cookie:a=b; Path=/inner"),))
    assert "/outer" in (got.header("set-cookie") or "")


@needs(
    "Location headers are rewritten",
    "LocationRewrite",
    lambda site: [site.ingress({"proxy-redirect-from": "http://inner/", "proxy-redirect-to": "/"})],
)
def location_rewrite(site: Site) -> None:
    site.answers("a")
    got = site.get("/?status=302", headers=(("x-echo-set-header", "location:http://inner/x"),))
    assert got.header("location") == "/x"


@needs(
    "the prefix is told to the backend", "PrefixXForwarded", lambda site: [site.ingress({"x-forwarded-prefix": "/pre"})]
)
def forwarded_prefix(site: Site) -> None:
    assert site.answers("a").echo.header("x-forwarded-prefix") == "/pre"


@needs("a patch of one engine's own", "NativePatch", lambda site: [site.neutral(site.route(native=(("any", "{}"),)))])
def native(site: Site) -> None:
    site.answers("a")


@needs("a request is not logged", "RouteAccessLog", lambda site: [site.ingress({"enable-access-log": "false"})])
def access_log(site: Site) -> None:
    site.answers("a")
