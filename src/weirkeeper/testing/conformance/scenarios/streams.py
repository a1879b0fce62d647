"""Bytes led on as they are: TCP, TLS unopened and TLS that ends here, UDP. What is lacking here is a listener or a route that is not there."""

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

from weirkeeper.controllers.shared.ids import id_of
from weirkeeper.model.backend import BackendTls
from weirkeeper.model.certificate import TrustBundle
from weirkeeper.model.ids import Ref
from weirkeeper.model.listener import Listener, ListenerTls
from weirkeeper.model.route import Forward, L4Route, WeightedBackend
from weirkeeper.model.text import Hostname, Id, PemText
from weirkeeper.model.value import Milliseconds
from weirkeeper.model.words import TlsMode
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.client import Response, Target
from weirkeeper.testing.conformance.backends import SECURE_NAME, datagram_echo, listening_backend
from weirkeeper.testing.conformance.scenario import needs
from weirkeeper.testing.conformance.site import AWAY, Manifest, Site
from weirkeeper.testing.eventually import poll_until
from weirkeeper.testing.load import Ask, Mix, Plan, load
from weirkeeper.testing.ports import free_port
from weirkeeper.testing.proxy_protocol import proxy_v2

AUTHORITY = Authority("conformance streams")
PORTS = {name: free_port() for name in ("tcp", "proxied", "sni", "alone", "ended", "udp", "idle", "steady")}
UNOPENED, ENDS = ListenerTls(mode="passthrough"), ListenerTls()
TRIES = 60


def _route(
    site: Site, port: str, *to: str | tuple[str, int], sni: tuple[str, ...] = (), tls: TlsMode | None = None,
    idle: int | None = None, listener: Id | None = None,
) -> L4Route:  # fmt: skip
    """A route of a port of the site's own, to backends by name or by name and weight."""
    shares = [(one, 1) if isinstance(one, str) else one for one in to]
    forward = Forward(backends=tuple(WeightedBackend(backend=site.backend_id(n), weight=w) for n, w in shares))
    return L4Route(
        id=id_of(site.namespace, port, *sni),
        load_balancer=site.load_balancer,
        listener=listener or site.listener(PORTS[port]).id,
        tls=tls,
        sni=tuple(map(Hostname, sni)),
        forward=forward,
        idle=None if idle is None else Milliseconds(idle),
        origin=site.origin(),
    )


def _given(site: Site, port: str, *routes: L4Route, **listener: Any) -> list[Manifest]:
    """A listener with these routes."""
    secure = {"secure": (site.backends.secure.port,), "second": (site.backends.second.port,)}
    made: list[Listener] = [site.listener(PORTS[port], **listener)]
    backends = [site.backend(name, protocol="tcp") for name in ("secure", "second")]
    return [site.neutral(listeners=made, l4_routes=routes, backends=backends, endpoints=secure)]


def _by(name: str) -> Callable[[Response], bool]:
    return lambda got: got.status == 200 and got.header("x-echo-name") == name


@needs(
    "connections of a port are led to a backend",
    "TCPRoute",
    lambda site: _given(site, "tcp", _route(site, "tcp", "a"), protocol="tcp"),
    listens=True,
)
def tcp(site: Site) -> None:
    got = site.until(_by("a"), port=PORTS["tcp"])
    assert got.echo.header("x-forwarded-for") is None, "what passes is looked into"
    site.apply(*_given(site, "tcp", _route(site, "tcp", ("a", 0), ("b", 1)), protocol="tcp"))
    site.until(_by("b"), port=PORTS["tcp"])
    assert {site.get(port=PORTS["tcp"]).header("x-echo-name") for _ in range(8)} == {"b"}
    site.apply(*_given(site, "tcp", protocol="tcp"))
    poll_until(lambda: site.tried(port=PORTS["tcp"]) is None, site.stage.rig.patience, what="no route, no answer")


