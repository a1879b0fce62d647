"""What every HAProxy of ours withstands without a word of its operator: each default by what it does, or by what is written where only a flood would show it."""

import contextlib
import socket
import ssl
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from weirkeeper.model.listener import HttpOptions, ListenerTls
from weirkeeper.model.value import Milliseconds
from weirkeeper.providers.haproxy import PROVIDER
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.conformance import Rig, Site
from weirkeeper.testing.conformance.backends import running_backends
from weirkeeper.testing.conformance.stage import running_stage
from weirkeeper.testing.eventually import poll_until
from weirkeeper.testing.ports import free_port

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("haproxy-hardening")]

QUICK, SECURE = free_port(), free_port()
AUTHORITY = Authority("hardening")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with running_backends() as backends, running_stage(Rig(PROVIDER, options={"reload-milliseconds": "50"})) as stage:
        made = Site(stage, backends, "hardened")
        quick = made.listener(QUICK, http=HttpOptions(header_timeout=Milliseconds(500), request_idle=Milliseconds(700), connection_idle=Milliseconds(500)))
        secure = made.listener(SECURE, protocol="https", tls=ListenerTls())
        made.apply(
            *made.service("a", backends.a.port),
            *made.service("b", backends.b.port),
            made.tls_secret("web", AUTHORITY.issue(made.host)),
            made.ingress({"ssl-redirect": "false"}, tls=[{"hosts": [made.host], "secretName": "web"}], paths=[("/", "Prefix", "a"), ("/admin", "Prefix", "b")]),
            made.neutral(listeners=[quick, secure]),
        )
        made.answers("a")
        made.answers("a", port=QUICK)
        yield made


def configuration(site: Site) -> str:
    (found,) = Path(site.stage.folder).glob("*/haproxy.cfg")
    return found.read_text()


def raw(site: Site, sent: bytes, port: int | None = None, patience: float = 60.0) -> bytes:
    """What comes back until the other side hangs up or says nothing more."""
    got = b""
    with socket.create_connection(("127.0.0.1", port or site.stage.http_port), patience) as one, contextlib.suppress(OSError):
        one.sendall(sent)
        while more := one.recv(65536):
            got += more
    return got


def request(site: Site, *lines: str, path: str = "/", method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"host: {site.host}", *lines, "", ""]).encode()


def test_a_slow_head_is_cut_off(site: Site) -> None:
    began = time.monotonic()
    got = raw(site, b"GET / HTTP/1.1\r\nhost: x", QUICK)
    assert time.monotonic() - began < 9, "half a second is wished, on a machine that has nothing else to do"
    assert got == b"" or b" 408 " in got.partition(b"\r\n")[0]
    assert "timeout http-request 10000ms" in configuration(site), "ten seconds unless another time is wished"


def test_an_idle_connection_is_closed(site: Site) -> None:
    began = time.monotonic()
    assert b" 200 " in raw(site, request(site), QUICK)
    assert time.monotonic() - began < 30
    assert "timeout http-keep-alive 3600000ms" in configuration(site)


def test_a_body_that_stands_still_is_given_up(site: Site) -> None:
    """HAProxy waits for the backend while a body is on its way: that limit holds."""
    host = "patient." + site.host
    site.apply(site.ingress({"proxy-read-timeout": "1"}, name="patient", host=host))
    site.answers("a", host=host)
    poll_until(lambda: "timeout server 1000ms" in configuration(site), what="the limit is there")
    began = time.monotonic()
    sent = f"POST / HTTP/1.1\r\nhost: {host}\r\ncontent-length: 100\r\n\r\nhalf".encode()
    assert raw(site, sent).split()[1] in {b"408", b"504"}
    assert 0.5 < time.monotonic() - began < 30, "the default is a minute"


def test_many_slow_clients_keep_nobody_out(site: Site) -> None:
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(socket.create_connection(("127.0.0.1", site.stage.http_port), 60)) for _ in range(300)]
        for number in range(20):
            for one in crowd[number::20]:
                one.sendall(b"GET / HTTP/1.1\r\nx-slow: ")
            assert site.get().status == 200


def test_a_head_that_is_too_large_is_refused(site: Site) -> None:
    got = raw(site, request(site, *(f"x-{n}: {'a' * 1000}" for n in range(40))))
    assert got.partition(b"\r\n")[0].split()[1] in {b"400", b"413", b"431"}
    assert site.get().status == 200


@pytest.mark.parametrize("line", ["x_under: 1", "content_length: 5", "x-a b: 1", "x-a : 1", "x\x00: 1", "x-a: b\x00c"])
def test_names_that_others_read_in_another_way_are_refused(site: Site, line: str) -> None:
    got = raw(site, request(site, line))
    assert got.partition(b"\r\n")[0].split()[1] in {b"400", b"403"}, got[:200]


