"""What Gateway API's extended features ask of an engine beyond what Ingresses do: its own conformance suite asks the same in a cluster."""

import asyncio
import time
from collections.abc import Iterator

import msgspec

from weirkeeper.controllers.gateway.sessions import placed
from weirkeeper.model.backend import BackendTls
from weirkeeper.model.certificate import TrustBundle
from weirkeeper.model.filters import CookieAffinity, Cors, FullPath, Mirror, PrefixPath, Retry, Timeouts
from weirkeeper.model.match import RouteMatch, SegmentPrefix
from weirkeeper.model.route import Forward, Redirect, Route, WeightedBackend
from weirkeeper.model.text import (
    Authority,
    CookieName,
    HeaderName,
    HeaderValue,
    Hostname,
    Method,
    PathText,
    PemText,
    WebOrigin,
)
from weirkeeper.model.value import Milliseconds
from weirkeeper.testing.client import Response
from weirkeeper.testing.conformance.backends import SECURE_NAME
from weirkeeper.testing.conformance.scenario import Ask, needs
from weirkeeper.testing.conformance.scenarios.backends import call
from weirkeeper.testing.conformance.scenarios.changing import came
from weirkeeper.testing.conformance.site import Manifest, Site
from weirkeeper.testing.eventually import poll_until
from weirkeeper.testing.ports import free_port

ELSEWHERE = ("origin", "https://other.foo.example")
ASKED = (("access-control-request-method", "PUT"), ("access-control-request-headers", "x-one, x-two"))


def _below(path: str) -> RouteMatch:
    return RouteMatch(path=SegmentPrefix(value=PathText(path)))


def _cors(site: Site) -> Iterator[Route]:
    yield site.route(_below("/named"), cors=Cors(
        origins=(WebOrigin("https://www.foo.example"), WebOrigin("https://*.bar.example")), methods=(Method("GET"), Method("OPTIONS")),
        headers=(HeaderName("x-one"), HeaderName("x-two")), exposed=(HeaderName("x-three"), HeaderName("x-four")),
        credentials=True, max_age=Milliseconds(3_600_000),
    ))  # fmt: skip
    for path, credentials in (("/any", True), ("/open", False)):
        policy = Cors(origins=(WebOrigin("*"),), any_method=True, any_header=True, credentials=credentials)
        yield site.route(_below(path), cors=policy)


@needs(
    "cross-origin requests of any origin, method and header",
    "HTTPRouteCORS",
    lambda site: [site.neutral(*_cors(site))],
    probe=Ask(path="/named"),
)
def any_cors(site: Site) -> None:
    site.answers("a", "/named")
    for origin in ("https://www.foo.example", "https://deep.www.bar.example"):
        got = site.get("/named", method="OPTIONS", headers=(("origin", origin), *ASKED))
        told = {name: (got.header(f"access-control-{name}") or "").replace(" ", "") for name in (
            "allow-origin", "allow-methods", "allow-headers", "expose-headers", "max-age", "allow-credentials")}  # fmt: skip
        assert got.status in {200, 204}
        assert told == {
            "allow-origin": origin, "allow-methods": "GET,OPTIONS", "allow-headers": "x-one,x-two", "expose-headers": "x-three,x-four",
            "max-age": "3600", "allow-credentials": "true",
        }  # fmt: skip
    before = came(site.backends.a, site.host)
    refused = site.get("/named", method="OPTIONS", headers=(ELSEWHERE, *ASKED))
    assert (refused.status in {200, 204}, refused.header("access-control-allow-origin")) == (True, None)
    assert came(site.backends.a, site.host) == before, "no backend is asked in place of whoever grants"
    for path, allowed in (("/any", "true"), ("/open", None)):
        got = site.get(path, method="OPTIONS", headers=(ELSEWHERE, *ASKED))
        assert got.header("access-control-allow-origin") in ({ELSEWHERE[1]} if allowed else {ELSEWHERE[1], "*"})
        assert got.header("access-control-allow-methods") in ({"PUT"} if allowed else {"PUT", "*"})
        assert (got.header("access-control-allow-headers") or "").replace(" ", "") in (
            {"x-one,x-two"} if allowed else {"x-one,x-two", "*"}
        )
        assert got.header("access-control-allow-credentials") == allowed
        assert site.get(path, headers=(ELSEWHERE,)).header("access-control-allow-credentials") == allowed


@needs(
    "a request is copied to several backends",
    "HTTPRouteRequestMirror HTTPRouteRequestMultipleMirrors",
    lambda site: [site.neutral(site.route(mirrors=tuple(Mirror(backend=site.backend_id(name)) for name in "ab")))],
)
def mirrors(site: Site) -> None:
    site.answers("a")
    a, b = site.backends.a, site.backends.b

    def copied(path: str) -> tuple[int, int]:
        return tuple(sum(1 for seen in echo.requests if seen.path == path) for echo in (a, b))  # type: ignore[return-value]

    site.get("/copied")
    poll_until(lambda: copied("/copied") == (2, 1), what="the request and two copies came")