@needs(
    "connections are shared by weight, and a backend that is not there refuses its share",
    "TCPRoute WeightedBackends",
    lambda site: _given(site, "tcp", _route(site, "tcp", ("a", 3), ("b", 1)), protocol="tcp"),
    listens=True,
)
def tcp_weights(site: Site) -> None:
    site.until(lambda got: got.status == 200, port=PORTS["tcp"])
    found = [site.get(port=PORTS["tcp"]).header("x-echo-name") for _ in range(TRIES)]
    assert 25 < found.count("a") < 58, found
    site.apply(*_given(site, "tcp", _route(site, "tcp", "a", "nobody"), protocol="tcp"))
    poll_until(lambda: site.tried(port=PORTS["tcp"]) is None, site.stage.rig.patience, what="a share is refused")
    some = [site.tried(port=PORTS["tcp"]) for _ in range(TRIES)]
    served = [got for got in some if got is not None]
    assert 10 < len(served) < 50, len(served)
    assert all(_by("a")(got) for got in served)


@needs(
    "the PROXY protocol is taken from clients and spoken to a backend of bytes",
    "TCPRoute ProxyProtocol BackendProxyProtocol",
    lambda site: [
        site.neutral(
            listeners=[site.listener(PORTS["proxied"], protocol="tcp", accept_proxy_protocol="v2")],
            l4_routes=(_route(site, "proxied", "told"),),
            backends=[site.backend("told", protocol="tcp", send_proxy_protocol="v1")],
            endpoints={"told": ()},
        )
    ],
    listens=True,
)
def proxied(site: Site) -> None:
    with listening_backend() as backend:
        site.apply(
            site.neutral(
                listeners=[site.listener(PORTS["proxied"], protocol="tcp", accept_proxy_protocol="v2")],
                l4_routes=(_route(site, "proxied", "told"),),
                backends=[site.backend("told", protocol="tcp", send_proxy_protocol="v1")],
                endpoints={"told": (backend.port,)},
            )
        )
        prefix = proxy_v2("203.0.113.7", "192.0.2.1", 4321, 80)
        site.until(lambda got: got.status == 200, port=PORTS["proxied"], prefix=prefix)
        assert backend.first.startswith(b"PROXY TCP4 203.0.113.7 192.0.2.1 4321 80\r\n"), backend.first


@needs(
    "TLS goes unopened to the backend of its name, and the narrowest name decides",
    "TLSRoute TLSPassthrough TLSTermination",
    lambda site: _given(site, "sni", *_by_names(site), protocol="tls", tls=UNOPENED),
    listens=True,
)
def passthrough(site: Site) -> None:
    def asked(host: str) -> str | None:
        got = site.tried(scheme="https", port=PORTS["sni"], host=host)
        return None if got is None else got.header("x-echo-name")

    site.until(_by("secure"), scheme="https", port=PORTS["sni"])
    got = site.get(scheme="https", port=PORTS["sni"], trust=site.backends.authority.pem(), host="backend.internal")
    assert got.header("x-echo-name") == "secure", "the certificate is the backend's own"
    assert asked("x." + site.host) == "second"
    assert asked("x.deep." + site.host) == "secure"
    assert asked("y.x.deep." + site.host) == "secure"
    assert asked("deep." + site.host) == "second"
    assert asked("elsewhere.example") is None, "a name that nobody has is refused"
    site.apply(*_given(site, "sni", *_by_names(site), _route(site, "sni", "second", tls="passthrough"),
                       protocol="tls", tls=UNOPENED))  # fmt: skip
    site.until(_by("second"), scheme="https", port=PORTS["sni"], host="elsewhere.example")
    assert asked(site.host) == "secure"


def _taken(port: int) -> bool:
    """Whether somebody takes connections there."""
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 2):
        return True
    return False


def _alone(site: Site, *routes: L4Route) -> list[Manifest]:
    """A listener for one name and nothing else on its port."""
    return _given(site, "alone", *routes, protocol="tls", tls=UNOPENED, hostname=Hostname(site.host))


@needs(
    "a name without a route is refused, and served once it has one",
    "TLSRoute TLSPassthrough",
    _alone,
    listens=True,
)
def alone(site: Site) -> None:
    poll_until(lambda: _taken(PORTS["alone"]), what="somebody listens")
    assert site.tried(scheme="https", port=PORTS["alone"]) is None
    site.apply(*_alone(site, _route(site, "alone", "secure", sni=(site.host,), tls="passthrough")))
    site.until(_by("secure"), scheme="https", port=PORTS["alone"])


