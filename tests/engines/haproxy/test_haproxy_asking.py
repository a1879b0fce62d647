"""The constant script: whoever is asked first decides, and only what it says passes; copies, pages and cookies are what was wished, to the letter."""

from collections.abc import Iterator

import pytest

from weirkeeper.model.filters import (
    CookieRewrite,
    ErrorPages,
    ExternalAuth,
    HeaderValuePair,
    Mirror,
    PrefixPath,
    UrlRewrite,
)
from weirkeeper.model.text import HeaderName, HeaderValue, PathText
from weirkeeper.providers.haproxy import PROVIDER
from weirkeeper.testing.conformance import Rig, Site, Stage
from weirkeeper.testing.conformance.backends import Backends, running_backends
from weirkeeper.testing.conformance.stage import running_stage
from weirkeeper.testing.echo.answer import Request
from weirkeeper.testing.eventually import poll_until

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("haproxy-asking")]
ODD = '%[src] %% ${y} "q" \\1 $1 [[x]]'


@pytest.fixture(scope="module")
def backends() -> Iterator[Backends]:
    with running_backends() as found:
        yield found


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with running_stage(Rig(PROVIDER, options={"reload-milliseconds": "50"})) as found:
        yield found


@pytest.fixture
def site(stage: Stage, backends: Backends, request: pytest.FixtureRequest) -> Iterator[Site]:
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)[:40].strip("-")
    made = Site(stage, backends, name)
    made.apply(*made.service("a", backends.a.port), *made.service("b", backends.b.port))
    yield made
    made.clear()


def auth(site: Site, **fields: object) -> ExternalAuth:
    return ExternalAuth(backend=site.backend_id("b"), **{"path": PathText("/check"), **fields})  # type: ignore[arg-type]


def asked(site: Site) -> list[Request]:
    return [seen for seen in site.backends.b.requests if seen.host == site.host]


@pytest.mark.parametrize(("status", "told"), [(200, 200), (204, 200), (401, 401), (403, 403), (302, 500), (500, 500), (429, 500)])
def test_only_a_yes_lets_pass(site: Site, status: int, told: int) -> None:
    site.apply(site.neutral(site.route(auth=(auth(site, query=HeaderValue(f"status={status}")),))))
    got = site.until(lambda answer: answer.status != 404)
    assert got.status == told
    passed = [seen for seen in site.backends.a.requests if seen.host == site.host]
    assert bool(passed) == (told == 200)


def test_what_is_asked_and_what_is_told(site: Site) -> None:
    wished = auth(
        site,
        request_headers=(HeaderName("X-Also"),),
        response_headers=(HeaderName("X-User"),),
        headers=(HeaderValuePair(name=HeaderName("X-Odd"), value=HeaderValue(ODD)),),
    )
    site.apply(site.neutral(site.route(auth=(wished,))))
    site.answers("a")
    said = [("x-user", "forged"), ("x-also", "1"), ("x-other", "2"), ("cookie", "c=d"), ("x-forwarded-for", "203.0.113.9")]
    echo = site.get("/x?y=1", headers=said).echo
    question = asked(site)[-1]
    assert (question.method, question.path) == ("GET", "/check")
    assert question.header("x-original-url") == f"http://{site.host}/x?y=1"
    assert question.header("x-original-method") == "GET"
    assert question.header("x-auth-request-redirect") == "/x?y=1"
    assert question.header("x-odd") == ODD
    assert (question.header("x-also"), question.header("x-other"), question.header("cookie")) == ("1", None, "c=d")
    assert question.header("x-forwarded-for") == "127.0.0.1", "what a stranger says of its way is not told on"
    assert not [name for name, _ in question.headers if name.startswith("x-weirkeeper")]
    assert echo.header("x-user") is None, "a header of the service cannot be forged"


def test_cookies_of_the_service_reach_the_client(site: Site) -> None:
    site.apply(site.neutral(site.route(auth=(auth(site, request_headers=(HeaderName("x-echo-set-header"),)),))))
    site.answers("a")
    got = site.get(headers=[("x-echo-set-header", "set-cookie:s=1"), ("x-echo-set-header", "set-cookie:t=2")])
    assert {"s=1", "t=2"} <= set(got.all_headers("set-cookie"))


def test_a_service_that_is_away_lets_nobody_pass(site: Site) -> None:
    site.apply(*site.service("gone", 0), site.neutral(site.route(auth=(ExternalAuth(backend=site.backend_id("gone")),))))
    assert site.until(lambda answer: answer.status != 404).status >= 500
    assert not [seen for seen in site.backends.a.requests if seen.host == site.host]


def test_a_redirect_is_guarded_too(site: Site) -> None:
    site.apply(site.ingress({"permanent-redirect": "https://x.example/", "auth-url": f"http://b.{site.namespace}.svc.cluster.local/?status=401"}))
    assert site.until(lambda answer: answer.status != 404).status == 401


def test_a_copy_is_what_the_backend_sees(site: Site) -> None:
    rewrite = UrlRewrite(path=PrefixPath(value=PathText("/in")))
    site.apply(site.neutral(site.route(mirrors=(Mirror(backend=site.backend_id("b")),), rewrite=rewrite)))
    site.answers("a")
    site.get("/put?x=1", method="PUT", body=b"whole body", headers=[("x-mine", ODD)])
    poll_until(lambda: [seen for seen in asked(site) if seen.path == "/in/put?x=1"], what="the copy came")
    (copy,) = [seen for seen in asked(site) if seen.path == "/in/put?x=1"]
    assert (copy.method, copy.header("x-mine")) == ("PUT", ODD)
    assert copy.body == b"whole body"
    before = len(asked(site))
    assert site.get(method="POST", body=b"x" * 50_000).status == 200, "what is too large for a copy passes all the same"
    site.get("/last")
    poll_until(lambda: [seen for seen in asked(site) if seen.path == "/in/last"], what="the last copy came")
    assert len(asked(site)) == before + 1


def test_pages_answer_like_the_backend_that_makes_them(site: Site) -> None:
    pages = ErrorPages(codes=(404,), backend=site.backend_id("b"), headers=(HeaderValuePair(name=HeaderName("X-Odd"), value=HeaderValue(ODD)),))
    site.apply(site.neutral(site.route(error_pages=pages)))
    site.answers("a")
    got = site.get("/x?status=404")
    assert (got.echo.name, got.echo.header("x-odd"), got.echo.header("x-code")) == ("b", ODD, "404")
    assert site.get("/x?status=404", method="HEAD").text == ""
    assert site.get("/x?status=500").header("x-echo-name") == "a"


def test_every_cookie_is_rewritten_and_nothing_else(site: Site) -> None:
    rewrites = (
        CookieRewrite(attribute="path", old=HeaderValue("/in"), new=HeaderValue("/out")),
        CookieRewrite(attribute="domain", old=HeaderValue("in.example"), new=HeaderValue("out.example")),
    )
    site.apply(site.neutral(site.route(cookie_rewrites=rewrites)))
    site.answers("a")
    told = ["a=/in; Path=/in/x", "b=1; Domain=.in.example; Path=/other; Secure", "c=path=/in"]
    got = site.get(headers=[("x-echo-set-header", f"set-cookie:{text}") for text in told])
    assert got.all_headers("set-cookie") == ["a=/in; Path=/out/x", "b=1; Domain=out.example; Path=/other; Secure", "c=path=/in"]
