"""Ingresses and what they are migrated to, served by one Envoy at different ports: the same requests are answered the same way."""

import asyncio
import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import pytest

from weirkeeper.app import plugins
from weirkeeper.controllers.gateway import GatewayController, GatewaySettings
from weirkeeper.feeds.base import Seen, Synced
from weirkeeper.feeds.decode import Decoder
from weirkeeper.migrate import Channel, Choices, migrated
from weirkeeper.model.text import IpAddress, Name
from weirkeeper.providers.envoy import PROVIDER as ENVOY
from weirkeeper.reconcile import Reconciler
from weirkeeper.settings import Settings
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.client import Response, fetch
from weirkeeper.testing.conformance import Rig, Site
from weirkeeper.testing.conformance.backends import running_backends
from weirkeeper.testing.conformance.site import Manifest
from weirkeeper.testing.conformance.stage import running_stage
from weirkeeper.testing.eventually import poll_until
from weirkeeper.testing.ports import free_port

pytestmark = pytest.mark.engine

PORTS = {80: free_port(), 443: free_port()}
NEXT = (("x-next", "always"),)
NEVER = (("x-next", "never"),)
CROSS = (("origin", "https://a.example"), ("access-control-request-method", "PUT"))
COMPARED = ("access-control-allow-origin", "access-control-allow-methods", "access-control-max-age", "x-told")


class Asked(NamedTuple):
    """A request: the host before the site's own, path, headers, method, scheme."""

    host: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    method: str = "GET"
    scheme: str = "http"


ASKED = (
    *(Asked("", path) for path in ("/", "/exact", "/exact/", "/exactly", "/shop", "/shop/", "/shop/x?y=%2f", "/shopping", "/shop/special", "/%65xact", "/x/../shop", "//shop")),
    *(Asked("", path, headers) for path in ("/new", "/new/x", "/newer") for headers in ((), NEXT, NEVER, (("cookie", "a=b; next=always"),), (("cookie", "next=always; a=b"),), (("cookie", "next=alwaysnot"),), (("cookie", "next=always"), *NEVER))),
    *(Asked("rewritten.", path) for path in ("/old/", "/old/x?q=1", "/old/x/y", "/other")),
    *(Asked("whole.", path) for path in ("/", "/old/x?q=1")),
    *(Asked("expressions.", path) for path in ("/r1", "/r12/x", "/rx", "/R1")),
    *(Asked("moved.", path) for path in ("/", "/x")),
    *(Asked("rooted.", path) for path in ("/", "/x")),
    *(Asked("www.rooted.", path) for path in ("/", "/x?q=1")),
    *(Asked("alias.", path) for path in ("/", "/x")),
    *(Asked("any.wild.", path) for path in ("/", "/x")),
    *(Asked("own.wild.", path) for path in ("/", "/x")),
    *(Asked("secure.", path, scheme=scheme) for path in ("/", "/x?q=1", "/api") for scheme in ("http", "https")),
    *(Asked("plain.", "/", scheme=scheme) for scheme in ("http", "https")),
    *(Asked("shared.", f"/{n}") for n in range(4)),
    *(Asked("cross.", "/", CROSS, method) for method in ("GET", "OPTIONS")),
    Asked("told.", "/x"),
    Asked("asked.", "/x"),
    Asked("nobody.", "/x"),
    Asked("nobody.", "/"),
)  # fmt: skip


def wished(site: Site, authority: Authority) -> Iterator[Manifest]:
    """Ingresses of every kind that can be said in Gateway API."""
    h = site.host
    yield site.ingress(paths=[("/exact", "Exact", "a"), ("/shop", "Prefix", "b"), ("/shop/special", "Exact", "a"), ("/new", "Prefix", "a")])
    yield site.ingress({"canary": "true", "canary-by-header": "X-Next", "canary-by-cookie": "next"}, name="next", paths=[("/new", "Prefix", "b")])
    yield site.ingress({"rewrite-target": "/new/$2"}, name="rewritten", host=f"rewritten.{h}", paths=[("/old(/|$)(.*)", "ImplementationSpecific", "a")])
    yield site.ingress({"rewrite-target": "/whole"}, name="whole", host=f"whole.{h}", paths=[("/old", "Prefix", "a")])
    yield site.ingress({"use-regex": "true"}, name="expressions", host=f"expressions.{h}", paths=[("/r[0-9]+", "ImplementationSpecific", "a")])
    yield site.ingress({"permanent-redirect": "https://else.example/here"}, name="moved", host=f"moved.{h}")
    yield site.ingress({"app-root": "/start", "from-to-www-redirect": "true"}, name="rooted", host=f"rooted.{h}")
    yield site.ingress({"server-alias": f"alias.{h}"}, name="aliased", host=f"aliased.{h}", paths=[("/", "Prefix", "b")])
    yield site.ingress(name="wild", host=f"*.wild.{h}")
    yield site.ingress(name="own", host=f"own.wild.{h}", paths=[("/x", "Prefix", "b")])
    yield site.ingress(name="secure", host=f"secure.{h}", tls=[{"hosts": [f"secure.{h}", f"plain.{h}"], "secretName": "held"}])
    yield site.ingress({"ssl-redirect": "false"}, name="api", host=f"secure.{h}", paths=[("/api", "Prefix", "b")], tls=[{"hosts": [f"secure.{h}"], "secretName": "held"}])
    yield site.ingress(name="plain", host=f"plain.{h}")
    yield site.ingress(name="shared", host=f"shared.{h}")
    yield site.ingress({"canary": "true", "canary-weight": "100"}, name="all", host=f"shared.{h}", paths=[("/", "Prefix", "b")])
    yield site.ingress({"enable-cors": "true", "cors-allow-origin": "https://a.example", "cors-max-age": "60"}, name="cross", host=f"cross.{h}")
    yield site.ingress({"custom-headers": "told", "upstream-vhost": "inner.example", "x-forwarded-prefix": "/outer"}, name="told", host=f"told.{h}")
    yield site.ingress({"auth-url": f"http://b.{site.namespace}.svc:80/ask"}, name="asked", host=f"asked.{h}")
    yield site.ingress({"auth-url": f"http://away.{site.namespace}.svc:80/ask"}, name="unasked", host=f"unasked.{h}")
    yield site.ingress({"affinity": "cookie", "session-cookie-name": "kept"}, name="kept", host=f"kept.{h}")
    yield site.manifest("v1", "ConfigMap", "told", data={"X-Told": "yes"})
    yield site.ingress(name="rest", host="", paths=[], defaultBackend=site.to("b"))
    yield site.ingress({"allowlist-source-range": "10.0.0.0/8"}, name="guarded", host=f"guarded.{h}")
    yield site.tls_secret("held", authority.issue(f"secure.{h}", f"plain.{h}"))