def _by_names(site: Site) -> Iterator[L4Route]:
    yield _route(site, "sni", "secure", sni=(site.host, "backend.internal"), tls="passthrough")
    yield _route(site, "sni", "second", sni=("*." + site.host,), tls="passthrough")
    yield _route(site, "sni", "secure", sni=("*.deep." + site.host,), tls="passthrough")


@needs(
    "a change of one name cuts no connection of another",
    "TLSRoute TLSPassthrough TLSTermination",
    lambda site: _given(site, "sni", *_by_names(site), protocol="tls", tls=UNOPENED),
    listens=True,
)
def neighbours(site: Site) -> None:
    site.until(_by("secure"), scheme="https", port=PORTS["sni"])
    address, port = site.stage.rig.reach(PORTS["sni"])
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(socket.create_connection((address, port), timeout=10))
        held = stack.enter_context(_unchecked().wrap_socket(plain, server_hostname=site.host))
        for number in range(3):
            name = f"new{number}.example"
            route = _route(site, "sni", "second", sni=(name,), tls="passthrough")
            site.apply(*_given(site, "sni", *_by_names(site), route, protocol="tls", tls=UNOPENED))
            site.until(_by("second"), scheme="https", port=PORTS["sni"], host=name)
        held.sendall(b"GET / HTTP/1.1\r\nhost: held\r\n\r\n")
        assert held.recv(64).startswith(b"HTTP/1.1 200"), "the connection of another name was cut"


def _unchecked() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@needs(
    "hosts of HTTPS and names that pass unopened share a port",
    "TLSPassthrough TLSTermination",
    lambda site: [
        site.tls_secret("own", AUTHORITY.issue(site.host)),
        site.ingress({"ssl-redirect": "false"}, tls=[{"hosts": [site.host], "secretName": "own"}]),
        _unopened(site),
    ],
    listens=True,
)
def shared_port(site: Site) -> None:
    name = "unopened." + site.host
    site.until(_by("secure"), scheme="https", host=name)
    site.until(_by("a"), scheme="https")
    got = site.get(scheme="https", trust=AUTHORITY.pem(), http2=True)
    assert got.header("x-echo-name") == "a"
    seen = site.get().echo.header("x-forwarded-for")
    assert seen, "there is a client's address"
    assert got.echo.header("x-forwarded-for") == seen, "the client's address is lost on the way"
    assert got.echo.header("x-forwarded-proto") == "https"
    assert got.echo.header("x-forwarded-port") == str(site.stage.https_port)
    site.delete("Neutral", "main")
    poll_until(
        lambda: not _is_secure(site.tried(scheme="https", host=name)), site.stage.rig.patience, what="it is gone"
    )
    assert site.get(scheme="https").header("x-echo-name") == "a"


def _unopened(site: Site) -> Manifest:
    """A name of the port of HTTPS that passes."""
    https = Id(f"{site.load_balancer}/{id_of('https')}")
    route = _route(site, "sni", "secure", sni=("unopened." + site.host,), tls="passthrough", listener=https)
    endpoints = {"secure": (site.backends.secure.port,)}
    return site.neutral(l4_routes=(route,), backends=[site.backend("secure", protocol="tcp")], endpoints=endpoints)


def _is_secure(got: Response | None) -> bool:
    return got is not None and got.header("x-echo-name") == "secure"


@needs(
    "TLS ends here and what was in it is led on by name",
    "TLSRoute TLSTermination TLSRouteModeTerminate",
    lambda site: [
        site.tls_secret("own", AUTHORITY.issue(site.host, "two." + site.host)),
        site.ingress({"ssl-redirect": "false"}, tls=[{"hosts": [site.host, "two." + site.host], "secretName": "own"}]),
        *_given(site, "ended", _route(site, "ended", "a", sni=(site.host,), tls="terminate"),
                _route(site, "ended", "b", sni=("two." + site.host,), tls="terminate"), protocol="tls", tls=ENDS),
    ],
    listens=True,
)  # fmt: skip
def ended(site: Site) -> None:
    got = site.until(_by("a"), scheme="https", port=PORTS["ended"], trust=AUTHORITY.pem())
    assert got.echo.header("x-forwarded-proto") is None, "what was in it is looked into"
    site.until(_by("b"), scheme="https", port=PORTS["ended"], host="two." + site.host, trust=AUTHORITY.pem())
    assert site.tried(scheme="https", port=PORTS["ended"], host="three." + site.host) is None


