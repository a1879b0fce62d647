"""TLS by real handshakes: certificates on demand, policies of their own, the default, PROXY protocol, backends by TLS."""

import gc
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from served import ORIGIN, World, answering, route, served

from weirkeeper.model.backend import BackendTls
from weirkeeper.model.certificate import Certificate, TrustBundle
from weirkeeper.model.filters import IpRules
from weirkeeper.model.listener import ClientValidation, ListenerTls
from weirkeeper.model.match import RouteMatch
from weirkeeper.model.route import Redirect
from weirkeeper.model.secret import Secret
from weirkeeper.providers.envoy import EnvoyOptions
from weirkeeper.testing.certificates import Authority, PemPair
from weirkeeper.testing.client import get
from weirkeeper.testing.echo import echo_thread
from weirkeeper.testing.ports import free_ports
from weirkeeper.testing.proxy_protocol import proxy_v1, proxy_v2

# asyncio leaves the transport of a handshake that the other side ends to the collector, which says so; that is no finding here.
pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")]


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    yield
    gc.collect()


class Front:
    """Ports of a running Envoy and the certificates that it was given."""

    def __init__(self) -> None:
        self.plain, self.secure, self.proxied = free_ports(3)
        self.servers, self.clients, self.backends = Authority("servers"), Authority("clients"), Authority("backends")
        self.pairs: dict[str, PemPair] = {}

    def certificate(self, world: World, name: Any, *hosts: Any, serves: bool = True, default: bool = False) -> None:
        pair = self.pairs[name] = self.servers.issue(*hosts)
        chain: Any = pair.certificate.decode()
        made = Certificate(
            id=name,
            chain=chain,
            key=Secret(pair.key.decode()),
            names=hosts if serves else (),
            default=default,
            origin=ORIGIN,
        )
        world.part("certificates", made)


def declared(front: Front, world: World) -> None:
    """Listeners and certificates."""
    front.certificate(world, "a", "a.example")
    front.certificate(world, "wild", "*.wild.example")
    front.certificate(world, "default", "default.invalid", serves=False, default=True)
    front.certificate(world, "policy", "b.example", serves=False)
    for bundle, authority in (("clients", front.clients), ("backends", front.backends)):
        world.part("trust_bundles", TrustBundle(id=bundle, certificates=authority.pem().decode(), origin=ORIGIN))  # type: ignore[arg-type]
    world.listener("http", front.plain)
    world.listener(
        "https", front.secure, protocol="https", group="secure", tls=ListenerTls(default_certificate="default")
    )  # type: ignore[arg-type]
    validation = ClientValidation(trust="clients")  # type: ignore[arg-type]
    policy = ListenerTls(certificates=("policy",), min_version="1.3", client_validation=validation)  # type: ignore[arg-type]
    world.listener("policy", front.secure, protocol="https", group="policy", hostname="b.example", tls=policy)
    world.listener("proxied", front.proxied, accept_proxy_protocol="either")


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    front, world = Front(), World(EnvoyOptions(ipv6=False, access_log=None))
    declared(front, world)
    pair, folder = front.backends.issue("backend.internal"), tmp_path_factory.mktemp("backend")
    (folder / "c").write_bytes(pair.certificate)
    (folder / "k").write_bytes(pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "c", folder / "k")
    with echo_thread(name="a") as a, echo_thread(name="tls", tls=context) as tls:
        world.backend("a", a.port)
        for backend, name in (("tls", "backend.internal"), ("wrong", "other.internal")):
            wished = BackendTls(server_name=name, trust="backends", verify=True)  # type: ignore[arg-type]
            world.backend(backend, tls.port, tls=wished)
        for host in ("a.example", "x.wild.example"):
            world.host(host, route(), group="secure")
        world.host("b.example", route(), group="policy")
        world.host(
            "a.example",
            route("up", action=Redirect(scheme="https", port=443, status=308), match=RouteMatch(scheme="http")),
        )
        world.host("tls.example", route(to="tls"))
        world.host("wrong.example", route(to="wrong"))
        world.host("ip.example", route(ip_rules=IpRules(allow=("203.0.113.0/24",))))
        with served(world) as (_, told):
            answering(front.plain, "http://tls.example/", told)
            assert told.refusals == []
            yield front


@pytest.mark.parametrize(
    ("host", "sni", "shown"),
    [
        ("a.example", "a.example", "a"),
        ("x.wild.example", "x.wild.example", "wild"),
        ("a.example", "", "default"),
    ],
)
@pytest.mark.parametrize("http2", [False, True])
def test_certificate_by_server_name(front: Front, host: str, sni: str, shown: str, http2: bool) -> None:
    answer = get(f"https://{host}/", via=front.secure, sni=sni, http2=http2)
    assert answer.echo.header("x-forwarded-proto") == "https"
    assert answer.fingerprint == front.pairs[shown].fingerprint()


def test_unknown_name_gets_no_handshake(front: Front) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        get("https://nobody.example/", via=front.secure)


def test_policy_host(front: Front) -> None:
    client = front.clients.issue("client")
    good = get("https://b.example/", via=front.secure, pair=client)
    assert (good.status, good.fingerprint) == (200, front.pairs["policy"].fingerprint())
    for pair in (None, front.servers.issue("stranger")):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            get("https://b.example/", via=front.secure, pair=pair)
    assert get("https://a.example/", via=front.secure, host="b.example").status == 421
    assert get("https://a.example/", via=front.secure, host="B.example:443").status == 421
    assert get("https://b.example/", via=front.secure, host="a.example", pair=client).status == 421
    assert get("https://b.example/", via=front.secure, host="nobody.example", pair=client).status == 421
    assert get("https://a.example/", via=front.secure, host="nobody.example").status == 404


def test_redirect_to_https_drops_the_port(front: Front) -> None:
    answer = get("http://a.example/x", via=front.plain, host=f"a.example:{front.plain}")
    assert (answer.status, answer.header("location")) == (308, "https://a.example/x")
    assert get("http://a.example/x", via=front.plain, headers=[("X-Forwarded-Proto", "https")]).status == 308


def test_backend_by_tls_is_verified(front: Front) -> None:
    echo = get("http://tls.example/", via=front.plain).echo
    assert echo.tls is not None
    assert echo.tls.sni == "backend.internal"
    assert get("http://wrong.example/", via=front.plain).status == 503


@pytest.mark.parametrize("version", [proxy_v1, proxy_v2])
def test_proxy_protocol_names_the_client(front: Front, version: Any) -> None:
    def status(client: str) -> int:
        return get("http://ip.example/", via=front.proxied, prefix=version(client, "127.0.0.1", 4711, 80)).status

    assert (status("203.0.113.9"), status("198.51.100.9")) == (200, 403)
    assert get("http://ip.example/", via=front.plain).status == 403
