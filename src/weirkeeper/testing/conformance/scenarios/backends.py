"""How backends are spoken to and chosen among: protocols, TLS, balancing, affinity, health."""

import asyncio
from collections.abc import Iterable

from weirkeeper.model.backend import BackendTls, FromDns, HealthCheck, Limits, PassiveHealth
from weirkeeper.model.filters import HeaderSession
from weirkeeper.model.route import Forward, WeightedBackend
from weirkeeper.model.text import HeaderName, Hostname, Label
from weirkeeper.model.value import Milliseconds
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.client import ClientTls, Http2Connection, Target, WebSocket, grpc_unary
from weirkeeper.testing.conformance.backends import SECURE_NAME, listening_backend
from weirkeeper.testing.conformance.scenario import Scenario, needs
from weirkeeper.testing.conformance.site import Manifest, Site
from weirkeeper.testing.eventually import poll_until
from weirkeeper.testing.ports import free_port


def _own_address(site: Site) -> list[Manifest]:
    """A Service with an address of its own where backend `a` answers, and no endpoints."""
    ports = [{"name": "web", "port": site.backends.a.port}]
    return [site.manifest("v1", "Service", "own", spec={"clusterIP": "127.0.0.1", "ports": ports})]


def _to_own(site: Site) -> dict[str, object]:
    return {"path": "/", "pathType": "Prefix", "backend": site.to("own", "web")}


def _both(site: Site) -> list[Manifest]:
    return site.service("both", site.backends.a.port, site.backends.b.port)


def _secure(site: Site, annotations: dict[str, str], *more: Manifest) -> list[Manifest]:
    wished = {"backend-protocol": "HTTPS", **annotations}
    return [
        *site.service("secure", site.backends.secure.port),
        *more,
        site.ingress(wished, paths=[("/", "Prefix", "secure")]),
    ]


def _names(site: Site, count: int = 40, **more: object) -> set[str | None]:
    return {site.get(**more).header("x-echo-name") for _ in range(count)}  # type: ignore[arg-type]


@needs(
    "requests are split by weight",
    "WeightedBackends",
    lambda site: [
        site.ingress(),
        site.ingress({"canary": "true", "canary-weight": "50"}, name="canary", paths=[("/", "Prefix", "b")]),
    ],
)
def weights(site: Site) -> None:
    site.until(lambda got: got.header("x-echo-name") == "b")
    shares = [site.get().header("x-echo-name") for _ in range(100)]
    assert 20 <= shares.count("a") <= 80
    assert set(shares) == {"a", "b"}


@needs(
    "a weight of nothing gets nothing",
    "WeightedBackends",
    lambda site: [
        site.neutral(
            site.route(
                to=Forward(
                    backends=(
                        WeightedBackend(backend=site.backend_id("a"), weight=3),
                        WeightedBackend(backend=site.backend_id("b"), weight=0),
                    )
                )
            )
        )
    ],
)
def weight_zero(site: Site) -> None:
    site.answers("a")
    assert _names(site) == {"a"}


@needs(
    "a cookie keeps a client on one endpoint",
    "CookieAffinity",
    lambda site: [
        *_both(site),
        site.ingress({"affinity": "cookie", "session-cookie-name": "stay"}, paths=[("/", "Prefix", "both")]),
    ],
)
def cookie_affinity(site: Site) -> None:
    site.until(lambda got: got.status == 200)
    for _ in range(4):
        first = site.get()
        cookie = (first.header("set-cookie") or "").partition(";")[0]
        assert cookie.startswith("stay=")
        assert _names(site, 10, headers=(("cookie", cookie),)) == {first.header("x-echo-name")}


@needs(
    "a header of answers keeps a client on one endpoint",
    "HeaderSession",
    lambda site: [
        site.neutral(
            site.route(to="both", affinity=HeaderSession(name=HeaderName("x-stay"))),
            backends=(site.backend("both"),),
            endpoints={"both": (site.backends.a.port, site.backends.b.port)},
        )
    ],
)
def header_session(site: Site) -> None:
    site.until(lambda got: got.status == 200)
    for _ in range(4):
        first = site.get()
        told = first.header("x-stay")
        assert told
        assert _names(site, 10, headers=(("x-stay", told),)) == {first.header("x-echo-name")}
    assert _names(site) == {"a", "b"}


