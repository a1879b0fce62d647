"""Answers that are replaced or rewritten, by real traffic through a real Envoy: error pages, sign-in, cookies, locations; however the host is written."""

from collections.abc import Iterator
from typing import Any

import pytest
from served import World, answering, route, served

from weirkeeper.model.filters import (
    BasicAuth,
    CookieRewrite,
    Credentials,
    ErrorPages,
    ExternalAuth,
    HeaderValuePair,
    LocalRateLimit,
    LocationRewrite,
)
from weirkeeper.model.secret import Secret
from weirkeeper.providers.envoy import EnvoyOptions
from weirkeeper.testing.client import Response, get
from weirkeeper.testing.echo import echo_thread
from weirkeeper.testing.ports import free_port

pytestmark = pytest.mark.engine

FORMS = ("{}.example", "{}.EXAMPLE", "x.{}.wild", "X.{}.Wild.:80")
TOLD: Any = (
    HeaderValuePair(name="X-Namespace", value="shop %REQ(x)%"),
    HeaderValuePair(name="X-Service-Name", value='"]]--'),
)  # type: ignore[arg-type]
PAGES: Any = ErrorPages(codes=(404, 503), backend="pages", headers=TOLD)  # type: ignore[arg-type]
OWN: Any = ErrorPages(codes=(), own_codes=(503,), backend="pages")  # type: ignore[arg-type]
COOKIES: Any = (
    CookieRewrite(attribute="path", old="/inner/", new="/outer%/"),  # type: ignore[arg-type]
    CookieRewrite(attribute="domain", old="Inner.example", new="outer.example"),  # type: ignore[arg-type]
)
SIGN_IN: Any = ExternalAuth(backend="auth", path="/verify", query="status=401", sign_in="https://in.example/go?a=%1")  # type: ignore[arg-type]
ROUTES: Any = {
    "pages": route("pages", error_pages=PAGES),
    "empty": route("empty", to="nobody", error_pages=PAGES),
    "own": route("own", error_pages=OWN),
    "own-empty": route("own-empty", to="nobody", error_pages=OWN),
    "no-page": route("no-page", error_pages=ErrorPages(codes=(404,), backend="nobody")),  # type: ignore[arg-type]
    "limited": route(
        "limited",
        error_pages=PAGES,
        rate_limits=(LocalRateLimit(amount=1, per=3_600_000, burst=0, status=503),),  # type: ignore[arg-type]
    ),
    "sign-in": route("sign-in", auth=(SIGN_IN,)),
    "signed-in": route("signed-in", auth=(ExternalAuth(backend="auth", sign_in="/login", sign_in_parameter="back"),)),  # type: ignore[arg-type]
    "cookies": route("cookies", cookie_rewrites=COOKIES),
    "location": route("location", location_rewrites=(LocationRewrite(old="http://inner:80/%", new="/out/"),)),  # type: ignore[arg-type]
    "basic": route(
        "basic",
        auth=(BasicAuth(users=(Credentials(user="u", hash=Secret("{SHA}x")),)),),
        error_pages=PAGES,  # type: ignore[arg-type]
    ),
    "open": route("open"),
}