def _opened(site: Site, *known: str) -> list[Manifest]:
    """TLS ends here and begins again: for backends whose certificate is for this name."""
    bundle = TrustBundle(
        id=site.backend_id("trust"),
        certificates=PemText(site.backends.authority.pem().decode()),
        origin=site.origin(),
    )
    routes = [_route(site, "ended", name, sni=(f"{name}.{site.host}",), tls="terminate") for name in known]
    backends = [
        site.backend(name, protocol="tcp", tls=BackendTls(server_name=Hostname(name), trust=bundle.id, verify=True))
        for name in known
    ]
    listener = site.listener(PORTS["ended"], protocol="tls", tls=ENDS)
    endpoints = dict.fromkeys(known, (site.backends.secure.port,))
    return [
        site.tls_secret("own", AUTHORITY.issue(*(f"{name}.{site.host}" for name in known))),
        site.ingress(
            {"ssl-redirect": "false"},
            tls=[{"hosts": [f"{name}.{site.host}" for name in known], "secretName": "own"}],
        ),
        site.neutral(
            listeners=[listener], l4_routes=routes, backends=backends, endpoints=endpoints, trust_bundles=(bundle,)
        ),
    ]


@needs(
    "TLS ends here and begins again before a backend of bytes, which is verified",
    "TLSRoute TLSTermination TLSRouteModeTerminate BackendProtocolHTTPS BackendTLSPolicy",
    lambda site: _opened(site, SECURE_NAME, "another.example"),
    listens=True,
)
def opened_and_closed(site: Site) -> None:
    port, trust = PORTS["ended"], AUTHORITY.pem()
    got = site.until(_is_secure, scheme="https", port=port, host=f"{SECURE_NAME}.{site.host}", trust=trust)
    assert got.echo.tls is not None
    assert got.echo.tls.sni == SECURE_NAME
    assert site.tried(scheme="https", port=port, host=f"another.example.{site.host}", trust=trust) is None


@needs(
    "TLS that ends here and TLS that does not share a port",
    "TLSRoute TLSPassthrough TLSTermination TLSRouteModeTerminate",
    lambda site: [
        site.tls_secret("own", AUTHORITY.issue(site.host)),
        site.ingress({"ssl-redirect": "false"}, tls=[{"hosts": [site.host], "secretName": "own"}]),
        *_given(site, "ended", _route(site, "ended", "a", sni=(site.host,), tls="terminate"),
                _route(site, "ended", "secure", sni=("un." + site.host,), tls="passthrough"), protocol="tls", tls=ENDS),
    ],
    listens=True,
)  # fmt: skip
def mixed(site: Site) -> None:
    site.until(_by("a"), scheme="https", port=PORTS["ended"], trust=AUTHORITY.pem())
    site.until(_by("secure"), scheme="https", port=PORTS["ended"], host="un." + site.host)
    assert site.tried(scheme="https", port=PORTS["ended"], host="three." + site.host) is None


@needs(
    "a connection on which nothing passes is ended",
    "TCPRoute",
    lambda site: _given(site, "idle", _route(site, "idle", "a", idle=300), protocol="tcp"),
    listens=True,
)
def idle(site: Site) -> None:
    site.until(_by("a"), port=PORTS["idle"])
    with socket.create_connection(site.stage.rig.reach(PORTS["idle"]), timeout=10) as waiting:
        assert waiting.recv(1) == b""


