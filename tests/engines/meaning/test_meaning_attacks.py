"""What an attacker tries at a guard, on every engine: claims about its own address and certificate, tunnels, several logins, a service that says nothing of it. Nobody gets past, nothing claimed gets through."""

import asyncio
import base64
import hashlib
import socket
import threading

import pytest
from meaning_engines import RIGS, running_site

from weirkeeper.model.listener import ClientAddress, HttpOptions
from weirkeeper.model.text import Cidr, HeaderName
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.client import ClientTls, Http2Connection, Target
from weirkeeper.testing.ports import free_port

pytestmark = pytest.mark.engine
TRUST = {
    "nobody": ClientAddress(),
    "hops": ClientAddress(trusted_hops=1),
    "hops2": ClientAddress(trusted_hops=2),
    "us": ClientAddress(trusted=(Cidr("127.0.0.0/8"), Cidr("10.0.0.0/8"))),
    "header": ClientAddress(header=HeaderName("X-Client-Ip")),
    "proxied": ClientAddress(),
    "proxied-ten": ClientAddress(trusted=(Cidr("10.0.0.0/8"),)),
}
PORTS = {name: free_port() for name in TRUST}
OFF = {"ssl-redirect": "false"}


def b64(text):
    return base64.b64encode(text.encode("latin-1")).decode()


class Raw:
    """A backend that shows heads of requests, agrees to every upgrade, and is the service that is asked as well."""

    def __init__(self):
        self.seen = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            threading.Thread(target=self._one, args=(self.socket.accept()[0],), daemon=True).start()

    def _one(self, c):
        c.settimeout(30)
        buf = b""
        try:
            while True:
                while b"\r\n\r\n" not in buf:
                    got = c.recv(65536)
                    if not got:
                        return
                    buf += got
                head, _, buf = buf.partition(b"\r\n\r\n")
                self.seen.append(head)
                target = head.split(b" ")[1]
                if b"\r\nupgrade:" in head.lower():
                    c.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
                    c.sendall(b"TUNNELED " + c.recv(65536))
                    return
                if target.startswith(b"/malformed"):
                    c.sendall(b"HTTP/1.1 2000 X\r\nContent-Length: 0\r\n\r\n")
                    return
                c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(head) + head)
        except OSError:
            pass
        finally:
            c.close()


RAW = Raw()
CLIENTS = Authority("clients")


@pytest.fixture(scope="module", params=[pytest.param(n, marks=pytest.mark.xdist_group("attack-" + n)) for n in RIGS])
def site(request):
    with running_site(str(request.param), "attack") as site:
        pair = Authority("attack").issue(site.host, "secure." + site.host, "cert." + site.host)
        hashed = base64.b64encode(hashlib.sha1(b"secret", usedforsecurity=False).digest()).decode()
        def asked(path):
            return {**OFF, "auth-url": f"http://raw.{site.namespace}.svc.cluster.local{path}", "auth-response-headers": "X-User, X-Role"}

        def tls(host):
            return [{"hosts": [host], "secretName": "web"}]

        site.apply(
            site.tls_secret("web", pair), site.secret("ca", ca_crt=CLIENTS.pem()), site.secret("users", auth=f"ann:{{SHA}}{hashed}\n"), *site.service("raw", RAW.port),
            site.ingress(OFF, paths=[("/", "Prefix", "raw")], tls=tls(site.host)),
            site.ingress({"ssl-redirect": "true"}, name="secure", host="secure." + site.host, tls=tls("secure." + site.host)),
            site.ingress({**OFF, "auth-tls-secret": f"{site.namespace}/ca", "auth-tls-verify-client": "optional"}, name="cert", host="cert." + site.host, paths=[("/", "Prefix", "raw")], tls=tls("cert." + site.host)),
            site.ingress({**OFF, "auth-type": "basic", "auth-secret": "users"}, name="basic", paths=[("/basic", "Prefix", "raw")]),
            site.ingress({**OFF, "denylist-source-range": "8.8.0.0/16,127.0.0.0/8"}, name="deny", paths=[("/deny", "Prefix", "a")]),
            site.ingress({**OFF, "whitelist-source-range": "9.9.0.0/16"}, name="allow", paths=[("/allow", "Prefix", "a")]),
            site.ingress({**OFF, "whitelist-source-range": "10.0.0.0/8"}, name="inner", paths=[("/inner", "Prefix", "a")]),
            site.ingress({**OFF, "limit-rpm": "1", "limit-burst-multiplier": "1"}, name="rate", paths=[("/rate", "Prefix", "a")]),
            *(site.ingress(asked(path), name=path[1:], paths=[("/asked" + path, "Exact", "raw")]) for path in ("/ok", "/malformed")),
            site.neutral(listeners=[site.listener(port, http=HttpOptions(client_address=TRUST[n]), accept_proxy_protocol=n.startswith("proxied")) for n, port in PORTS.items()]),
        )
        for n, port in PORTS.items():
            site.until(lambda got: got.status == 200, port=port, prefix=b"PROXY TCP4 192.0.2.9 192.0.2.1 4321 80\r\n" if n.startswith("proxied") else b"")
        yield site