@pytest.fixture(scope="module", params=["scoped", "rds"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    world, port = World(EnvoyOptions(ipv6=False, layout=request.param, access_log=None)), free_port()
    world.listener("http", port)
    with echo_thread(name="a") as a, echo_thread(name="auth") as auth, echo_thread(name="pages") as pages:
        for name, server in {"a": a, "auth": auth, "pages": pages}.items():
            world.backend(name, server.port)
        world.backend("nobody")
        for name, made in ROUTES.items():
            world.host(f"{name}.example", made)
            world.host(f"*.{name}.wild", made)
        with served(world) as (_, told):
            answering(port, "http://open.example/", told)
            assert told.refusals == []
            yield port


def ask(port: int, form: str, name: str, path: str = "/", **more: Any) -> Response:
    got = get(f"http://{form.format(name)}{path}", via=port, **more)
    assert got.header("x-weir-details") is None
    return got


@pytest.mark.parametrize("form", FORMS)
def test_an_error_answer_is_replaced_by_the_page(port: int, form: str) -> None:
    sent = [("Accept", "text/html"), ("x-echo-set-header", "x-of-backend:1")]
    got = ask(port, form, "pages", "/x?status=404&y=%20", headers=sent)
    assert got.status == 200, "the status is what the pages' backend says"
    page = got.echo
    assert (page.name, page.method, page.path) == ("pages", "GET", "/")
    assert page.host.lower().rstrip(".:80") == form.format("pages").lower().rstrip(".:80")
    told = {
        name: page.header(name) for name in ("X-Code", "X-Format", "X-Original-URI", "X-Namespace", "X-Service-Name")
    }
    assert told == {
        "X-Code": "404",
        "X-Format": "text/html",
        "X-Original-URI": "/x?status=404&y=%20",
        "X-Namespace": "shop %REQ(x)%",
        "X-Service-Name": '"]]--',
    }
    assert page.header("X-Request-ID")
    assert got.header("content-type") == "application/json"


@pytest.mark.parametrize("form", FORMS)
def test_other_answers_stay(port: int, form: str) -> None:
    for status in (200, 403, 500):
        got = ask(port, form, "pages", f"/?status={status}")
        assert (got.status, got.header("x-echo-name")) == (status, "a")


@pytest.mark.parametrize("size", [0, 1, 40_000, 900_000])
def test_answers_of_any_size_are_replaced(port: int, size: int) -> None:
    got = ask(port, "{}.example", "pages", f"/?status=503&bytes={size}")
    assert (got.status, got.echo.name) == (200, "pages")


def test_an_answer_without_a_body_to_head(port: int) -> None:
    got = ask(port, "{}.example", "pages", "/?status=404", method="HEAD")
    assert (got.status, got.header("x-echo-name"), got.text) == (200, "pages", "")


def test_a_posted_body_is_not_sent_on(port: int) -> None:
    page = ask(port, "{}.example", "pages", "/?status=404", method="POST", body=b"secret").echo
    assert (page.name, page.method, page.body) == ("pages", "GET", "")


@pytest.mark.parametrize("form", FORMS)
def test_without_endpoints_the_page_answers(port: int, form: str) -> None:
    for name in ("empty", "own-empty"):
        got = ask(port, form, name)
        assert (got.status, got.echo.name, got.echo.header("X-Code")) == (200, "pages", "503")
    assert ask(port, form, "own", "/?status=503").header("x-echo-name") == "a", "a backend's own 503 stays"


def test_refusals_of_the_load_balancer_are_replaced(port: int) -> None:
    seen = [ask(port, "{}.example", "limited").header("x-echo-name") for _ in range(3)]
    assert seen == ["a", "pages", "pages"]


def test_a_page_that_cannot_be_had(port: int) -> None:
    assert ask(port, "{}.example", "no-page", "/?status=404").status == 503


@pytest.mark.parametrize("form", FORMS)
def test_who_is_not_signed_in_is_sent_to_sign_in(port: int, form: str) -> None:
    got = ask(port, form, "sign-in", "/x?y=1&z=%2F", headers=[("x-echo-set-header", "set-cookie:csrf=1")])
    host = form.format("sign-in")
    assert got.status == 302
    location = got.header("location") or ""
    assert location.startswith("https://in.example/go?a=%1&rd=http%3A%2F%2F"), location
    assert location.endswith("%2Fx%3Fy%3D1%26z%3D%252F"), location
    assert host.partition(".")[0].lower() in location.lower()
    assert got.text == ""
    assert ask(port, form, "sign-in", "/").header("x-echo-name") != "a"


@pytest.mark.parametrize("form", FORMS)
def test_who_is_signed_in_passes(port: int, form: str) -> None:
    assert ask(port, form, "signed-in").echo.name == "a"
    got = ask(port, form, "signed-in", "/?status=401")
    assert (got.status, got.header("x-echo-name"), got.header("location")) == (401, "a", None), "the backend's own 401"


@pytest.mark.parametrize("form", FORMS)
def test_cookies(port: int, form: str) -> None:
    sent = [
        ("x-echo-set-header", "set-cookie:a=1; Path=/inner/x; HttpOnly"),
        ("x-echo-set-header", "set-cookie:b=/inner/; domain=.inner.EXAMPLE; Secure"),
        ("x-echo-set-header", "set-cookie:c=3"),
    ]
    got = ask(port, form, "cookies", headers=sent)
    assert [value for name, value in got.headers if name.lower() == "set-cookie"] == [
        "a=1; Path=/outer%/x; HttpOnly",
        "b=/inner/; domain=outer.example; Secure",
        "c=3",
    ]


@pytest.mark.parametrize("form", FORMS)
def test_locations(port: int, form: str) -> None:
    def location(sent: str) -> str | None:
        return ask(port, form, "location", "/?status=302", headers=[("x-echo-set-header", f"location:{sent}")]).header(
            "location"
        )

    assert location("http://inner:80/%x") == "/out/x"
    assert location("http://inner:81/%x") == "http://inner:81/%x"
    assert ask(port, form, "location").header("location") is None


def test_routes_without_wishes_are_as_they_were(port: int) -> None:
    got = ask(port, "{}.example", "open", "/?status=404", headers=[("x-weir-details", "1")])
    assert (got.status, got.header("x-echo-name"), got.echo.header("x-weir-details")) == (404, "a", "1")