def _hashed(name: str, features: str, variable: str) -> Scenario:
    @needs(
        name,
        f"ConsistentHash {features}".rstrip(),
        lambda site: [*_both(site), site.ingress({"upstream-hash-by": variable}, paths=[("/", "Prefix", "both")])],
    )
    def hashed(site: Site) -> None:
        site.until(lambda got: got.status == 200)
        asked: Iterable[dict[str, object]] = (
            {"path": f"/{n}?user={n}", "headers": (("x-user", str(n)), ("cookie", f"user={n}"))} for n in range(24)
        )
        groups = [_names(site, 3, **one) for one in asked]
        assert all(len(group) == 1 for group in groups), groups
        spread = {name for group in groups for name in group}
        assert spread == ({"a", "b"} if variable not in {"$remote_addr", "$host"} else groups[0])

    return hashed


by_header = _hashed("a header keeps a client on one endpoint", "HeaderAffinity", "$http_x_user")
by_address = _hashed("an address keeps a client on one endpoint", "SourceIpAffinity", "$remote_addr")
by_query = _hashed("a query parameter keeps a client on one endpoint", "", "$arg_user")
by_cookie = _hashed("any cookie keeps a client on one endpoint", "", "$cookie_user")
by_uri = _hashed("the same path goes to the same endpoint", "", "$request_uri")


def _balanced(name: str, feature: str, word: str) -> Scenario:
    @needs(
        name,
        feature,
        lambda site: [*_both(site), site.ingress({"load-balance": word}, paths=[("/", "Prefix", "both")])],
    )
    def balanced(site: Site) -> None:
        """Both have their turn; one that was slow once, on a busy machine, is left alone for some seconds."""
        site.until(lambda got: got.status == 200)
        first = _names(site)
        poll_until(lambda: first | _names(site) == {"a", "b"}, site.stage.rig.patience, what="both answer")

    return balanced


least = _balanced("endpoints with fewer requests are preferred", "LeastRequest", "least_conn")
chance = _balanced("endpoints are chosen at random", "RandomBalancing", "random")
fastest = _balanced("endpoints that answer faster are preferred", "PeakEwma", "ewma")


@needs("a backend is spoken to by TLS", "BackendProtocolHTTPS", lambda site: _secure(site, {}))
def over_tls(site: Site) -> None:
    tls = site.answers("secure").echo.tls
    assert tls is not None
    assert tls.version in {"TLSv1.2", "TLSv1.3"}


@needs(
    "a backend's certificate is verified",
    "BackendProtocolHTTPS BackendTLSPolicy BackendTLSPolicySANValidation",
    lambda site: [
        *_secure(
            site,
            {
                "proxy-ssl-verify": "on",
                "proxy-ssl-secret": "trust",
                "proxy-ssl-name": SECURE_NAME,
                "proxy-ssl-server-name": "on",
            },
            site.secret("trust", ca_crt=site.backends.authority.pem()),
        ),
        site.ingress(
            {
                "backend-protocol": "HTTPS",
                "proxy-ssl-verify": "on",
                "proxy-ssl-secret": "trust",
                "proxy-ssl-name": "not." + SECURE_NAME,
            },
            name="wrong",
            paths=[("/wrong", "Prefix", "secure")],
        ),
    ],
)
def verified(site: Site) -> None:
    tls = site.answers("secure").echo.tls
    assert tls is not None
    assert tls.sni == SECURE_NAME
    site.until(lambda got: got.status in {502, 503}, "/wrong")


def _client_pair(site: Site) -> Manifest:
    pair = site.backends.authority.issue("client.internal")
    return site.secret("identity", ca_crt=site.backends.authority.pem(), tls_crt=pair.certificate, tls_key=pair.key)


@needs(
    "a certificate is shown to a backend",
    "BackendProtocolHTTPS BackendClientCertificate",
    lambda site: _secure(site, {"proxy-ssl-secret": "identity"}, _client_pair(site)),
)
def client_certificate(site: Site) -> None:
    got = site.until(lambda answer: answer.status == 200)
    assert got.echo.tls is not None
    assert got.echo.tls.peer is not None


