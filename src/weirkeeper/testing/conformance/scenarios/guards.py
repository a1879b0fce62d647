"""Who may pass, and how much: what fails closed where it is lacking."""

import asyncio
import base64
import hashlib

from weirkeeper.model.filters import ExternalAuth, GlobalRateLimit, IpRules, Jwt
from weirkeeper.model.route import Route
from weirkeeper.model.text import Cidr, HeaderName, HeaderValue, PathText
from weirkeeper.model.value import ByteCount
from weirkeeper.testing.client import Http1Connection, Target
from weirkeeper.testing.conformance.backends import judging_backend
from weirkeeper.testing.conformance.scenario import needs
from weirkeeper.testing.conformance.scenarios.changing import came
from weirkeeper.testing.conformance.site import Manifest, Site

ANN = "ann:{SHA}" + base64.b64encode(hashlib.sha1(b"secret", usedforsecurity=False).digest()).decode()


def _basic(user: str, password: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()),)


@needs(
    "addresses are kept out",
    "IpRules",
    lambda site: [site.ingress({"denylist-source-range": "127.0.0.0/8"})],
)
def denied(site: Site) -> None:
    site.until(lambda got: got.status == 403)


@needs(
    "addresses are kept out with a status of choice",
    "IpRules IpRulesStatus",
    lambda site: [site.neutral(site.route(ip_rules=IpRules(deny=(Cidr("127.0.0.0/8"),), status=418)))],
)
def denied_with(site: Site) -> None:
    site.until(lambda got: got.status == (418 if site.exact("IpRulesStatus") else 403))


@needs(
    "only some addresses are let in",
    "IpRules",
    lambda site: [
        site.ingress({"whitelist-source-range": "127.0.0.1/32"}),
        site.ingress(
            {"whitelist-source-range": "10.0.0.0/8, 2001:db8::/32"}, name="else", paths=[("/else", "Prefix", "a")]
        ),
    ],
)
def allowed(site: Site) -> None:
    site.answers("a")
    assert site.get("/else").status == 403
    assert site.get("/else", headers=(("x-forwarded-for", "10.1.2.3"),)).status == 403, (
        "a header of a stranger is trusted"
    )


@needs(
    "users and passwords are asked for",
    "BasicAuth BasicAuthRealm",
    lambda site: [
        site.secret("users", auth=ANN + "\n"),
        site.ingress({"auth-type": "basic", "auth-secret": "users", "auth-realm": "the shop"}),
    ],
)
def basic_auth(site: Site) -> None:
    got = site.until(lambda answer: answer.status == 401)
    shown = got.header("www-authenticate") or ""
    assert shown.startswith("Basic")
    assert "the shop" in shown or not site.exact("BasicAuthRealm")
    assert site.get(headers=_basic("ann", "wrong")).status == 401
    assert site.get(headers=_basic("bob", "secret")).status == 401
    assert site.get(headers=_basic("ann", "secret")).header("x-echo-name") == "a"


@needs(
    "a service is asked, and says no",
    "ExternalAuth ExternalAuthHost",
    lambda site: [site.ingress({"auth-url": f"http://b.{site.namespace}.svc.cluster.local/check?status=401"})],
)
def external_no(site: Site) -> None:
    site.until(lambda got: got.status == 401)
    assert not [seen for seen in site.backends.a.requests if seen.host == site.host]


@needs(
    "a service is asked, and says yes",
    "ExternalAuth ExternalAuthHost",
    lambda site: [
        site.ingress(
            {
                "auth-url": f"http://b.{site.namespace}.svc.cluster.local/check",
                "auth-response-headers": "X-Echo-Name",
            }
        )
    ],
)
def external_yes(site: Site) -> None:
    got = site.answers("a", headers=(("cookie", "session=1"), ("x-other", "secret")))
    assert got.echo.header("x-echo-name") == "b"
    asked = [seen for seen in site.backends.b.requests if site.namespace in seen.host]
    assert [asked[-1].header(name) for name in ("cookie", "x-other", "origin")] == ["session=1", None, None]
    assert asked[-1].path.startswith("/check")
    assert asked[-1].host == f"b.{site.namespace}.svc.cluster.local" or not site.exact("ExternalAuthHost")


