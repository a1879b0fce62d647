"""The engines that must mean the same, what is known to differ, and how they are asked: bytes out, one answer in, many at once.

In: a rig. Out: a site on a running engine, and `Answer`s. What an engine cannot help is named here and in docs/paths.md, nowhere else.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from weirkeeper.providers.envoy import PROVIDER as ENVOY
from weirkeeper.providers.haproxy import PROVIDER as HAPROXY
from weirkeeper.providers.nginx import PROVIDER as NGINX
from weirkeeper.testing.client import Http2Connection
from weirkeeper.testing.client.http1 import read_response
from weirkeeper.testing.client.response import Response
from weirkeeper.testing.client.target import ClientTls, Target
from weirkeeper.testing.conformance import Rig, Site
from weirkeeper.testing.conformance.backends import running_backends
from weirkeeper.testing.conformance.stage import running_stage

RIGS: Mapping[str, Rig] = {"envoy": Rig(ENVOY), "haproxy": Rig(HAPROXY, options={"reload-milliseconds": "50"}), "nginx": Rig(NGINX, options={"reload-milliseconds": "50"})}
LOOSE: Mapping[str, frozenset[str]] = {
    "envoy": frozenset({"percent", "hidden-dots", "second-empty"}),
    "haproxy": frozenset({"twice"}),
}
"""Refusals that an engine does not know: it lets the request through, by the path that is written. Nobody gets around a guard by it."""
BY_HTTP2: Mapping[str, frozenset[str]] = {"envoy": frozenset({"eight-bit"})}
"""The same, by HTTP/2 alone: Envoy escapes these."""
STRICT: Mapping[str, frozenset[str]] = {"haproxy": frozenset({"other-host"}), "nginx": frozenset({"above", "tab"})}
"""What an engine refuses although the others need not."""
SLASHES = frozenset({"envoy"})
"""Engines that leave a path of slashes alone as two of them."""
AT_ONCE, LIMIT = 16, 15.0


class Answer(NamedTuple):
    """An answer, or none: `lost` says that the connection ended without one."""

    response: Response | None
    lost: str = ""

    @property
    def status(self) -> int:
        """The status; 0 where there was no answer."""
        return self.response.status if self.response else 0

    @property
    def backend(self) -> str | None:
        """Which backend the request was led to; None where it was none (a service that is asked first answers no 200)."""
        return self.response.header("x-echo-name") if self.response and self.status == 200 else None

    def __str__(self) -> str:
        return (
            f"{self.status} {self.backend} {self.response.echo.path if self.response and self.backend else self.lost}"[
                :160
            ]
        )


@contextlib.contextmanager
def running_site(engine: str, name: str) -> Iterator[Site]:
    """A site with the Services `a` and `b`, on an engine of its own."""
    with running_backends() as backends, running_stage(RIGS[engine]) as stage:
        site = Site(stage, backends, name)
        site.apply(*site.service("a", backends.a.port), *site.service("b", backends.b.port))
        yield site


def head(target: str, host: str | None, *lines: str, method: str = "GET") -> bytes:
    """The bytes of a request, each character a byte."""
    named = [f"Host: {host}"] if host is not None else []
    return "\r\n".join([f"{method} {target} HTTP/1.1", *named, *lines, "Connection: close", "", ""]).encode("latin-1")


def asked(site: Site, requests: Iterable[bytes]) -> list[Answer]:
    """What each of these is answered, in their order, each on a connection of its own."""
    address, port = site.stage.rig.reach(site.stage.http_port)
    return asyncio.run(_asked(address, port, list(requests)))


def asked_by_http2(site: Site, targets: Iterable[str], *, shared: bool) -> list[Answer]:
    """The same by HTTP/2 over TLS: all on one connection, or on one each (an engine may end it for a target that it dislikes)."""
    address, port = site.stage.rig.reach(site.stage.https_port)
    place = Target(port=port, address=address, tls=ClientTls(sni=site.host, alpn=("h2",)))
    return asyncio.run(_by_http2(place, site.host, list(targets), shared=shared))


async def _by_http2(place: Target, host: str, targets: Sequence[str], *, shared: bool) -> list[Answer]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(connection: Http2Connection, target: str) -> Answer:
        async with gate:
            try:
                return Answer(await connection.request(target, host=host))
            except (ConnectionError, TimeoutError) as error:
                return Answer(None, repr(error))

    async def alone(target: str) -> Answer:
        async with Http2Connection(place, limit=LIMIT) as connection:
            return await one(connection, target)

    if not shared:
        return [await alone(target) for target in targets]
    async with Http2Connection(place, limit=LIMIT) as connection:
        return await asyncio.gather(*(one(connection, target) for target in targets))


async def _asked(address: str, port: int, requests: Sequence[bytes]) -> list[Answer]:
    gate = asyncio.Semaphore(AT_ONCE)
    return await asyncio.gather(*(_ask(gate, address, port, one) for one in requests))


async def _ask(gate: asyncio.Semaphore, address: str, port: int, request: bytes) -> Answer:
    async with gate, asyncio.timeout(LIMIT):
        reader, writer = await asyncio.open_connection(address, port, limit=1 << 20)
        try:
            writer.write(request)
            return Answer(await read_response(reader, head_only=request.startswith(b"HEAD ")))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            return Answer(None, repr(error))
        finally:
            writer.close()