def moved(manifests: list[Manifest]) -> list[dict]:
    """What they are migrated to, at the ports of this test."""
    parts = plugins(Settings(controllers=("ingress",), providers=("memory",), state_directory=""))
    program = Reconciler(parts.controllers, parts.providers)
    seen = [Seen(ref=one.ref, object=one.object) for manifest in manifests for one in Decoder(program.kinds).objects(manifest) if one.ref is not None]
    program.receive([*seen, Synced(feed="test", kinds=("Secret", "Service", "ConfigMap"))])
    program.settle()
    found = msgspec.json.decode(msgspec.json.encode(migrated(program, Choices(channel=Channel.EXPERIMENTAL)).manifests))
    for one in found:
        for listener in one["spec"].get("listeners", ()):
            listener["port"] = PORTS[listener["port"]]
    return found


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    settings = GatewaySettings(addresses=(IpAddress("127.0.0.1"),), provider=Name("envoy"))
    with running_backends() as backends, running_stage(Rig(ENVOY), (GatewayController(settings),)) as stage:
        found = Site(stage, backends, "moved")
        manifests = [*found.service("a", backends.a.port), *found.service("b", backends.b.port), *found.service("away"), *wished(found, Authority("moved"))]
        found.apply(*manifests, *moved(manifests))
        poll_until(stage.settled, 20.0, what="Envoy has taken everything")
        yield found


def ports(site: Site, scheme: str) -> tuple[int, int]:
    """Where Ingresses and where Gateways are served."""
    return (site.stage.https_port, PORTS[443]) if scheme == "https" else (site.stage.http_port, PORTS[80])


async def answered(site: Site, one: Asked, port: int) -> tuple[object, ...]:
    host = one.host + site.host
    got = await fetch(f"{one.scheme}://{host}{one.path}", via=port, address="127.0.0.1", host=host, method=one.method, headers=one.headers, sni=host if one.scheme == "https" else None)
    location = re.sub(r"^(https?://[^/:]+):\d+", r"\1", got.header("location") or "")
    return got.status, location, *(got.header(name) for name in COMPARED), *seen(got)


def seen(got: Response) -> tuple[object, ...]:
    """What the backend saw."""
    if got.header("x-echo-name") is None or got.status != 200:
        return ()
    headers = {name.lower(): value for name, value in got.echo.headers}
    return got.header("x-echo-name"), got.echo.path, headers.get("host", headers.get(":authority")), headers.get("x-forwarded-prefix")


async def both(site: Site, rows: tuple[Asked, ...]) -> list[tuple[tuple[object, ...], tuple[object, ...]]]:
    gate = asyncio.Semaphore(8)

    async def one(row: Asked) -> tuple[tuple[object, ...], tuple[object, ...]]:
        async with gate:
            old, new = ports(site, row.scheme)
            return await answered(site, row, old), await answered(site, row, new)

    return await asyncio.gather(*(one(row) for row in rows))


def test_requests_are_answered_alike(site: Site) -> None:
    found = asyncio.run(both(site, ASKED))
    assert [(row, old, new) for row, (old, new) in zip(ASKED, found, strict=True) if old != new] == []
    statuses = {old[0] for old, _ in found}
    assert {200, 301, 302, 308, 404} <= statuses, "the table asks for all of it"
    assert len(ASKED) >= 70


def test_a_guard_that_cannot_be_said_lets_nobody_in(site: Site) -> None:
    ((old, new),) = asyncio.run(both(site, (Asked("guarded.", "/"),)))
    assert (old[0], new[0]) == (403, 500)


def test_who_cannot_be_asked_lets_nobody_in(site: Site) -> None:
    ((old, new),) = asyncio.run(both(site, (Asked("unasked.", "/"),)))
    assert {old[0], new[0]} <= {403, 500, 503}


def test_a_cookie_keeps_clients(site: Site) -> None:
    for port in ports(site, "http"):
        host = f"kept.{site.host}"
        got = asyncio.run(fetch(f"http://{host}/", via=port, address="127.0.0.1", host=host))
        assert (got.header("set-cookie") or "").startswith("kept=")