@needs(
    "a service is asked with a method of its own",
    "ExternalAuth ExternalAuthHost ExternalAuthMethod",
    lambda site: [
        site.ingress({"auth-url": f"http://b.{site.namespace}.svc.cluster.local/check", "auth-method": "POST"}),
    ],
)
def external_method(site: Site) -> None:
    site.answers("a")
    asked = [seen for seen in site.backends.b.requests if site.namespace in seen.host]
    assert asked[-1].method == "POST" or not site.exact("ExternalAuthMethod")


@needs(
    "who is not signed in is sent to sign in",
    "ExternalAuth ExternalAuthHost ExternalAuthSignIn",
    lambda site: [
        site.ingress(
            {
                "auth-url": f"http://b.{site.namespace}.svc.cluster.local/check?status=401",
                "auth-signin": "https://login.example/start",
            }
        ),
    ],
)
def external_sign_in(site: Site) -> None:
    got = site.until(lambda answer: answer.status in {302, 401})
    if site.exact("ExternalAuthSignIn"):
        assert (got.header("location") or "").startswith("https://login.example/start?rd=")
    assert not [seen for seen in site.backends.a.requests if seen.host == site.host]


@needs(
    "a service that is asked is away: nobody passes",
    "ExternalAuth ExternalAuthHost",
    lambda site: [
        *site.service("away", 0),
        site.ingress({"auth-url": f"http://away.{site.namespace}.svc.cluster.local/check"}),
    ],
)
def external_away(site: Site) -> None:
    got = site.until(lambda answer: answer.status != 404)
    assert got.status >= 400
    assert not [seen for seen in site.backends.a.requests if seen.host == site.host]


def _judged(site: Site, port: int) -> Manifest:
    judge = ExternalAuth(backend=site.backend_id("judge"), grpc=True)
    return site.neutral(
        site.route(auth=(judge,)),
        backends=(site.backend("judge", protocol="grpc"),),
        endpoints={"judge": (port,) if port else ()},
    )


@needs("a gRPC service decides", "ExternalAuth GrpcExternalAuth", lambda site: [_judged(site, 0)])
def grpc_auth(site: Site) -> None:
    word = f"let-{site.namespace}-in"
    with judging_backend(word.encode()) as port:
        site.apply(_judged(site, port))
        got = site.until(lambda answer: answer.status == 200, headers=(("x-word", word),))
        assert got.echo.header("x-judge") == "passed"
        assert site.get("/").status == 403
    reached = len([seen for seen in site.backends.a.requests if seen.host == site.host])
    assert site.get("/", headers=(("x-word", word),)).status >= 400, "a judge who is away lets nobody pass"
    assert len([seen for seen in site.backends.a.requests if seen.host == site.host]) == reached


ODD_NAMES = tuple(map(HeaderName, ("%%", "x%y", "%TRACE_ID%", "a%REQ", "!#$&'*+.^_`|~")))
"""Names of headers that mean something in formats of some engine; most clients cannot send them."""


def _as_it_came(site: Site) -> Route:
    return site.route(auth=(ExternalAuth(
        backend=site.backend_id("b"), original=True, path=PathText("/check"), request_headers=(HeaderName("x-user"), *ODD_NAMES),
        any_response_header=True, body_bytes=ByteCount(10),
    ),))  # fmt: skip


@needs(
    "a service is asked with the request's own method and path, and tells the backend what it says",
    "ExternalAuth ExternalAuthOriginal",
    lambda site: [site.neutral(_as_it_came(site))],
)
def external_original(site: Site) -> None:
    sent = (("x-user", "ann"), ("x-other", "secret"), ("authorization", "Bearer t"))
    assert site.answers("a").echo.header("x-echo-name") == "b"
    got = site.get("/x?q=1", method="POST", headers=sent, body=b"a body")
    assert (got.status, got.echo.body, got.echo.header("x-other")) == (200, "a body", "secret")
    asked = [seen for seen in site.backends.b.requests if seen.host == site.host][-1]
    assert (asked.method, asked.path) == ("POST", "/check/x?q=1")
    assert [asked.header(name) for name in ("x-user", "x-other", "authorization")] == ["ann", None, "Bearer t"], asked
    assert not [name for name, _ in asked.headers if not name.replace("-", "").isalnum()], (
        "no name is taken for a format"
    )
    assert site.get("/", method="POST", body=b"a body that is too long").status in {403, 413}
    for status in (204, 302, 401, 403, 503):
        before = came(site.backends.a, site.host)
        refused = site.get(f"/?status={status}")
        assert refused.status == status or refused.status >= 400
        assert came(site.backends.a, site.host) == before


