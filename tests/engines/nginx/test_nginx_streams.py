"""Bytes through an NGINX: what a reload leaves alone and why there is one, what is refused and said, certificates that change without one, and sockets of one that was killed."""

import contextlib
import os
import signal
import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from watched import Watched, settled

from weirkeeper.controllers.shared.ids import id_of
from weirkeeper.model.backend import FromDns
from weirkeeper.model.certificate import TrustBundle
from weirkeeper.model.listener import ClientValidation, Listener, ListenerTls
from weirkeeper.model.route import Forward, L4Route, WeightedBackend
from weirkeeper.model.text import Hostname, PemText
from weirkeeper.model.words import TlsMode
from weirkeeper.providers.nginx import PROVIDER
from weirkeeper.providers.nginx.binary import modules
from weirkeeper.providers.nginx.plan import Cause
from weirkeeper.providers.nginx.translate.frame import MODULES
from weirkeeper.providers.nginx.translate.items import KEYS
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.conformance import Rig, Site
from weirkeeper.testing.conformance.backends import running_backends
from weirkeeper.testing.conformance.stage import running_stage
from weirkeeper.testing.eventually import poll_until
from weirkeeper.testing.ports import free_port

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("nginx-streams")]

AUTHORITY = Authority("nginx streams")
TCP, UDP, TLS = free_port(), free_port(), free_port()
UNOPENED, ENDS = ListenerTls(mode="passthrough"), ListenerTls()
LONG = 60.0


@pytest.fixture(scope="module")
def rig() -> Watched:
    return Watched(PROVIDER, options={"reload-milliseconds": "50"})


@pytest.fixture(scope="module")
def site(rig: Watched) -> Iterator[Site]:
    with running_backends() as backends, running_stage(rig) as stage:
        made = Site(stage, backends, "streams")
        made.apply(*made.service("a", backends.a.port), made.ingress())
        made.answers("a")
        settled(made, rig)
        yield made


def route(site: Site, port: int, to: str, *sni: str, tls: TlsMode | None = None) -> L4Route:
    return L4Route(
        id=id_of(site.namespace, str(port), *sni),
        load_balancer=site.load_balancer,
        listener=site.listener(port).id,
        tls=tls,
        sni=tuple(map(Hostname, sni)),
        forward=Forward(backends=(WeightedBackend(backend=site.backend_id(to), weight=1),)),
        origin=site.origin(),
    )


def given(site: Site, listener: Listener, *routes: L4Route, to: int | None = None, **more: object) -> None:
    """What is wished; ``x`` is a backend of bytes, ``secure`` one that speaks TLS."""
    backends = [site.backend("x", protocol="tcp"), site.backend("secure", protocol="tcp")]
    endpoints = {"x": (to or site.backends.a.port,), "secure": (site.backends.secure.port,)}
    site.apply(site.neutral(listeners=[listener], l4_routes=routes, backends=backends, endpoints=endpoints, **more))


def asked(held: socket.socket) -> bytes:
    held.sendall(b"GET / HTTP/1.1\r\nhost: held\r\ncontent-length: 0\r\n\r\n")
    got = b""
    while b"\r\n\r\n" not in got and (part := held.recv(65536)):
        got += part
    return got


def test_a_connection_outlives_a_change_of_endpoints_which_is_counted(site: Site, rig: Watched) -> None:
    on = site.listener(TCP, protocol="tcp")
    given(site, on, route(site, TCP, "x"))
    site.until(lambda got: got.header("x-echo-name") == "a", port=TCP)
    settled(site, rig)
    before = Counter(rig.keeper.reloads)
    with socket.create_connection(site.stage.rig.reach(TCP), timeout=LONG) as held:
        assert b"x-echo-name: a" in asked(held).lower()
        given(site, on, route(site, TCP, "x"), to=site.backends.b.port)
        site.until(lambda got: got.header("x-echo-name") == "b", port=TCP)
        assert b"x-echo-name: a" in asked(held).lower()
    settled(site, rig)
    assert Counter(rig.keeper.reloads) - before == Counter({Cause.STREAM_ENDPOINTS: 1})


@pytest.mark.parametrize("word", ["default", "include", "volatile"])
def test_a_name_that_is_a_word_of_maps_is_a_name(site: Site, word: str) -> None:
    routes = [route(site, TLS, "secure", one, tls="passthrough") for one in (word, "good.example")]
    given(site, site.listener(TLS, protocol="tls", tls=UNOPENED), *routes)
    site.until(lambda got: got.header("x-echo-name") == "secure", scheme="https", port=TLS, host=word)
    site.until(lambda got: got.header("x-echo-name") == "secure", scheme="https", port=TLS, host="good.example")
    assert site.tried(scheme="https", port=TLS, host="elsewhere.example") is None


def test_sockets_that_a_killed_one_left_are_in_nobodys_way(site: Site, rig: Watched) -> None:
    given(site, site.listener(TLS, protocol="tls", tls=UNOPENED), route(site, TLS, "secure", "good.example", tls="passthrough"))  # fmt: skip
    site.until(lambda got: got.header("x-echo-name") == "secure", scheme="https", port=TLS, host="good.example")
    settled(site, rig)
    assert list(rig.keeper.folder.glob("stream-*.sock"))
    process = rig.keeper._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    poll_until(lambda: rig.keeper._process not in {process, None}, LONG, what="another one is started")
    site.until(lambda got: got.header("x-echo-name") == "secure", scheme="https", port=TLS, host="good.example")
    poll_until(
        lambda: {path.stat().st_mode & 0o777 for path in rig.keeper.folder.glob("*.sock")} == {0o600},
        LONG,
        what="sockets are their user's alone",
    )