def said(site, port, path, *lines, host=None, prefix=b"", then=b"", wait=4.0):
    """The bytes of the answer."""
    address, number = site.stage.rig.reach(port)
    out = b""
    with socket.create_connection((address, number), timeout=wait) as s:
        s.sendall(prefix + "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host or site.host}", *lines, "", ""]).encode("latin-1"))
        try:
            while got := s.recv(65536):
                out += got
                head, end, body = out.partition(b"\r\n\r\n")
                if head.startswith(b"HTTP/1.1 101") and end and then:
                    s.sendall(then)
                    then = b""
                length = [int(x.split(b":")[1]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:")]
                if end and length and len(body) >= length[0]:
                    break
        except OSError:
            pass
    return out


def status(*args, **more):
    return int(said(*args, **more)[9:12] or 0)


def field(out, name):
    body = out.partition(b"\r\n\r\n")[2]
    return [x.split(b":", 1)[1].strip().decode("latin-1") for x in body.split(b"\r\n") if x.lower().startswith(name.encode() + b":")]


XFF = "X-Forwarded-For: "


@pytest.mark.parametrize(("trust", "chain"), [("hops", "8.8.8.8"), ("us", "8.8.8.8"), ("hops2", "8.8.8.8, 10.0.0.1")])
def test_rules_judge_the_client_behind_trusted_proxies(site, trust, chain):
    other = chain.replace("8.8.8.8", "9.9.9.9")
    assert [status(site, PORTS[trust], path, XFF + chain) for path in ("/allow", "/deny")] == [403, 403]
    assert [status(site, PORTS[trust], path, XFF + other) for path in ("/allow", "/deny")] == [200, 200]


def test_strangers_behind_two_proxies_are_not_taken_for_the_inner_proxy(site):
    assert status(site, PORTS["hops2"], "/inner", XFF + "8.8.8.8, 10.0.0.1") == 403


def test_a_limit_counts_clients_not_the_proxy(site):
    got = [status(site, PORTS["hops"], "/rate", XFF + f"9.9.0.{n}") for n in range(6)]
    assert got == [200] * 6


def test_several_trusted_proxies_are_passed_over(site):
    assert status(site, PORTS["us"], "/inner", XFF + "8.8.8.8, 10.0.0.1") == 403
    assert status(site, PORTS["us"], "/deny", XFF + "8.8.8.8, 10.0.0.1") == 403


@pytest.mark.parametrize("upgrade", ["h2c", "foo"])
def test_no_upgrade_but_websocket_makes_a_tunnel_around_guards(site, upgrade):
    out = said(site, PORTS["nobody"], "/open", f"Upgrade: {upgrade}", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", then=b"GET /basic HTTP/1.1\r\nHost: x\r\n\r\n")
    assert out.startswith(b"HTTP/1.1 "), "there is an answer"
    assert b"TUNNELED GET /basic" not in out
    assert not out.startswith(b"HTTP/1.1 101")


def test_what_a_service_did_not_say_of_a_user_no_client_says(site):
    out = said(site, PORTS["nobody"], "/asked/ok", "X-User: root", "X-Role: admin")
    assert (out[9:12], field(out, "x-user"), field(out, "x-role")) == (b"200", [], [])


def test_a_login_is_the_only_one_that_the_backend_sees(site):
    ok = "Authorization: Basic " + b64("ann:secret")
    for lines in (["Authorization: Basic " + b64("admin:x"), ok], ["Authorization: Basic " + b64("admin:x") + ", Basic " + b64("ann:secret")], ["Authorization: Bearer x", ok], ["Authorization: Basic x", "Authorization: Digest " + b64("ann:secret")]):
        assert status(site, PORTS["nobody"], "/basic", *lines) in (400, 401), lines


@pytest.mark.parametrize("mapped", ["::ffff:8.8.8.8", "::ffff:808:808"])
def test_ipv4_in_ipv6_is_ipv4(site, mapped):
    assert status(site, PORTS["proxied"], "/deny", prefix=f"PROXY TCP6 {mapped} ::1 1 2\r\n".encode()) == 403


@pytest.mark.parametrize("address", ["2002:0a01:0203::1", "::10.1.2.3"])
def test_other_addresses_with_ipv4_in_them_are_not(site, address):
    prefix = f"PROXY TCP6 {address} ::1 1 2\r\n".encode()
    assert status(site, PORTS["proxied"], "/inner", prefix=prefix) == 403
    out = said(site, PORTS["proxied-ten"], "/", XFF + "1.2.3.4", prefix=prefix)
    assert "1.2.3.4" not in ",".join(field(out, "x-forwarded-for"))


@pytest.mark.parametrize("proto", ["garbage", "wss", "https;", "https, http", "http, https"])
def test_a_scheme_that_is_none_gets_past_no_redirect(site, proto):
    assert status(site, PORTS["us"], "/", f"X-Forwarded-Proto: {proto}", host="secure." + site.host) == 308


def test_an_odd_header_of_the_address_is_not_believed(site):
    for told in ("garbage", "8.8.8.8,", "8.8.8.8 x", "unknown", "[::1]:80"):
        assert status(site, PORTS["header"], "/deny", f"X-Client-Ip: {told}") == 403, told


CLAIMS = ("x-forwarded-client-cert", "ssl-client-verify", "ssl-client-subject-dn", "ssl-client-issuer-dn", "ssl-client-cert")


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_certificate_that_was_not_shown_is_claimed_by_nobody(site, version):
    host = "cert." + site.host
    site.until(lambda got: got.status == 200, scheme="https", host=host)
    headers = tuple((name, "SUCCESS") for name in CLAIMS)
    if version == "1":
        text = site.get(scheme="https", host=host, headers=headers).body
    else:
        async def ask():
            address, port = site.stage.rig.reach(site.stage.https_port)
            async with Http2Connection(Target(port=port, address=address, tls=ClientTls(sni=host, alpn=("h2",)))) as one:
                return (await one.request("/", host=host, headers=headers)).body
        text = asyncio.run(ask())
    assert [n for n in CLAIMS if field(b"\r\n\r\n" + text, n)] == []


def test_nor_by_http_for_a_host_whose_clients_show_certificates(site):
    out = said(site, site.stage.http_port, "/", *(f"{n}: SUCCESS" for n in CLAIMS), host="cert." + site.host)
    assert (out[9:12] != b"200") or [n for n in CLAIMS if field(out, n)] == []


def test_xfcc_where_nobody_is_asked_for_a_certificate(site):
    out = said(site, PORTS["nobody"], "/", "X-Forwarded-Client-Cert: Subject=evil")
    assert (out[9:12], field(out, "x-forwarded-client-cert")) == (b"200", [])


def test_what_a_client_calls_hop_by_hop_the_backend_is_not_told(site):
    out = said(site, PORTS["nobody"], "/asked/ok", "Connection: x-forwarded-for, x-user, authorization")
    assert out[9:12] in (b"200", b"400"), "Envoy refuses such a request"
    assert not any("x-forwarded-for" in text for text in field(out, "connection"))


def test_a_malformed_yes_is_no(site):
    RAW.seen.clear()
    said(site, PORTS["nobody"], "/asked/malformed")
    lines = [head.split(b"\r\n")[0] for head in RAW.seen]
    assert any(b" /malformed" in line for line in lines), "the service was asked"
    assert not [line for line in lines if b" /asked" in line]