@needs(
    "no connection is lost while endpoints of a port change",
    "TCPRoute",
    lambda site: _given(site, "steady", _route(site, "steady", "a"), protocol="tcp"),
    listens=True,
)
def steady(site: Site) -> None:
    site.until(_by("a"), port=PORTS["steady"])
    address, port = site.stage.rig.reach(PORTS["steady"])
    target = Target(port=port, address=address)
    plan = Plan(target=target, asks=(Ask(name="steady", host=site.host),), mix=Mix.NEW_CONNECTION, rate=100, seconds=60)
    with load(plan) as running:
        for number in range(6):
            name, echo = ("b", site.backends.b) if number % 2 == 0 else ("a", site.backends.a)
            listener = site.listener(PORTS["steady"], protocol="tcp")
            site.apply(site.neutral(listeners=[listener], l4_routes=(_route(site, "steady", "a"),),
                                    endpoints={"a": (echo.port,)}))  # fmt: skip
            site.until(_by(name), port=PORTS["steady"])
        result = running.stop()
    assert not result.failures(lambda record: record.status == 200), result.records[-5:]


@needs(
    "datagrams are led to a backend and back",
    "UDPRoute",
    lambda site: _given(site, "udp", _route(site, "udp", "a"), protocol="udp"),
    listens=True,
)
def udp(site: Site) -> None:
    with datagram_echo(b"one") as one, datagram_echo(b"two") as two:
        ports = {"one": (one,), "two": (two,)}
        backends = [site.backend(name, protocol="udp") for name in ports]
        for shares, right in ((("one",), {b"one"}), (("one", "two"), {b"one", b"two"}), ((("two", 1),), {b"two"})):
            listener = site.listener(PORTS["udp"], protocol="udp")
            site.apply(site.neutral(listeners=[listener], l4_routes=(_route(site, "udp", *shares),),
                                    backends=backends, endpoints=ports))  # fmt: skip
            poll_until(lambda: _answered(site) == right, site.stage.rig.patience, what=f"datagrams come to {right}")  # noqa: B023


def _answered(site: Site) -> set[bytes]:
    """Who answers to twenty clients; nobody may fail to."""
    found = set()
    for _ in range(20):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(0.5)
            with contextlib.suppress(*AWAY):
                asking.sendto(b"hello", site.stage.rig.reach(PORTS["udp"]))
                found.add(asking.recv(64))
    return found


@needs(
    "a name that two routes want goes to the older one",
    "TLSRoute TLSPassthrough TLSTermination",
    lambda site: _given(site, "sni", *_by_names(site), protocol="tls", tls=UNOPENED),
    listens=True,
)
def rivals(site: Site) -> None:
    late = _route(site, "sni", "second", sni=(site.host, "late.example"), tls="passthrough")
    site.apply(*_given(site, "sni", *_by_names(site), late, protocol="tls", tls=UNOPENED))
    site.until(_by("second"), scheme="https", port=PORTS["sni"], host="late.example")
    assert {site.get(scheme="https", port=PORTS["sni"]).header("x-echo-name") for _ in range(4)} == {"secure"}
    said = [found for found in site.findings() if late.id in found.affected]
    assert said, "nobody is told that a name is somebody else's"
    assert said[0].origin.ref == Ref(
        group="conformance.weirkeeper.io", kind="Neutral", namespace=site.namespace, name="main"
    )


@needs(
    "TLS of an Ingress goes unopened to its Service",
    "TLSPassthrough TLSTermination",
    lambda site: [
        *site.service("unopened", site.backends.secure.port),
        site.ingress({"ssl-passthrough": "true"}, paths=[("/", "Prefix", "unopened")]),
    ],
    listens=True,
)
def ingress_passthrough(site: Site) -> None:
    site.until(_by("secure"), scheme="https")
    assert site.get().status == 308, "HTTP is redirected"
    guarded = {"ssl-passthrough": "true", "whitelist-source-range": "192.0.2.0/24"}
    site.apply(site.ingress(guarded, paths=[("/", "Prefix", "unopened")]))
    poll_until(
        lambda: not _is_secure(site.tried(scheme="https")), site.stage.rig.patience, what="nothing gets around a guard"
    )
    assert "WK406" in {found.reason.value for found in site.findings()}, site.findings()
