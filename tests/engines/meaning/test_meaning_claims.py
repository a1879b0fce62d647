"""What a client claims of itself (RFC 7239, and the headers before it): believed of trusted addresses only, on every engine; a stranger's claim reaches no backend and gets past no redirect."""

from collections.abc import Iterator

import pytest
from meaning_engines import RIGS, running_site

from weirkeeper.model.listener import ClientAddress, HttpOptions, ListenerTls
from weirkeeper.model.text import Cidr
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.conformance import Site
from weirkeeper.testing.ports import free_port
from weirkeeper.testing.proxy_protocol import proxy_v1

pytestmark = pytest.mark.engine

CLAIMS = (
    ("x-forwarded-for", "203.0.113.9"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-port", "4444"),
    ("x-forwarded-prefix", "/claimed"),
    ("x-forwarded-host", "claimed.example"),
    ("forwarded", "for=203.0.113.9"),
    ("x-real-ip", "203.0.113.9"),
)
TRUST = {
    "nobody": ClientAddress(),
    "others": ClientAddress(trusted=(Cidr("10.0.0.0/8"), Cidr("2001:db8::/32"))),
    "hops": ClientAddress(trusted_hops=1),
    "us": ClientAddress(trusted=(Cidr("10.0.0.0/8"), Cidr("127.0.0.0/8"))),
}
PORTS = {(name, scheme): free_port() for name in (*TRUST, "proxied") for scheme in ("http", "https")}
SECURE = "secure"
PEER = frozenset({"127.0.0.1", "192.0.2.2"})
"""We ourselves: Envoy names its own address in place of loopback."""


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.xdist_group(f"claims-{name}")) for name in RIGS]
)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with running_site(str(request.param), "claims") as site:
        pair = Authority("claims").issue(site.host, SECURE + "." + site.host)
        listeners = [
            site.listener(
                port,
                protocol=scheme,
                tls=ListenerTls() if scheme == "https" else None,
                http=HttpOptions(client_address=TRUST[name if name in TRUST else "others"]),
                accept_proxy_protocol=name == "proxied",
            )
            for (name, scheme), port in PORTS.items()
        ]
        redirected = {"ssl-redirect": "true"}
        site.apply(
            site.tls_secret("web", pair),
            site.ingress({"ssl-redirect": "false"}, tls=[{"hosts": [site.host], "secretName": "web"}]),
            site.ingress(redirected, name=SECURE, host=SECURE + "." + site.host, tls=[{"hosts": [SECURE + "." + site.host], "secretName": "web"}]),
            site.neutral(listeners=listeners),
        )
        for (name, scheme), port in PORTS.items():
            prefix = proxy_v1("192.0.2.9", "192.0.2.1", 4321, 80) if name == "proxied" else b""
            site.until(lambda got: got.status == 200, scheme=scheme, port=port, prefix=prefix)
        yield site


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("trust", ["nobody", "others"])
def test_what_a_stranger_claims_reaches_no_backend(site: Site, trust: str, scheme: str) -> None:
    port = PORTS[trust, scheme]
    got = site.get(scheme=scheme, port=port, headers=CLAIMS).echo
    seen = {name: got.header(name) for name, _ in CLAIMS}
    assert seen.pop("x-forwarded-for") in PEER
    assert seen == {
        "x-forwarded-proto": scheme,
        "x-forwarded-port": str(port),
        "x-forwarded-prefix": None,
        "x-forwarded-host": f"{site.host}:{port}" if ":" in (got.header("host") or "") else site.host,
        "forwarded": None,
        "x-real-ip": None,
    }


@pytest.mark.parametrize("trust", ["hops", "us"])
def test_what_a_trusted_address_claims_is_passed_on(site: Site, trust: str) -> None:
    got = site.get(port=PORTS[trust, "http"], headers=CLAIMS).echo
    told = ",".join(value for name, value in got.headers if name == "x-forwarded-for").replace(" ", "").split(",")
    assert told[0] == "203.0.113.9"
    assert len(told) == 2
    assert told[1] in PEER
    assert [got.header(name) for name, _ in CLAIMS[1:4]] == ["https", "4444", "/claimed"]
    assert got.header("x-forwarded-host") == "claimed.example"


def test_only_a_trusted_address_has_come_by_https_already(site: Site) -> None:
    host = SECURE + "." + site.host

    def asked(trust: str) -> int:
        return site.get(port=PORTS[trust, "http"], host=host, headers=(("x-forwarded-proto", "https"),)).status

    assert {trust: asked(trust) for trust in TRUST} == {"nobody": 308, "others": 308, "hops": 200, "us": 200}


def test_the_address_that_is_trusted_is_the_one_that_a_proxy_tells(site: Site) -> None:
    def asked(source: str) -> str | None:
        prefix = proxy_v1(source, "192.0.2.1", 4321, 80)
        return site.get(port=PORTS["proxied", "http"], prefix=prefix, headers=CLAIMS).echo.header("x-real-ip")

    assert (asked("192.0.2.9"), asked("10.1.2.3")) == (None, "203.0.113.9")