def serial(site: Site) -> bytes | None:
    """The certificate that is shown for the site's host; nothing where the handshake fails."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        plain = stack.enter_context(socket.create_connection(site.stage.rig.reach(TLS), timeout=LONG))
        opened = stack.enter_context(context.wrap_socket(plain, server_hostname=site.host))
        return opened.getpeercert(binary_form=True)
    return None


def secret(site: Site) -> None:
    tls = [{"hosts": [site.host], "secretName": "own"}]
    site.apply(site.tls_secret("own", AUTHORITY.issue(site.host)), site.ingress({"ssl-redirect": "false"}, tls=tls))


def test_another_certificate_is_shown_without_a_reload_and_none_stays_behind(site: Site, rig: Watched) -> None:
    secret(site)
    on = site.listener(TLS, protocol="tls", tls=ENDS)
    given(site, on, route(site, TLS, "x", site.host, tls="terminate"))
    site.until(lambda got: got.header("x-echo-name") == "a", scheme="https", port=TLS, trust=AUTHORITY.pem())
    settled(site, rig)
    before, first = Counter(rig.keeper.reloads), serial(site)
    secret(site)
    poll_until(lambda: serial(site) not in {first, None}, LONG, what="the new certificate is shown")
    settled(site, rig)
    assert Counter(rig.keeper.reloads) == before
    assert {path.stat().st_mode & 0o777 for path in (rig.keeper.folder / KEYS).iterdir()} == {0o600}
    given(site, on)
    settled(site, rig)
    poll_until(lambda: not list((rig.keeper.folder / KEYS).iterdir()), LONG, what="keys that nobody needs are gone")


def test_who_shows_no_certificate_where_one_is_asked_for_does_not_come_in(site: Site) -> None:
    secret(site)
    trust = TrustBundle(
        id=site.backend_id("trust"), certificates=PemText(AUTHORITY.pem().decode()), origin=site.origin()
    )
    on = site.listener(TLS, protocol="tls", tls=ListenerTls(client_validation=ClientValidation(trust=trust.id)))
    given(site, on, route(site, TLS, "x", site.host, tls="terminate"), trust_bundles=(trust,))
    pair = AUTHORITY.issue("client.example")
    shown = {"scheme": "https", "port": TLS, "trust": AUTHORITY.pem()}
    site.until(lambda got: got.header("x-echo-name") == "a", pair=pair, **shown)
    assert site.tried(**shown) is None


def test_a_port_of_datagrams_that_is_taken_is_said_and_taken_later(site: Site) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", UDP))
        given(site, site.listener(UDP, protocol="udp"), route(site, UDP, "x"))
        poll_until(site.stage.rejected, LONG, what="the port is refused")
        assert "cannot listen" in next(iter(site.stage.rejected().values())).message
    poll_until(lambda: not site.stage.rejected(), LONG, what="the port is taken")


def test_what_it_cannot_do_is_refused_by_name_and_harms_no_other(site: Site, rig: Watched) -> None:
    """What was there before it goes as well: it may have let in whom this one keeps out."""
    on = site.listener(TLS, protocol="tls", tls=UNOPENED)
    good = route(site, TLS, "secure", "good.example", tls="passthrough")
    given(site, on, good, route(site, TLS, "secure", "named.example", tls="passthrough"))
    site.until(lambda got: got.header("x-echo-name") == "secure", scheme="https", port=TLS, host="named.example")
    named = site.backend("x", protocol="tcp", source=FromDns(name=Hostname("db.example"), port=5432))
    site.apply(
        site.neutral(
            listeners=[on],
            l4_routes=[good, route(site, TLS, "x", "named.example", tls="passthrough")],
            backends=[named, site.backend("secure", protocol="tcp")],
            endpoints={"secure": (site.backends.secure.port,)},
        )
    )
    poll_until(
        lambda: site.tried(scheme="https", port=TLS, host="named.example") is None, LONG, what="the name is closed"
    )
    assert ["choose another engine" in one.message for one in site.stage.rejected().values()] == [True]
    site.until(lambda got: got.header("x-echo-name") == "secure", scheme="https", port=TLS, host="good.example")


def test_without_the_module_ports_of_bytes_are_refused_and_all_else_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = modules()
    assert folder is not None
    for name in MODULES:
        (tmp_path / f"{name}.so").symlink_to(f"{folder}/{name}.so")
    monkeypatch.setenv("WEIRKEEPER_NGINX_MODULES", str(tmp_path))
    port = free_port()
    with running_backends() as backends, running_stage(Rig(PROVIDER, options={"reload-milliseconds": "50"})) as stage:
        bare = Site(stage, backends, "bare")
        given(bare, bare.listener(port, protocol="tcp"), route(bare, port, "x"))
        bare.apply(*bare.service("a", backends.a.port), bare.ingress())
        bare.answers("a")
        poll_until(lambda: len(stage.rejected()) == 2, LONG, what="the port and its route are refused")
        assert all("no stream module" in one.message for one in stage.rejected().values())
        bare.apply(bare.ingress(host="more." + bare.host))
        bare.answers("a", host="more." + bare.host)