SMUGGLED = "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
DESYNC = {
    "two lengths": ("content-length: 0\r\ncontent-length: 37", SMUGGLED),
    "length twice in one": ("content-length: 0, 37", SMUGGLED),
    "a length with a sign": ("content-length: +0", SMUGGLED),
    "a length that is none": ("content-length: 0x0", SMUGGLED),
    "length and chunks": ("content-length: 37\r\ntransfer-encoding: chunked", "0\r\n\r\n" + SMUGGLED),
    "chunks not last": ("transfer-encoding: chunked, identity", "0\r\n\r\n" + SMUGGLED),
    "chunks of a kind": ("transfer-encoding: xchunked", "0\r\n\r\n" + SMUGGLED),
    "chunks twice": ("transfer-encoding: chunked\r\ntransfer-encoding: chunked", "0\r\n\r\n" + SMUGGLED),
    "chunks with a tab": ("transfer-encoding:\tchunked", "0\r\n\r\n" + SMUGGLED),
    "chunks behind a blank": ("transfer-encoding : chunked", "0\r\n\r\n" + SMUGGLED),
    "a folded line": ("x: y\r\n transfer-encoding: chunked", "0\r\n\r\n" + SMUGGLED),
    "a bare line feed": ("x: y\ntransfer-encoding: chunked", "0\r\n\r\n" + SMUGGLED),
    "a chunk of a wrong size": ("transfer-encoding: chunked", "0x0\r\n\r\n" + SMUGGLED),
    "a chunk with an extension": ("transfer-encoding: chunked", '0;a="\r\n"\r\n\r\n' + SMUGGLED),
    "upgrade to http 2": ("connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__", SMUGGLED),
}  # fmt: skip


@pytest.mark.parametrize("case", DESYNC)
def test_no_request_hides_in_another(site: Site, case: str) -> None:
    """What the backend sees is what HAProxy answered for: whatever was smuggled meets HAProxy's own rules first."""
    lines, rest = DESYNC[case]
    echo = site.backends.a
    before = len(echo.requests)
    got = raw(site, request(site, lines, "connection: keep-alive", method="POST") + rest.encode(), QUICK)
    seen = echo.requests[before:]
    assert not [one for one in seen if one.path == "/smuggled"], "its host is not one that is served"
    answers = got.count(b"HTTP/1.1 ")
    assert len(seen) <= answers, (seen, got[:300])
    assert all(one.path == "/" for one in seen)


@pytest.mark.parametrize("path", ["/x/../admin", "//admin", "/./admin", "/%61dmin", "/x/%2e%2e/admin", "/admin/", "/ADMIN/../admin"])
def test_a_guarded_path_has_one_spelling(site: Site, path: str) -> None:
    assert site.get(path).header("x-echo-name") == "b", "the rule of the path holds"


@pytest.mark.parametrize("path", ["/%2fadmin", "/x%5cadmin", "/%00admin", "/x%zadmin", "/x/%2e%2e;/admin"])
def test_spellings_that_backends_read_in_another_way_are_refused(site: Site, path: str) -> None:
    assert raw(site, request(site, "connection: close", path=path)).split()[1] == b"400"


def test_what_a_stranger_says_of_its_way_is_not_told_on(site: Site) -> None:
    said = [(name, "203.0.113.1") for name in ("x-forwarded-for", "x-real-ip", "forwarded", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-prefix")]
    echo = site.get(headers=said).echo
    assert "203.0.113.1" not in {value for _, value in echo.headers}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_tls_begins_at_1_2(site: Site) -> None:
    text = configuration(site)
    binds = [line for line in text.splitlines() if line.strip().startswith("bind") and "crt-list" in line]
    assert binds
    assert all("ssl-min-ver TLSv1.2" in line for line in binds)
    for version, served in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)):
        context = ssl._create_unverified_context()
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        reached = False
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", SECURE), 60) as one:
            context.wrap_socket(one, server_hostname=site.host).close()
            reached = True
        assert reached == served


def test_streams_and_memory_of_a_connection_are_bounded(site: Site) -> None:
    text = configuration(site)
    assert "tune.h2.max-concurrent-streams 100" in text
    assert "tune.bufsize" not in text, "16 KiB a buffer"
    assert "accept-invalid-http" not in text
    (limit,) = [int(line.split()[1]) for line in text.splitlines() if line.strip().startswith("maxconn")]
    assert limit <= 20_000


def test_nobody_else_reaches_its_files_and_sockets(site: Site) -> None:
    folder = next(Path(site.stage.folder).glob("*/haproxy.cfg")).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        if path.is_socket() or (path.is_file() and ".log" not in path.name):
            assert mode & 0o077 == 0, path



@pytest.mark.parametrize("path", ["/x?q=%61%2f&r=%zz", "/%78?q=%61%2f", "/x?%61"])
def test_a_query_arrives_as_it_was(site: Site, path: str) -> None:
    assert site.get(path).echo.path == path.replace("/%78", "/x")
