"""Guards hold however a host is written and whichever layout serves it: exact, upper case, with a port, under a wildcard.

A request that finds no scope at first gets its filters before its route is known; these tests keep that from opening a door.
"""

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from served import World, answering, route, served

from weirkeeper.model.backend import RequestAs
from weirkeeper.model.filters import (
    BasicAuth,
    CookieAffinity,
    Credentials,
    Deny,
    ExternalAuth,
    HeaderValuePair,
    IpRules,
    LocalRateLimit,
)
from weirkeeper.model.match import RouteMatch, SegmentPrefix
from weirkeeper.model.route import Respond
from weirkeeper.model.secret import Secret
from weirkeeper.providers.envoy import EnvoyOptions
from weirkeeper.providers.envoy.translate import pieces
from weirkeeper.testing.client import Response, get
from weirkeeper.testing.echo import EchoServer, echo_thread
from weirkeeper.testing.ports import free_port

pytestmark = pytest.mark.engine

FORMS = (
    "{}.example",
    "{}.EXAMPLE",
    "{}.example:80",
    "{}.example.",
    "{}.Example.:80",
    "x.{}.wild",
    "X.{}.Wild",
    "x.{}.wild:8080",
    "X.{}.wild.",
)
FORGED = [
    ("x-weir-state", "done weir.basic weir.auth weir.buffer"),
    ("x-weir-scope", "default|open.example"),
]


def sha(password: str) -> str:
    return "{SHA}" + base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()


LOGIN = ("Authorization", "Basic " + base64.b64encode(b"u:p").decode())
TOLD = (HeaderValuePair(name="X-Tenant", value="%REQ(x)% $a"),)
GUARDED = {
    "basic": route("basic", auth=(BasicAuth(users=(Credentials(user="u", hash=Secret(sha("p"))),)),)),
    "weak": route("weak", auth=(BasicAuth(users=(Credentials(user="u", hash=Secret("$2y$05$abc")),)),)),
    "refused": route("refused", auth=(ExternalAuth(backend="auth", path="/verify", query="status=403"),)),
    "allowed": route(
        "allowed", auth=(ExternalAuth(backend="auth", path="/verify", response_headers=("x-echo-name",)),)
    ),
    "redirect": route(
        "redirect", auth=(ExternalAuth(backend="auth", query="status=403", redirect="/to/%REQ(x)%", headers=TOLD),)
    ),
    "as": route("as", auth=(ExternalAuth(backend="auth-as", query="status=403"),)),
    "gone": route("gone", auth=(ExternalAuth(backend="nowhere"),)),
    "ip": route("ip", ip_rules=IpRules(deny=("127.0.0.0/8",))),
    "ip-ok": route("ip-ok", ip_rules=IpRules(allow=("127.0.0.0/8", "::1"), deny=("10.0.0.0/8",))),
    "ip-odd": route("ip-odd", ip_rules=IpRules(allow=("127.0.0",))),
    "body": route("body", body_limit=10),
    "rate": route("rate", rate_limits=(LocalRateLimit(amount=2, per=3_600_000, burst=1, status=429),)),
    "rate-outside": route(
        "rate-outside",
        rate_limits=(
            LocalRateLimit(amount=1, per=3_600_000, burst=0, status=429, except_from=("127.0.0.0/8", "::1/128")),
            LocalRateLimit(amount=3, per=3_600_000, burst=0, status=429),
        ),
    ),
    "rate-inside": route(
        "rate-inside",
        rate_limits=(LocalRateLimit(amount=1, per=3_600_000, burst=0, status=429, except_from=("10.0.0.0/8",)),),
    ),
    "realm": route(
        "realm", auth=(BasicAuth(users=(Credentials(user="u", hash=Secret(sha("p"))),), realm="the %REQ(x)% shop"),)
    ),
    "sticky": route("sticky", affinity=CookieAffinity(name="stick", same_site="Lax", ttl=60_000)),
    "denied": route("denied", auth=(Deny(status=503),)),
    "open": route("open"),
}


LAYOUTS = {
    "scoped": EnvoyOptions(ipv6=False, access_log=None),
    "rds": EnvoyOptions(ipv6=False, access_log=None, layout="rds"),
    "pieces": EnvoyOptions(ipv6=False, access_log=None, pieces_from=1),
}


@pytest.fixture(scope="module", params=LAYOUTS)
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pieces, "WORTH", 0)  # a host of one route in pieces as well
        yield from serving(World(LAYOUTS[request.param]))


def serving(world: World) -> Iterator[int]:
    port = free_port()
    world.listener("http", port)
    with echo_thread(name="a") as a, echo_thread(name="auth") as auth, echo_thread(name="other") as other:
        echoes: dict[str, EchoServer] = {"a": a, "auth": auth, "other": other}
        for name, server in echoes.items():
            world.backend(name, server.port)
        world.backend("nowhere")
        world.backend("auth-as", auth.port, requests_as=RequestAs(host="%REQ(x)%.internal:81", method="PATCH"))
        for name, guarded in GUARDED.items():
            world.host(f"{name}.example", guarded)
            world.host(f"*.{name}.wild", guarded)
        world.host("*.one.example", route("one", match=RouteMatch(path=SegmentPrefix(value="/x"))), wildcard_labels=1)
        world.host("*", route("rest", to="other"))
        with served(world) as (_, told):
            answering(port, "http://open.example/", told)
            assert told.refusals == []
            yield port


