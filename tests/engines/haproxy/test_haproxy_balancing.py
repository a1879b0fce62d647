"""Each way to choose an endpoint spreads 10,000 requests over ten of them as it promises."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from weirkeeper.listening import accept_no_more
from weirkeeper.model.backend import ConsistentHash, LeastRequest, LoadBalancing, PeakEwma, RandomChoice, RoundRobin
from weirkeeper.model.filters import Affinity, CookieAffinity, HashOn
from weirkeeper.model.text import CookieName, HeaderName
from weirkeeper.providers.base import EngineSettings
from weirkeeper.providers.haproxy import PROVIDER
from weirkeeper.testing.conformance import Rig, Site
from weirkeeper.testing.conformance.backends import running_backends
from weirkeeper.testing.conformance.stage import running_stage
from weirkeeper.testing.eventually import eventually

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("haproxy-balancing")]

REQUESTS, ENDPOINTS, CONNECTIONS = 10_000, 10, 20
EACH = REQUESTS / ENDPOINTS
CHANCE = 0.2 * EACH
"""A fair draw differs by 30 and the shares of a ring by 22 (standard deviations): wrong once in some millions of runs."""


class Threads(Rig):
    """Two threads: what one of them chooses is not all that is chosen."""

    def settings(self, folder: str) -> EngineSettings:
        return EngineSettings(state_directory=folder, concurrency=2, drain_seconds=0.5)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with running_backends() as backends, running_stage(Threads(PROVIDER)) as stage:
        made = Site(stage, backends, "spread")
        made.apply(*made.service("a", backends.a.port), *made.service("b", backends.b.port))
        yield made


class Counting(asyncio.Protocol):
    """An endpoint that answers with its number and counts the requests that say so."""

    def __init__(self, number: int, found: Counter[int], connected: set[asyncio.Transport]) -> None:
        self.number, self.found, self.connected, self.rest = number, found, connected, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.connected.add(transport)

    def connection_lost(self, _: Exception | None) -> None:
        self.connected.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        *heads, self.rest = (self.rest + data).split(b"\r\n\r\n")
        for head in heads:
            self.found[self.number] += b"x-counted" in head
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-endpoint: %d\r\n\r\n" % self.number)


async def counted(site: Site, balancing: LoadBalancing, affinity: Affinity | None, headers: Callable[[int], str]) -> tuple[Counter[int], dict[str, set[int]]]:
    """How many requests each endpoint had, and which endpoints each client met."""
    found: Counter[int] = Counter()
    met: dict[str, set[int]] = {}
    connected: set[asyncio.Transport] = set()
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda number=number: Counting(number, found, connected), "127.0.0.1", 0) for number in range(ENDPOINTS)]  # type: ignore[misc]
    ports = tuple(server.sockets[0].getsockname()[1] for server in servers)
    route = site.route(to="many", affinity=affinity)
    await asyncio.to_thread(site.apply, site.neutral(route, backends=[site.backend("many", balancing=balancing)], endpoints={"many": ports}))
    await asyncio.to_thread(site.until, lambda got: got.status == 200 and got.header("x-endpoint"))
    await asyncio.gather(*(_asking(site, range(one, REQUESTS, CONNECTIONS), headers, met) for one in range(CONNECTIONS)))
    await asyncio.to_thread(site.clear)
    await accept_no_more(one for server in servers for one in server.sockets)
    for server in servers:
        server.close()
    for one in connected:
        one.abort()

    async def closed() -> bool:
        return not connected

    await eventually(closed, 60, what="all connections are closed")
    return found, met


async def _asking(site: Site, numbers: range, headers: Callable[[int], str], met: dict[str, set[int]]) -> None:
    address, port = site.stage.rig.reach(site.stage.http_port)
    reader, writer = await asyncio.open_connection(address, port)
    for number in numbers:
        said = headers(number)
        writer.write(f"GET / HTTP/1.1\r\nhost: {site.host}\r\nx-counted: 1\r\n{said}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        met.setdefault(said, set()).add(int(lines["x-endpoint"]))
    writer.close()
    await writer.wait_closed()


def spread(site: Site, balancing: LoadBalancing, affinity: Affinity | None = None, headers: Callable[[int], str] = lambda _: "x: y") -> tuple[list[int], dict[str, set[int]]]:
    found, met = asyncio.run(counted(site, balancing, affinity, headers))
    assert sum(found.values()) == REQUESTS, "every request came once"
    return [found[number] for number in range(ENDPOINTS)], met


def test_in_turn_each_gets_the_same(site: Site) -> None:
    found, _ = spread(site, RoundRobin())
    assert all(abs(one - EACH) <= 0.02 * EACH for one in found), found


@pytest.mark.parametrize("balancing", [LeastRequest(), PeakEwma()], ids=["least", "ewma"])
def test_endpoints_alike_get_nearly_the_same(site: Site, balancing: LoadBalancing) -> None:
    found, _ = spread(site, balancing)
    assert all(abs(one - EACH) <= 0.1 * EACH for one in found), found


def test_by_chance_each_gets_its_share_of_chance(site: Site) -> None:
    found, _ = spread(site, RandomChoice())
    assert all(abs(one - EACH) <= CHANCE for one in found), found
    assert len(set(found)) > 1, "that is no chance"


def test_a_key_stays_and_keys_spread(site: Site) -> None:
    found, met = spread(site, ConsistentHash(), HashOn(on="header", name=HeaderName("X-User")), lambda n: f"x-user: user-{n % 5000}")
    assert all(len(endpoints) == 1 for endpoints in met.values())
    assert all(0.7 * EACH <= one <= 1.3 * EACH for one in found), found


def test_an_address_stays(site: Site) -> None:
    found, _ = spread(site, ConsistentHash(), HashOn(on="ip"))
    assert sorted(found)[:-1] == [0] * (ENDPOINTS - 1)


def test_clients_without_a_cookie_are_dealt_in_turn_and_stay_with_it(site: Site) -> None:
    wished = CookieAffinity(name=CookieName("stay"))
    found, _ = spread(site, RoundRobin(), wished)
    assert all(abs(one - EACH) <= 0.02 * EACH for one in found), found
