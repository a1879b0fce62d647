"""Listeners of one port keep to their names, on each engine: by the name that a client asks for in TLS and by the one in its request (421 where they belong apart, RFC 9110, 15.5.20)."""

from collections.abc import Iterator

import pytest

from weirkeeper.controllers.gateway import GatewayController, GatewaySettings
from weirkeeper.model.text import IpAddress, Name
from weirkeeper.providers.base import Provider
from weirkeeper.providers.envoy import PROVIDER as ENVOY
from weirkeeper.providers.haproxy import PROVIDER as HAPROXY
from weirkeeper.providers.nginx import PROVIDER as NGINX
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.conformance import Rig, Site
from weirkeeper.testing.conformance.backends import running_backends
from weirkeeper.testing.conformance.site import Manifest
from weirkeeper.testing.conformance.stage import running_stage
from weirkeeper.testing.ports import free_port

pytestmark = pytest.mark.engine

V1 = "gateway.networking.k8s.io/v1"
SECURE, PLAIN = free_port(), free_port()
NAMES = {"any": None, "one": "second.example", "wide": "*.wild.example", "narrow": "fourth.wild.example"}
"""Hosts of listeners. What each leads to says which one it was, by the header that its route adds."""


def wished(site: Site) -> Iterator[Manifest]:
    yield {
        "apiVersion": V1,
        "kind": "GatewayClass",
        "metadata": {"name": "weir"},
        "spec": {"controllerName": "weirkeeper.io/gateway"},
    }
    tls = {"tls": {"certificateRefs": [{"name": "web"}]}}
    listeners = [
        {"name": f"{name}-{protocol.lower()}", "port": port, "protocol": protocol, **more, **({"hostname": host} if host else {})}
        for name, host in NAMES.items()
        for port, protocol, more in ((SECURE, "HTTPS", tls), (PLAIN, "HTTP", {}))
    ]  # fmt: skip
    yield site.manifest(V1, "Gateway", "front", spec={"gatewayClassName": "weir", "listeners": listeners})
    for name in NAMES:
        parents = [{"name": "front", "sectionName": f"{name}-{protocol}"} for protocol in ("http", "https")]
        told = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "x-by", "value": name}]}}
        rules = [{"backendRefs": [{"name": "a", "port": 80}], "filters": [told]}]
        hosts = {"hostnames": ["first.example"]} if name == "any" else {}
        yield site.manifest(V1, "HTTPRoute", name, spec={"parentRefs": parents, "rules": rules, **hosts})
    yield from site.service("a", site.backends.a.port)
    yield site.tls_secret("web", Authority("listeners").issue("first.example", "second.example", "*.wild.example"))


@pytest.fixture(scope="module", params=[ENVOY, HAPROXY, NGINX], ids=lambda one: one.name)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    provider: Provider = request.param
    settings = GatewaySettings(addresses=(IpAddress("127.0.0.1"),), provider=Name(provider.name))
    with (
        running_backends() as backends,
        running_stage(Rig(provider), (GatewayController(settings),)) as stage,
    ):
        found = Site(stage, backends, "listeners")
        found.apply(*wished(found))
        found.until(
            lambda got: got.status == 200, scheme="https", port=SECURE, host="first.example", sni="first.example"
        )
        yield found


BY_TLS = """
first.example        first.example        any
first.example        second.example       421
first.example        unknown.example      404
second.example       second.example       one
second.example       first.example        421
second.example       unknown.example      421
third.wild.example   third.wild.example   wide
third.wild.example   fifth.wild.example   wide
third.wild.example   fourth.wild.example  421
third.wild.example   second.example       421
third.wild.example   unknown.example      421
fourth.wild.example  fourth.wild.example  narrow
fourth.wild.example  fifth.wild.example   421
unknown.example      first.example        any
unknown.example      unknown.example      404
"""
"""The name of TLS, that of the request, and the listener or status that answers: as upstream's test asks (HTTPRouteHTTPSListenerDetectMisdirectedRequests)."""


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
def test_by_tls(site: Site, http2: bool) -> None:
    for row in BY_TLS.strip().splitlines():
        sni, host, right = row.split()
        got = site.get(scheme="https", port=SECURE, host=host, sni=sni, http2=http2)
        assert (got.header("x-by") or str(got.status)) == right, row


def test_by_tls_with_a_name_of_several_labels(site: Site) -> None:
    """HAProxy's lists of certificates know wildcards of one label alone: nobody comes in past the TLS settings of a listener."""
    right = "421" if site.stage.rig.provider is HAPROXY else "wide"
    got = site.get(scheme="https", port=SECURE, host="a.b.wild.example", sni="a.b.wild.example")
    assert (got.header("x-by") or str(got.status)) == right


def test_without_tls(site: Site) -> None:
    rows = {"first.example": "any", "second.example": "one", "third.wild.example": "wide", "a.b.wild.example": "wide"}
    for host, right in {
        **rows,
        "fourth.wild.example": "narrow",
        "unknown.example": "404",
        "wild.example": "404",
    }.items():
        got = site.get(port=PLAIN, host=host)
        assert (got.header("x-by") or str(got.status)) == right, host
