"""Client certificates: no way round by a resumed session or another name, revocations hold, and headers are ours alone."""

import contextlib
import datetime
import socket
import ssl
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from weirkeeper.model.certificate import TrustBundle
from weirkeeper.model.listener import ClientValidation, ListenerTls
from weirkeeper.model.text import PemText
from weirkeeper.providers.haproxy import PROVIDER
from weirkeeper.testing.certificates import Authority, PemPair
from weirkeeper.testing.client import Response
from weirkeeper.testing.conformance import Rig, Site, Stage
from weirkeeper.testing.conformance.backends import Backends, running_backends
from weirkeeper.testing.conformance.site import AWAY
from weirkeeper.testing.conformance.stage import running_stage
from weirkeeper.testing.ports import free_port

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("haproxy-clients")]

AUTHORITY = Authority("clients of haproxy")


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
    made = Site(stage, backends, request.node.name.replace("_", "-")[:40].rstrip("-"))
    made.apply(*made.service("a", backends.a.port), *made.service("b", backends.b.port))
    yield made
    made.clear()


def guarded(site: Site, **annotations: str) -> None:
    asked = {"auth-tls-secret": "clients", **{key.replace("_", "-"): text for key, text in annotations.items()}}
    free = "open." + site.host
    site.apply(
        site.tls_secret("web", AUTHORITY.issue(site.host)),
        site.tls_secret("free", AUTHORITY.issue(free)),
        site.secret("clients", ca_crt=AUTHORITY.pem()),
        site.ingress(asked, tls=[{"hosts": [site.host], "secretName": "web"}]),
        site.ingress(
            {"ssl-redirect": "false"},
            name="free",
            host=free,
            tls=[{"hosts": [free], "secretName": "free"}],
            paths=[("/", "Prefix", "b")],
        ),
    )
    site.until(right, scheme="https", pair=AUTHORITY.issue("ann.example"))
    site.until(right, scheme="https", host=free)


def right(got: Response) -> bool:
    return got.status == 200


def answered(
    port: int, context: ssl.SSLContext, name: str, host: str, session: ssl.SSLSession | None = None
) -> tuple[str, ssl.SSLSession | None, bool]:
    """The status line, the session, and whether an earlier one was resumed."""
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname=name, session=session) as one,
    ):
        one.sendall(f"GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
        got = b""
        with contextlib.suppress(OSError):
            while more := one.recv(65536):
                got += more
        return got.partition(b"\r\n")[0].decode(), one.session, one.session_reused or False


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_session_of_another_name_is_no_way_in(site: Site, version: ssl.TLSVersion) -> None:
    guarded(site)
    context = ssl.create_default_context(cadata=AUTHORITY.pem().decode())
    context.minimum_version = context.maximum_version = version
    context.check_hostname = False
    free = "open." + site.host
    port = site.stage.https_port
    line, session, _ = answered(port, context, free, free)
    assert " 200 " in line
    _, _, resumed = answered(port, context, free, free, session)
    assert not resumed
    with contextlib.suppress(*AWAY):
        line, _, _ = answered(port, context, site.host, site.host, session)
        assert " 200 " not in line


def test_headers_of_certificates_are_ours(site: Site) -> None:
    guarded(site, auth_tls_verify_client="optional", auth_tls_pass_certificate_to_upstream="true")
    forged = [(f"ssl-client-{name}", "FORGED") for name in ("verify", "subject-dn", "issuer-dn", "cert")]
    echo = site.get(scheme="https", headers=forged).echo
    assert [echo.header(name) for name, _ in forged] == [None] * 4
    shown = site.get(scheme="https", headers=forged, pair=AUTHORITY.issue("ann.example")).echo
    assert shown.header("ssl-client-subject-dn") == "CN=ann.example"
    from urllib.parse import unquote  # noqa: PLC0415

    pem = unquote(shown.header("ssl-client-cert") or "")
    assert x509.load_pem_x509_certificate(pem.encode()).subject.rfc4514_string() == "CN=ann.example"
    assert max(map(len, pem.splitlines())) == 64


def test_a_host_may_let_strangers_in_and_its_neighbour_not(site: Site) -> None:
    guarded(site)
    lenient = "lenient." + site.host
    site.apply(
        site.tls_secret("soft", AUTHORITY.issue(lenient)),
        site.ingress(
            {"auth-tls-secret": "clients", "auth-tls-verify-client": "optional_no_ca"},
            name="soft",
            host=lenient,
            tls=[{"hosts": [lenient], "secretName": "soft"}],
            paths=[("/", "Prefix", "b")],
        ),
    )
    stranger = Authority("strangers").issue("eve.example")
    echo = site.until(right, scheme="https", host=lenient, pair=stranger).echo
    assert echo.header("ssl-client-verify") is None
    assert enters(site, AUTHORITY.issue("ann.example"))
    assert not enters(site, stranger), "its neighbour's leniency is not its own"
    assert not enters(site, None)


def test_a_revoked_certificate_is_refused(site: Site) -> None:
    ann, bob = AUTHORITY.issue("ann.example"), AUTHORITY.issue("bob.example")
    port = free_port()
    bundle = TrustBundle(
        id=site.backend_id("clients"),
        certificates=PemText(AUTHORITY.pem().decode()),
        revocations=PemText(revoking(bob)),
        origin=site.origin(),
    )
    listener = site.listener(
        port, protocol="https", tls=ListenerTls(client_validation=ClientValidation(trust=site.backend_id("clients")))
    )
    site.apply(
        site.tls_secret("web", AUTHORITY.issue(site.host)),
        site.ingress({"ssl-redirect": "false"}, tls=[{"hosts": [site.host], "secretName": "web"}]),
        site.neutral(listeners=[listener], trust_bundles=(bundle,)),
    )
    site.until(right, scheme="https", port=port, pair=ann)
    assert not enters(site, bob, port)


def enters(site: Site, pair: PemPair | None, port: int | None = None) -> bool:
    with contextlib.suppress(*AWAY):
        return site.get(scheme="https", pair=pair, **({"port": port} if port else {})).status == 200
    return False


def revoking(pair: PemPair) -> str:
    now = datetime.datetime.now(datetime.UTC)
    serial = x509.load_pem_x509_certificate(pair.certificate).serial_number
    revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(AUTHORITY.name)
        .last_update(now)
        .next_update(now + datetime.timedelta(days=1))
    )
    return (
        builder.add_revoked_certificate(revoked)
        .sign(AUTHORITY.key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )
