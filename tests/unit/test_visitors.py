"""HTTP addresses in a flood: who stays, who goes, and that others are answered meanwhile. Real sockets on loopback; peers are addresses of 127.0.0.0/8."""

import asyncio
import contextlib
import datetime as dt
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from weirkeeper.distribute import door
from weirkeeper.distribute.authority import SERVER_NAME, new_authority
from weirkeeper.distribute.credentials import OwnTls, client_context
from weirkeeper.distribute.desk import Desk
from weirkeeper.runtime.health import Health
from weirkeeper.runtime.metrics import Metrics
from weirkeeper.testing.eventually import eventually
from weirkeeper.visitors import Crowd, Limits, receiving

PATIENCE = 30.0
SHORT = Limits(each=8, most=20, silence=0.5, answer=0.5)
LONG = Limits(each=8, most=20, silence=60.0, answer=60.0)


def test_a_peer_with_too_many_loses_its_own_oldest_idle_one():
    crowd = Crowd(each=2, most=100)
    assert [crowd.came(name, "a") for name in ("a1", "a2")] == [None, None]
    crowd.works("a1")
    assert crowd.came("b1", "b") is None
    assert crowd.came("a3", "a") == "a2", "a1 is being answered"
    crowd.left("a2")
    crowd.works("a3")
    assert crowd.came("a4", "a") == "a4", "nobody else may go"
    crowd.left("a4")
    crowd.rests("a1")
    assert crowd.came("a5", "a") == "a1"
    crowd.left("a1")
    assert sorted(crowd.all) == ["a3", "a5", "b1"]


def test_when_there_are_too_many_in_all_the_peer_with_most_loses_one():
    crowd = Crowd(each=10, most=4)
    for name in ("b1", "a1", "a2", "a3"):
        assert crowd.came(name, name[0]) is None
    assert crowd.came("c1", "c") == "a1"
    crowd.left("a1")
    crowd.works("a2")
    crowd.works("a3")
    assert crowd.came("c2", "c") == "c1"
    crowd.left("c1")
    assert len(crowd) == 4


def test_who_is_gone_counts_no_more_however_often_it_is_said():
    crowd = Crowd(each=1, most=1)
    crowd.came("a1", "a")
    for _ in range(2):
        crowd.left("a1")
        crowd.works("a1")
        crowd.rests("a1")
    assert crowd.came("b1", "b") is None
    assert crowd.all == ("b1",)


# Over sockets


@asynccontextmanager
async def health(limits: Limits) -> AsyncIterator[tuple[Health, Metrics]]:
    metrics = Metrics()
    made = Health("127.0.0.1:0", metrics, alive={"loop": lambda: ""}, ready={}, limits=limits)
    async with running(made.run()):
        await eventually(lambda: answer(made.port > 0), what="health listens")
        yield made, metrics


@asynccontextmanager
async def desk(limits: Limits) -> AsyncIterator[tuple[Desk, aiohttp.ClientSession, list[str]]]:
    authority, counted = new_authority(dt.datetime.now(dt.UTC)), []
    made = Desk("127.0.0.1:0", OwnTls(authority, ()), None, None, limits=limits, counted=counted.append)
    connector = aiohttp.TCPConnector(ssl=client_context(None, authority.bundle.encode()), force_close=True)
    async with running(made.run()), aiohttp.ClientSession(connector=connector) as session:
        await asyncio.wait_for(made.listening.wait(), PATIENCE)
        yield made, session, counted


@asynccontextmanager
async def running(work):
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def answer(value):
    return value


async def silent(port: int, count: int, peer: str = "127.0.0.1", said: bytes = b""):
    """Connections of one peer that begin something, or nothing, and stay."""
    made = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(peer, 0))
        if said:
            writer.write(said)
        made.append((reader, writer))
    return made


async def open_ones(connections) -> int:
    """How many of them the server has not ended."""
    ended = 0
    for reader, _ in connections:
        with contextlib.suppress(TimeoutError):
            try:
                async with asyncio.timeout(0.01):
                    ended += not await reader.read(1)
            except OSError:
                ended += 1
    return len(connections) - ended


async def lives(port: int) -> float:
    began = time.monotonic()
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/livez", timeout=aiohttp.ClientTimeout(PATIENCE)) as got:
        assert got.status == 200
    return time.monotonic() - began


def close(connections) -> None:
    for _, writer in connections:
        writer.transport.abort()


def cut_off(metrics: Metrics, why: str) -> float:
    rows = [one for one in metrics.text().splitlines() if one.startswith("weirkeeper_connections_cut_off_total") and f'why="{why}"' in one]
    return float(rows[0].rpartition(" ")[2]) if rows else 0.0


