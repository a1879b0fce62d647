"""Where connections come in: TLS by SNI, client certificates, versions, the PROXY protocol. What is lacking here is a listener that is not there."""

import contextlib
import socket

from weirkeeper.model.certificate import TrustBundle
from weirkeeper.model.listener import ClientValidation, HttpOptions, ListenerTls
from weirkeeper.model.text import CipherName, PemText
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.client import Response
from weirkeeper.testing.conformance.scenario import needs
from weirkeeper.testing.conformance.site import AWAY, Manifest, Site
from weirkeeper.testing.ports import free_port
from weirkeeper.testing.proxy_protocol import proxy_v1

AUTHORITY = Authority("conformance clients")
PORTS = {
    name: free_port()
    for name in ("proxy", "versions", "ciphers", "clients", "fallback", "depth", "http3", "quiet", "narrow")
}


def _tls(site: Site, host: str, name: str) -> list[Manifest]:
    pair = AUTHORITY.issue(host)
    tls = [{"hosts": [host], "secretName": name}]
    return [site.tls_secret(name, pair), site.ingress({"ssl-redirect": "false"}, name=name, host=host, tls=tls)]


def _secure(site: Site, name: str, tls: ListenerTls, **intent: object) -> list[Manifest]:
    """An HTTPS listener of its own that serves what Ingresses serve, and a certificate for the site's host."""
    listener = site.listener(PORTS[name], protocol="https", tls=tls)
    return [*_tls(site, site.host, "web"), site.neutral(listeners=[listener], **intent)]  # type: ignore[arg-type]


def _refused(site: Site, **more: object) -> bool:
    """Whether the connection does not come about."""
    with contextlib.suppress(*AWAY):
        site.get(**more)  # type: ignore[arg-type]
        return False
    return True


@needs(
    "TLS ends here, with the right certificate for each host",
    "TLSTermination",
    lambda site: [*_tls(site, site.host, "one"), *_tls(site, "two." + site.host, "two")],
    listens=True,
)
def termination(site: Site) -> None:
    first = site.until(lambda got: got.status == 200, scheme="https")
    second = site.until(lambda got: got.status == 200, scheme="https", host="two." + site.host)
    assert first.fingerprint != second.fingerprint
    trusted = site.get(scheme="https", trust=AUTHORITY.pem())
    assert trusted.header("x-echo-name") == "a"
    assert trusted.echo.header("x-forwarded-proto") == "https"


@needs(
    "a rotated certificate is shown, and HTTP 2 is spoken",
    "TLSTermination",
    lambda site: _tls(site, site.host, "web"),
    listens=True,
)
def rotation(site: Site) -> None:
    before = site.until(lambda got: got.status == 200, scheme="https", http2=True)
    assert before.protocol == "HTTP/2"
    site.apply(site.tls_secret("web", AUTHORITY.issue(site.host)))
    site.until(lambda got: got.status == 200 and got.fingerprint != before.fingerprint, scheme="https")


@needs(
    "TLS versions are limited",
    "TLSTermination TlsVersions",
    lambda site: _secure(site, "versions", ListenerTls(min_version="1.3")),
    listens=True,
)
def versions(site: Site) -> None:
    site.until(_right, scheme="https", port=PORTS["versions"])
    site.until(_right, scheme="https")


@needs(
    "TLS ciphers are limited",
    "TLSTermination TlsVersions TlsCiphers",
    lambda site: _secure(
        site, "ciphers", ListenerTls(max_version="1.2", ciphers=(CipherName("ECDHE-ECDSA-AES256-GCM-SHA384"),))
    ),
    listens=True,
)
def ciphers(site: Site) -> None:
    site.until(_right, scheme="https", port=PORTS["ciphers"])


@needs(
    "clients show a certificate that is verified",
    "TLSTermination ClientCertificateValidation",
    lambda site: _secure(
        site,
        "clients",
        ListenerTls(client_validation=ClientValidation(trust=site.backend_id("clients"))),
        trust_bundles=(
            TrustBundle(
                id=site.backend_id("clients"), certificates=PemText(AUTHORITY.pem().decode()), origin=site.origin()
            ),
        ),
    ),
    listens=True,
)
def client_certificates(site: Site) -> None:
    port = PORTS["clients"]
    site.until(_right, scheme="https", port=port, pair=AUTHORITY.issue("ann.example"))
    assert _refused(site, scheme="https", port=port)
    assert _refused(site, scheme="https", port=port, pair=Authority("strangers").issue("ann.example"))


@needs(
    "clients may show a certificate that nobody has verified, or none",
    "TLSTermination ClientCertificateValidation GatewayFrontendClientCertificateValidationInsecureFallback",
    lambda site: _secure(
        site,
        "fallback",
        ListenerTls(
            client_validation=ClientValidation(trust=site.backend_id("clients"), mode="allow-insecure-fallback")
        ),
        trust_bundles=(
            TrustBundle(
                id=site.backend_id("clients"), certificates=PemText(AUTHORITY.pem().decode()), origin=site.origin()
            ),
        ),
    ),
    listens=True,
)
def insecure_fallback(site: Site) -> None:
    port = PORTS["fallback"]
    site.until(_right, scheme="https", port=port, pair=AUTHORITY.issue("ann.example"))
    for name in ("strangers", "conformance clients"):  # the second has the name of one that is known, and another key
        assert _right(site.get(scheme="https", port=port, pair=Authority(name).issue("ann.example"))), name
    assert _right(site.get(scheme="https", port=port))