@needs(
    "TLS versions to a backend are limited",
    "BackendProtocolHTTPS TlsVersions",
    lambda site: _secure(site, {"proxy-ssl-protocols": "TLSv1.2"}),
)
def backend_versions(site: Site) -> None:
    tls = site.answers("secure").echo.tls
    assert tls is not None
    assert tls.version == "TLSv1.2"


@needs(
    "a backend is spoken to by HTTP 2 in clear",
    "HTTPRouteBackendProtocolH2C",
    lambda site: [
        *site.service("two", site.backends.a.port, app_protocol="kubernetes.io/h2c"),
        site.ingress(paths=[("/", "Prefix", "two")]),
    ],
)
def h2c(site: Site) -> None:
    assert site.answers("a").echo.protocol == "HTTP/2"


def _calls(site: Site) -> list[Manifest]:
    degraded = "BackendProtocolGRPC" in site.stage.rig.provider.capabilities.degrades
    tls = [{"hosts": [site.host], "secretName": "own"}] if degraded else []
    route = site.ingress({"ssl-redirect": "false"}, paths=[("/", "Prefix", "calls")], tls=tls)
    secret = [site.tls_secret("own", Authority("conformance calls").issue(site.host))] if degraded else []
    return [*site.service("calls", site.backends.a.port, app_protocol="grpc"), *secret, route]


async def call(site: Site, method: str) -> tuple[int | None, tuple[bytes, ...]]:
    """A call by gRPC of one message. Where HTTP/2 is spoken only by TLS, by TLS."""
    clear = site.exact("BackendProtocolGRPC")
    address, port = site.stage.rig.reach(site.stage.http_port if clear else site.stage.https_port)
    tls = None if clear else ClientTls(sni=site.host, alpn=("h2",))
    async with Http2Connection(Target(port=port, address=address, tls=tls)) as two:
        reply = await grpc_unary(two, method, b"message", host=site.host)
        return reply.status, reply.messages


@needs(
    "a backend speaks gRPC",
    "BackendProtocolGRPC",
    _calls,
)
def grpc(site: Site) -> None:
    clear = site.exact("BackendProtocolGRPC")
    site.until(lambda got: got.status == 200, scheme="http" if clear else "https")
    assert asyncio.run(call(site, "/shop.Cart/Add")) == (0, (b"message",))


@needs(
    "a backend that says it speaks WebSocket",
    "",
    lambda site: [
        *site.service("socket", site.backends.a.port, app_protocol="kubernetes.io/ws"),
        site.ingress(paths=[("/", "Prefix", "socket")]),
    ],
)
def websocket_backend(site: Site) -> None:
    site.answers("a")
    address, port = site.stage.rig.reach(site.stage.http_port)

    async def talk() -> str | bytes:
        async with WebSocket.open(Target(port=port, address=address), "/ws", host=site.host) as opened:
            return await opened.exchange("hello")

    assert asyncio.run(talk()) in {"hello", b"hello"}


@needs(
    "a backend is found by a DNS name",
    "DnsBackend",
    lambda site: [
        site.neutral(
            site.route(to="named"),
            backends=[site.backend("named", source=FromDns(name=Hostname("localhost"), port=site.backends.a.port))],
        )
    ],
)
def dns(site: Site) -> None:
    site.answers("a")


@needs(
    "a backend is its Service's own address",
    "ServiceAddressBackend",
    lambda site: [
        *_own_address(site),
        site.ingress({"service-upstream": "true"}, rules=[{"host": site.host, "http": {"paths": [_to_own(site)]}}]),
    ],
)
def service_address(site: Site) -> None:
    site.answers("a")


def _half_dead(name: str, feature: str, **fields: object) -> Scenario:
    @needs(
        name,
        feature,
        lambda site: [
            site.neutral(
                site.route(to="half"),
                backends=[site.backend("half", connect_timeout=Milliseconds(500), **fields)],
                endpoints={"half": (site.backends.a.port, free_port())},
            )
        ],
    )
    def half_dead(site: Site) -> None:
        site.until(lambda got: got.status == 200)
        site.until(lambda _: [site.get().status for _ in range(12)] == [200] * 12)

    return half_dead