@needs(
    "the share of a backend that leads nowhere is answered 500",
    "RefusedShare",
    lambda site: [site.neutral(site.route(to=msgspec.structs.replace(site.forward("a"), refused=1)))],
)
def refused_share(site: Site) -> None:
    site.until(lambda got: got.status in {200, 500})
    statuses = [site.get("/").status for _ in range(60)]
    assert set(statuses) == ({200, 500} if site.exact("RefusedShare") else {200})


def _split(site: Site, *weights: int) -> Manifest:
    shares = [WeightedBackend(backend=site.backend_id(name), weight=n) for name, n in zip("ab", weights, strict=True)]
    stay = CookieAffinity(name=CookieName("stay"), path=PathText("/"), same_site="Strict", persistent=True)
    return site.neutral(*placed(site.route(to=Forward(backends=tuple(shares)), affinity=stay), "http"))


def _cookies(got: Response) -> tuple[tuple[str, str], ...]:
    told = [value.partition(";")[0] for name, value in got.headers if name.lower() == "set-cookie"]
    return (("cookie", "; ".join(told)),)


@needs(
    "a session stays with its backend where requests are split, whatever the weights become",
    "CookieAffinity WeightedBackends HTTPRouteHeaderMatching HTTPRouteBackendRequestHeaderModification",
    lambda site: [_split(site, 1, 1)],
)
def split_session(site: Site) -> None:
    first: dict[str | None, tuple[tuple[str, str], ...]] = {}
    site.until(lambda got: got.status == 200)
    while len(first) < 2:
        got = site.get("/")
        first[got.header("x-echo-name")] = _cookies(got)
    for name, cookies in first.items():
        assert {site.get("/", headers=cookies).header("x-echo-name") for _ in range(10)} == {name}
    site.apply(_split(site, 0, 1))
    site.until(lambda _: {site.get("/").header("x-echo-name") for _ in range(10)} == {"b"})
    for name, cookies in first.items():
        assert {site.get("/", headers=cookies).header("x-echo-name") for _ in range(5)} == {name}


REDIRECTS = (
    ("/moved", Redirect(path=FullPath(value=PathText("/there")), status=301), 301, "http://{host}{port}/there"),
    ("/found", Redirect(host=Authority("example.org"), path=PrefixPath(value=PathText("/to"))), 302, "http://example.org{port}/to/x"),
    ("/see", Redirect(path=PrefixPath(value=PathText("/")), status=303), 303, "http://{host}{port}/x"),
    ("/keep", Redirect(scheme="https", host=Authority("example.org"), status=307), 307, "https://example.org/keep/x"),
    ("/always", Redirect(scheme="https", host=Authority("example.org"), port=8443, status=308), 308, "https://example.org:8443/always/x"),
)  # fmt: skip


@needs(
    "redirects of every status that keeps what it does not name",
    "HTTPRoutePathRedirect HTTPRouteSchemeRedirect HTTPRoutePortRedirect",
    lambda site: [site.neutral(*(site.route(_below(path), to=wished) for path, wished, _, _ in REDIRECTS))],
    probe=Ask(path="/moved/x"),
)
def redirects(site: Site) -> None:
    site.until(lambda got: got.status == 308, "/always/x")
    for path, _, status, location in REDIRECTS:
        got = site.get(f"{path}/x?q=1")
        assert got.status == status
        shown = {location.format(host=site.host, port=port) + "?q=1" for port in ("", f":{site.stage.http_port}")}
        assert (got.header("location") or "") in shown, path


def _tried(site: Site) -> Iterator[Route]:
    again = Retry(attempts=2, statuses=(503,), conditions=("connect", "reset"), non_idempotent=True)
    yield site.route(_below("/status"), retry=again)
    yield site.route(_below("/slow"), retry=again, timeouts=Timeouts(backend_request=Milliseconds(200)))
    yield site.route(_below("/limited"), retry=again, timeouts=Timeouts(request=Milliseconds(2000)))
    yield site.route(_below("/gone"), to="shaky", retry=again)