BELOW = Authority("conformance clients, one step down", issuer=AUTHORITY)


@needs(
    "the chain of a client's certificate is not too long",
    "TLSTermination ClientCertificateValidation CertificateDepth",
    lambda site: _secure(
        site,
        "depth",
        ListenerTls(client_validation=ClientValidation(trust=site.backend_id("clients"), depth=0)),
        trust_bundles=(
            TrustBundle(
                id=site.backend_id("clients"), certificates=PemText(AUTHORITY.pem().decode()), origin=site.origin()
            ),
        ),
    ),
    listens=True,
)
def certificate_depth(site: Site) -> None:
    port = PORTS["depth"]
    site.until(_right, scheme="https", port=port, pair=AUTHORITY.issue("ann.example"))
    longer = BELOW.issue("ann.example", chain=True)
    assert _refused(site, scheme="https", port=port, pair=longer) or not site.exact("CertificateDepth")


def _guarded(site: Site, **more: str) -> list[Manifest]:
    """An Ingress that asks for client certificates, and a neighbour of its host that does not; each path its own backend."""
    asked = {"auth-tls-secret": "clients", **{key.replace("_", "-"): text for key, text in more.items()}}
    tls = [{"hosts": [site.host], "secretName": "web"}]
    return [
        site.tls_secret("web", AUTHORITY.issue(site.host)),
        site.secret("clients", ca_crt=AUTHORITY.pem()),
        site.ingress(asked, tls=tls),
        site.ingress(name="neighbour", paths=[("/b", "Prefix", "b")]),
        *_tls(site, "open." + site.host, "open"),
    ]


@needs(
    "clients of one host show a certificate by annotation",
    "TLSTermination ClientCertificateValidation",
    lambda site: _guarded(site, auth_tls_pass_certificate_to_upstream="true"),
    listens=True,
)
def guarded_host(site: Site) -> None:
    ann = AUTHORITY.issue("ann.example")
    forged = (("ssl-client-verify", "FORGED"), ("ssl-client-cert", "FORGED"))
    echo = site.until(_right, scheme="https", pair=ann, headers=forged).echo
    assert echo.all_headers("ssl-client-verify") == ["SUCCESS"]
    assert "ann.example" in (echo.header("ssl-client-subject-dn") or "")
    assert [text[:30] for text in echo.all_headers("ssl-client-cert")] == ["-----BEGIN%20CERTIFICATE-----%"]
    assert site.get("/b", scheme="https", pair=ann).header("x-echo-name") == "b", "the whole host is guarded"
    for path in ("/", "/b"):
        assert _refused(site, path=path, scheme="https")
        assert _refused(site, path=path, scheme="https", pair=Authority("strangers").issue("ann.example"))
        plain = site.get(path)
        assert plain.status == 308
        assert (plain.header("location") or "").startswith(f"https://{site.host}")
        assert site.get(path, scheme="https", sni="open." + site.host).status == 421, "no way round by another name"
    assert site.get(host="open." + site.host).header("x-echo-name") == "a"


@needs(
    "clients of one host may show a certificate",
    "TLSTermination ClientCertificateValidation",
    lambda site: _guarded(site, auth_tls_verify_client="optional"),
    listens=True,
)
def asked_host(site: Site) -> None:
    echo = site.until(_right, scheme="https").echo
    forged = (("ssl-client-subject-dn", "CN=root"),)
    assert site.get(scheme="https", headers=forged).echo.header("ssl-client-subject-dn") is None
    assert echo.header("ssl-client-verify") is None
    shown = site.get(scheme="https", pair=AUTHORITY.issue("ann.example")).echo
    assert "ann.example" in (shown.header("ssl-client-subject-dn") or "")
    assert _refused(site, scheme="https", pair=Authority("strangers").issue("ann.example"))


@needs(
    "the PROXY protocol is accepted",
    "ProxyProtocol",
    lambda site: [
        site.ingress(),
        site.neutral(listeners=[site.listener(PORTS["proxy"], accept_proxy_protocol="v1")]),
    ],
    listens=True,
)
def proxy_protocol(site: Site) -> None:
    prefix = proxy_v1("203.0.113.7", "192.0.2.1", 4321, 80)
    got = site.until(_right, port=PORTS["proxy"], prefix=prefix)
    assert "203.0.113.7" in (got.echo.header("x-forwarded-for") or "")


@needs(
    "HTTP 3 is served",
    "Http3",
    lambda site: [
        site.ingress(),
        site.neutral(listeners=[site.listener(PORTS["http3"], http=HttpOptions(http3=True))]),
    ],
    listens=True,
)
def http3(site: Site) -> None:
    site.answers("a")


@needs(
    "connections of a listener are limited",
    "ListenerConnectionLimit",
    lambda site: [site.ingress(), site.neutral(listeners=[site.listener(PORTS["narrow"], connection_limit=1)])],
    listens=True,
)
def connection_limit(site: Site) -> None:
    site.until(_right, port=PORTS["narrow"])
    address, port = site.stage.rig.reach(PORTS["narrow"])
    with socket.create_connection((address, port)):
        assert _refused(site, port=PORTS["narrow"])


@needs(
    "requests of a listener are not logged",
    "AccessLog",
    lambda site: [site.ingress(), site.neutral(listeners=[site.listener(PORTS["quiet"], access_log=False)])],
)
def quiet(site: Site) -> None:
    site.until(_right, port=PORTS["quiet"])


def _right(got: Response) -> bool:
    return got.status == 200