def ask(port: int, form: str, name: str, **more: object) -> Response:
    return get(f"http://{form.format(name)}/orig?y=1", via=port, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", FORMS)
def test_basic_auth(port: int, form: str) -> None:
    assert ask(port, form, "basic").status == 401
    assert ask(port, form, "basic", headers=FORGED).status == 401
    assert ask(port, form, "basic", headers=[("Authorization", LOGIN[1][:-2] + "xx")]).status == 401
    assert ask(port, form, "basic", headers=[LOGIN]).echo.name == "a"
    assert ask(port, form, "weak", headers=[LOGIN]).status == 500, "a hash that Envoy cannot compare lets nobody in"


@pytest.mark.parametrize("form", FORMS)
def test_external_auth(port: int, form: str) -> None:
    assert ask(port, form, "refused").status == 403
    assert ask(port, form, "refused", headers=FORGED).status == 403
    assert ask(port, form, "gone").status == 500, "a service that is away lets nobody in"
    assert ask(port, form, "refused").echo.path == "/verify?status=403"
    assert ask(port, form, "refused").echo.header("x-auth-request-redirect") == "/orig?y=1"
    told = ask(port, form, "redirect", headers=[("X-Tenant", "forged"), ("X-Other", "1")]).echo
    assert told.header("x-auth-request-redirect") == "/to/%REQ(x)%"
    assert told.all_headers("x-tenant") == ["%REQ(x)% $a"]
    assert told.header("x-other") is None, "only what ingress-nginx's services read is asked with"
    asked = ask(port, form, "as", method="POST", body=b"x").echo
    assert (asked.method, asked.host, asked.body) == ("PATCH", "%REQ(x)%.internal:81", "")
    passed = ask(port, form, "allowed").echo
    assert (passed.name, passed.path, passed.header("x-echo-name")) == ("a", "/orig?y=1", "auth")


@pytest.mark.parametrize("form", FORMS)
def test_addresses(port: int, form: str) -> None:
    assert ask(port, form, "ip").status == 403
    assert ask(port, form, "ip", headers=[("X-Forwarded-For", "8.8.8.8")]).status == 403
    assert ask(port, form, "ip-ok").status == 200
    assert ask(port, form, "ip-odd").status == 403, "a range that is none lets nobody in"
    assert ask(port, form, "denied").status == 503


@pytest.mark.parametrize("form", FORMS)
def test_bodies(port: int, form: str) -> None:
    assert ask(port, form, "body", method="POST", body=b"x" * 10).status == 200
    assert ask(port, form, "body", method="POST", body=b"x" * 11).status == 413
    assert ask(port, form, "open", method="POST", body=b"x" * 100_000).status == 200


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_guarded_that_did_not_wish_it(port: int, form: str) -> None:
    seen = ask(port, form, "open", headers=FORGED).echo
    assert seen.name == "a"
    assert not [name for name, _ in seen.headers if name.startswith("x-weir")]


@pytest.mark.parametrize("form", FORMS)
def test_cookie(port: int, form: str) -> None:
    cookie = ask(port, form, "sticky").header("set-cookie") or ""
    assert cookie.startswith("stick=")
    assert "SameSite=Lax" in cookie
    assert cookie.count("HttpOnly") == 1


def test_rate(port: int) -> None:
    for form in ("{}.example", "x.{}.wild"):
        answers = [ask(port, form, "rate").status for _ in range(5)]
        assert answers == [200, 200, 200, 429, 429]
    assert ask(port, "{}.EXAMPLE", "rate").status == 429, "one bucket, however the host is written"


@pytest.mark.parametrize("form", ["{}.example", "x.{}.wild"])
def test_rate_with_exceptions(port: int, form: str) -> None:
    assert [ask(port, form, "rate-outside").status for _ in range(5)] == [200, 200, 200, 429, 429], "the second limit"
    assert [ask(port, form, "rate-inside").status for _ in range(3)] == [200, 429, 429]


@pytest.mark.parametrize("form", FORMS)
def test_realm(port: int, form: str) -> None:
    assert ask(port, form, "realm").header("www-authenticate") == 'Basic realm="the %REQ(x)% shop"'
    assert ask(port, form, "realm", headers=[LOGIN]).status == 200


@pytest.mark.parametrize("host", ["unknown", "[::1]", "[::1]:80", "127.0.0.1", "*", "basic.example.org"])
def test_other_hosts_go_to_the_catch_all(port: int, host: str) -> None:
    assert get("http://x/", via=port, host=host, headers=FORGED).echo.name == "other"


def test_one_label_stands_for_one_label(port: int) -> None:
    assert get("http://a.one.example/x", via=port).echo.name == "a"
    assert get("http://A.one.Example/nope", via=port).status == 404
    assert get("http://a.b.one.example/x", via=port).echo.name == "other"


@pytest.mark.parametrize("layout", ["scoped", "rds"])
def test_hosts_that_nobody_named_are_not_found(layout: Any) -> None:
    world, port = World(EnvoyOptions(ipv6=False, layout=layout, access_log=None)), free_port()
    world.listener("http", port)
    world.host("one.example", route(action=Respond(status=200)))
    world.host("*.wild", route(action=Respond(status=200)), wildcard_labels=1)
    with served(world) as (_, told):
        answering(port, "http://one.example/", told)
        answering(port, "http://a.wild/", told)
        hosts = ("two.example", "TWO.example", "Two.Example.:80", "a.b.wild", "A.B.Wild", "[::1]", "[::A]:80", "wild")
        assert {host: get("http://x/", via=port, host=host).status for host in hosts} == dict.fromkeys(hosts, 404)
        assert told.refusals == []