@pytest.mark.parametrize("peers", [["127.0.0.1"], ["127.0.0.2"], [f"127.0.0.{n}" for n in range(2, 12)]], ids=["own", "other", "many"])
def test_probes_are_answered_in_a_flood_and_the_flood_does_not_grow(peers):
    async def story():
        async with health(LONG) as (made, metrics):
            flood = [one for peer in peers for one in await silent(made.port, 400 // len(peers), peer, b"GET /livez HTTP/1.1\r\nhost: x\r\n")]
            try:
                assert await lives(made.port) < PATIENCE
                await eventually(lambda: open_ones_at_most(flood, LONG.most), PATIENCE, what="few are left of the flood", pause=0.2)
                assert cut_off(metrics, "crowd") >= 400 - LONG.most
            finally:
                close(flood)

    asyncio.run(story())


async def open_ones_at_most(connections, most):
    return await open_ones(connections) <= most


@pytest.mark.parametrize("said", [b"", b"GET /livez HTTP/1.1\r\nhost: x\r\n"], ids=["nothing", "half a head"])
def test_who_says_nothing_is_cut_off(said):
    async def story():
        async with health(SHORT) as (made, metrics):
            ((reader, writer),) = await silent(made.port, 1, said=said)
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
            writer.close()
            assert cut_off(metrics, "silence") == 1

    asyncio.run(story())


def test_trickling_does_not_help():
    async def story():
        async with health(SHORT) as (made, _):
            ((reader, writer),) = await silent(made.port, 1, said=b"GET /livez HTTP/1.1\r\n")
            ended = asyncio.create_task(reader.read())
            sent = 0
            while not ended.done():
                writer.write(b"x: y\r\n")
                sent += 1
                await asyncio.wait((ended,), timeout=0.05)
                assert sent < PATIENCE / 0.05
            writer.close()

    asyncio.run(story())


def test_a_connection_is_kept_for_the_next_request_and_not_for_ever():
    async def story():
        async with health(SHORT) as (made, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
            for _ in range(2):
                writer.write(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
                assert b" 200 " in head
                await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
            writer.close()

    asyncio.run(story())


def test_who_does_not_read_its_answer_is_cut_off_and_who_takes_long_to_be_answered_is_not():
    async def story():
        counted = []
        app = web.Application()

        async def endless(_):
            return web.Response(body=b"x" * (64 << 20))

        async def lasting(_):
            await asyncio.sleep(4 * SHORT.answer)
            return web.Response(text="at last")

        app.router.add_get("/endless", endless)
        app.router.add_get("/lasting", lasting)
        async with receiving(app, "127.0.0.1", 0, limits=SHORT, lasting=("/lasting",), counted=counted.append) as port:
            flood = await silent(port, 1, said=b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n")
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/lasting") as got:
                assert await got.text() == "at last"
            await eventually(lambda: answer("silence" in counted), PATIENCE, what="it is cut off")
            close(flood)

    asyncio.run(story())


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "half a hello"])
def test_half_open_tls_is_counted_and_ended_and_others_are_heard_meanwhile(said):
    async def story():
        async with desk(LONG) as (made, session, counted):
            flood = await silent(made.port, 100, "127.0.0.2", said)
            try:
                async with session.get(f"https://127.0.0.1:{made.port}/", server_hostname=SERVER_NAME) as got:
                    assert got.status == 404
                await eventually(lambda: open_ones_at_most(flood, LONG.each), PATIENCE, what="few are left", pause=0.2)
                assert counted.count("crowd") >= 100 - LONG.each
            finally:
                close(flood)
        async with desk(SHORT) as (made, _, _counted):
            ((reader, writer),) = await silent(made.port, 1, said=said)
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
            writer.close()

    asyncio.run(story())


def test_plain_words_to_tls_and_sudden_ends_leave_nobody_behind():
    async def story():
        async with desk(LONG) as (made, session, counted):
            for _ in range(3 * LONG.each):
                ((_, writer),) = await silent(made.port, 1, said=b"GET / HTTP/1.1\r\n\r\n")
                writer.transport.abort()
                async with session.get(f"https://127.0.0.1:{made.port}/", server_hostname=SERVER_NAME) as got:
                    assert got.status == 404
            assert counted == []

    asyncio.run(story())


def test_an_engine_that_says_nothing_is_cut_off_by_its_own_port_too(monkeypatch):
    monkeypatch.setattr(door, "_OPTIONS", [(name, 500 if name == "grpc.server_handshake_timeout_ms" else value) for name, value in door._OPTIONS])

    async def story():
        made = door.Door(lambda _load_balancer, _node: door.Away("nobody is served here"))
        port = await made.open("127.0.0.1:0", OwnTls(new_authority(dt.datetime.now(dt.UTC)), ()))
        try:
            ((reader, writer),) = await silent(port, 1)
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
            writer.close()
        finally:
            await made.close()

    asyncio.run(story())