@needs(
    "a request is tried again whatever its method: a status, a try that takes too long, a connection that fails",
    "HTTPRouteRetry HTTPRouteBackendTimeout HTTPRouteRequestTimeout",
    lambda site: [
        site.neutral(
            *_tried(site), backends=(site.backend("shaky"),), endpoints={"shaky": (site.backends.a.port, free_port())}
        )
    ],
    probe=Ask(path="/slow"),
)
def tried_again(site: Site) -> None:
    site.answers("a", "/status")
    rows = [("/status?status=503", 503, 3), ("/status?status=502", 502, 1)]
    for path, status, tries in rows + [("/slow?delay=3", 504, 3)] * site.exact("HTTPRouteRetry"):
        before = came(site.backends.a, site.host)
        assert site.get(path, method="POST").status == status
        # a try that was given up may be read later than its answer was given
        poll_until(lambda b=before, n=tries: came(site.backends.a, site.host) - b >= n, what=f"{tries} tries of {path}")  # type: ignore[misc]
        assert came(site.backends.a, site.host) - before == tries, path
    assert site.get("/limited?status=503").status == 503
    if site.exact("HTTPRouteRequestTimeout"):
        assert site.get("/limited?status=503&delay=1.5").status == 504, "tries end with the request's own limit"
    assert {site.get("/gone", method="POST").status for _ in range(20)} == {200}


def _again(site: Site) -> Iterator[Route]:
    wished = Retry(attempts=2, statuses=(418, 503), backoff=Milliseconds(200))
    yield site.route(_below("/status"), retry=wished)


@needs(
    "a request is tried again after any status, and after a pause",
    "HTTPRouteRetry RetryStatuses RetryBackoff",
    lambda site: [site.neutral(*_again(site))],
    probe=Ask(path="/status"),
)
def tried_after_a_pause(site: Site) -> None:
    site.answers("a", "/status")
    for status, every in ((503, True), (418, site.exact("RetryStatuses"))):
        before, began = came(site.backends.a, site.host), time.monotonic()
        assert site.get(f"/status?status={status}").status == status
        assert came(site.backends.a, site.host) - before == (3 if every else 1), status
        assert time.monotonic() - began >= 0.4 or not site.exact("RetryBackoff")


def _calls(site: Site) -> Manifest:
    copies = (Mirror(backend=site.backend_id("witness"), calls=True),)
    return site.neutral(
        site.route(to="callee", mirrors=copies),
        backends=[site.backend(name, protocol="grpc") for name in ("callee", "witness")],
        endpoints={"callee": (site.backends.a.port,), "witness": (site.backends.b.port,)},
    )


@needs(
    "calls by gRPC are copied",
    "BackendProtocolGRPC HTTPRouteRequestMirror GRPCRouteRequestMirror",
    lambda site: [_calls(site)],
)
def copied_calls(site: Site) -> None:
    site.answers("a")
    if not (site.exact("BackendProtocolGRPC") and site.exact("GRPCRouteRequestMirror")):
        return
    assert asyncio.run(call(site, "/shop.Cart/Add")) == (0, (b"message",))
    poll_until(
        lambda: any((one.host, one.path) == (site.host, "/shop.Cart/Add") for one in site.backends.b.requests),
        what="a copy came",
    )


KNOWN = {
    "right": BackendTls(server_name=Hostname("asked.example"), san_dns=(Hostname(SECURE_NAME),)),
    "other": BackendTls(
        server_name=Hostname("asked.example"), san_dns=(Hostname("another.example"), Hostname(SECURE_NAME))
    ),
    "wrong": BackendTls(server_name=Hostname(SECURE_NAME), san_dns=(Hostname("another.example"),)),
    "uri": BackendTls(server_name=Hostname(SECURE_NAME), san_uri=(HeaderValue("spiffe://another.example/x"),)),
}


def _backends(site: Site) -> Manifest:
    def tls(known: BackendTls) -> BackendTls:
        return msgspec.structs.replace(known, verify=True, trust=site.backend_id("trust"))

    authorities = PemText(site.backends.authority.pem().decode())
    return site.neutral(
        *(site.route(_below(f"/{name}"), to=name) for name in KNOWN),
        backends=[site.backend(name, tls=tls(known)) for name, known in KNOWN.items()],
        endpoints=dict.fromkeys(KNOWN, (site.backends.secure.port,)),
        trust_bundles=(TrustBundle(id=site.backend_id("trust"), certificates=authorities, origin=site.origin()),),
    )


@needs(
    "a backend is known by any of several alternative names, whatever name it is asked for",
    "BackendProtocolHTTPS BackendTLSPolicy BackendTLSPolicySANValidation",
    lambda site: [_backends(site)],
    probe=Ask(path="/right"),
)
def alternative_names(site: Site) -> None:
    tls = site.until(lambda got: got.status == 200, "/right").echo.tls
    assert tls is not None
    assert {site.get(path).status for path in ("/wrong", "/uri")} <= {502, 503}
    if site.exact("BackendTLSPolicySANValidation"):
        assert tls.sni == "asked.example"
        assert site.get("/other").status == 200