probed = _half_dead(
    "a dead endpoint is found by probing",
    "ActiveHealthChecks",
    health=HealthCheck(interval=Milliseconds(100), timeout=Milliseconds(100), healthy=1, unhealthy=1),
)
ejected = _half_dead(
    "an endpoint that fails is left out for a time",
    "PassiveHealthChecks",
    passive_health=PassiveHealth(consecutive_errors=1, ejection=Milliseconds(60_000), max_ejected_percent=100),
)


@needs(
    "what may be under way to a backend is limited",
    "CircuitBreakers",
    lambda site: [
        site.neutral(
            site.route(to="narrow"),
            backends=[site.backend("narrow", limits=Limits(connections=1, pending=1, requests=1))],
            endpoints={"narrow": (site.backends.a.port,)},
        )
    ],
)
def limits(site: Site) -> None:
    site.answers("a")

    async def many() -> list[int]:
        return sorted(got.status for got in await asyncio.gather(*(site.fetch("/?delay=2") for _ in range(8))))

    seen = asyncio.run(many())
    assert (seen[0], seen[-1]) == (200, 503), seen


@needs(
    "a new endpoint gets its share little by little",
    "SlowStart",
    lambda site: [
        site.neutral(
            site.route(to="slow"),
            backends=[site.backend("slow", slow_start=Milliseconds(1000))],
            endpoints={"slow": (site.backends.a.port, site.backends.b.port)},
        )
    ],
)
def slow_start(site: Site) -> None:
    site.until(lambda got: got.status == 200)
    site.until(lambda _: _names(site) == {"a", "b"})


@needs(
    "metrics carry a chosen name",
    "StatsName",
    lambda site: [
        site.neutral(
            site.route(to="named"),
            backends=[site.backend("named", stats_name=Label("chosen"))],
            endpoints={"named": (site.backends.a.port,)},
        )
    ],
)
def stats_name(site: Site) -> None:
    site.answers("a")


@needs(
    "ciphers to a backend are limited",
    "BackendProtocolHTTPS TlsVersions TlsCiphers",
    lambda site: [
        site.neutral(
            site.route(to="ciphered"),
            backends=[
                site.backend(
                    "ciphered",
                    tls=BackendTls(max_version="1.2", ciphers=("ECDHE-ECDSA-AES128-GCM-SHA256",)),  # type: ignore[arg-type]
                )
            ],
            endpoints={"ciphered": (site.backends.secure.port,)},
        )
    ],
)
def backend_ciphers(site: Site) -> None:
    tls = site.answers("secure").echo.tls
    assert tls is not None
    assert tls.version == "TLSv1.2"


@needs(
    "a backend is verified by the authorities of the platform",
    "BackendProtocolHTTPS BackendTLSPolicy BackendSystemTrust BackendTLSPolicySANValidation",
    lambda site: [
        site.neutral(
            site.route(to="verified"),
            backends=[
                site.backend(
                    "verified",
                    tls=BackendTls(
                        server_name=Hostname(SECURE_NAME),
                        system_trust=True,
                        verify=True,
                        san_dns=(Hostname(SECURE_NAME),),
                    ),
                )
            ],
            endpoints={"verified": (site.backends.secure.port,)},
        )
    ],
)
def system_trust(site: Site) -> None:
    site.until(lambda got: got.status in {502, 503})
    assert not [seen for seen in site.backends.secure.requests if seen.host == site.host]


@needs(
    "the PROXY protocol is spoken to a backend",
    "BackendProxyProtocol",
    lambda site: [
        site.neutral(
            site.route(to="told"),
            backends=[site.backend("told", send_proxy_protocol="v1")],
            endpoints={"told": (site.backends.a.port,)},
        )
    ],
)
def send_proxy_protocol(site: Site) -> None:
    with listening_backend() as backend:
        site.apply(
            site.neutral(
                site.route(to="told"),
                backends=[site.backend("told", send_proxy_protocol="v1")],
                endpoints={"told": (backend.port,)},
            )
        )
        site.until(lambda got: got.status == 200 and backend.first)
        assert backend.first.startswith(b"PROXY TCP4 127.0.0.1 127.0.0.1 ")