@needs(
    "a signed token is demanded",
    "JwtAuth",
    lambda site: [
        site.neutral(
            site.route(
                auth=(Jwt(issuer=HeaderValue("me"), key_backend=site.backend_id("b"), key_path=PathText("/keys")),)
            )
        )
    ],
)
def jwt(site: Site) -> None:
    site.until(lambda got: got.status == 401)


@needs(
    "requests per time are limited",
    "LocalRateLimit",
    lambda site: [site.ingress({"limit-rpm": "5", "limit-burst-multiplier": "1"})],
)
def rate_limit(site: Site) -> None:
    site.until(lambda got: got.status in {429, 503})
    assert 0 < sum(1 for seen in site.backends.a.requests if seen.host == site.host) <= 10


@needs(
    "some addresses are not limited",
    "LocalRateLimit RateLimitExceptions",
    lambda site: [
        site.ingress({"limit-rpm": "5", "limit-burst-multiplier": "1", "limit-allowlist": "127.0.0.0/8"}),
    ],
)
def rate_limit_exceptions(site: Site) -> None:
    site.answers("a")
    statuses = {site.get().status for _ in range(20)}
    assert statuses == {200} or not site.exact("RateLimitExceptions")


@needs(
    "requests per time are limited by a shared service",
    "GlobalRateLimit",
    lambda site: [
        site.neutral(
            site.route(
                rate_limits=(
                    GlobalRateLimit(domain=HeaderValue("d"), descriptors=((HeaderValue("k"), HeaderValue("v")),)),
                )
            )
        )
    ],
)
def global_rate_limit(site: Site) -> None:
    site.until(lambda got: got.status in {429, 500, 503})


@needs(
    "requests under way are limited",
    "ConnectionLimit",
    lambda site: [site.ingress({"limit-connections": "1"})],
)
def connection_limit(site: Site) -> None:
    site.answers("a")

    async def two() -> set[int]:
        return {got.status for got in await asyncio.gather(*(site.fetch("/?delay=2") for _ in range(4)))}

    assert asyncio.run(two()) & {429, 503}


@needs(
    "a body that is too large is refused",
    "RequestBodyLimit",
    lambda site: [site.ingress({"proxy-body-size": "1k"})],
)
def body_limit(site: Site) -> None:
    site.answers("a")
    assert site.get(method="POST", body=b"x" * 1024).status == 200
    assert site.get(method="POST", body=b"x" * 4096).status == 413
    chunked = (("transfer-encoding", "chunked"),)
    assert site.get(method="POST", headers=chunked, body=b"1000\r\n" + b"x" * 4096 + b"\r\n0\r\n\r\n").status == 413


@needs(
    "a body is read whole before the backend sees it",
    "BufferedRequests",
    lambda site: [site.neutral(site.route(buffer_requests=True))],
)
def buffered(site: Site) -> None:
    site.answers("a")
    echo = site.backends.a
    before = sum(1 for seen in echo.requests if seen.host == site.host)
    address, port = site.stage.rig.reach(site.stage.http_port)

    async def slowly() -> tuple[int, int]:
        async with Http1Connection(Target(port=port, address=address)) as one:
            _, writer = one.streams
            writer.write(f"POST / HTTP/1.1\r\nhost: {site.host}\r\ncontent-length: 8\r\n\r\nhalf".encode())
            await writer.drain()
            await site.fetch("/other")
            seen = sum(1 for each in echo.requests if each.host == site.host and each.method == "POST")
            return seen, (await one.exchange(b"rest")).status

    assert asyncio.run(slowly()) == (0, 200)
    assert sum(1 for seen in echo.requests if seen.host == site.host) == before + 2
