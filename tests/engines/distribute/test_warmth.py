"""Hosts that move to a brand-new cluster while keep-alive clients ask: each answer is right, and what is left goes after its drain time."""

import asyncio
import gc
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from real_envoy import Front, Live, living

from weirkeeper.model.backend import BackendTls, HealthCheck
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.client import Target, fetch
from weirkeeper.testing.echo import EchoServer, echo_thread
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.load import Ask, Mix, Plan, load

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")]

MOVES = 10


def plain(_: int) -> dict[str, Any]:
    return {}


def checked(_: int) -> dict[str, Any]:
    return {"health": HealthCheck(interval=100, healthy=2)}  # type: ignore[arg-type]


def secured(number: int) -> dict[str, Any]:
    """The authority is another secret each time, so that it has to come as well."""
    return {"tls": BackendTls(server_name="backend.internal", trust=f"ca{number}")}  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [plain, checked, secured])
@pytest.mark.parametrize("mix", [Mix.KEEP_ALIVE, Mix.HTTP2])
def test_a_host_moves_to_new_clusters_and_no_request_fails(
    state: Path, kind: Callable[[int], dict[str, Any]], mix: Mix
) -> None:
    async def story() -> None:
        front, authority = Front(), Authority("backends")
        tls = context(authority, state) if kind is secured else None
        with echo_thread(name="a", tls=tls) as a, echo_thread(name="b", tls=tls) as b:

            def move(number: int) -> None:
                front.bundle(f"ca{number}", authority.pem())
                front.backend(f"m{number}", (a, b)[number % 2].port, **kind(number))
                front.to("one.example", f"m{number}")
                if number:
                    front.without("backends", f"m{number - 1}")
                    front.without("endpoint_sets", f"m{number - 1}")
                    front.without("trust_bundles", f"ca{number - 1}")

            move(0)
            async with living(front, state, drain=2.0) as live:  # longer than a busy machine lets an answer wait
                await front.answers("one.example", "a")
                ask = Ask(name="one", host="one.example")
                plan = Plan(target=Target(port=front.port), asks=(ask,), connections=8, rate=800, mix=mix)
                with load(plan) as running:
                    for number in range(1, MOVES + 1):
                        move(number)
                        await live.apply()
                        await front.answers("one.example", "ab"[number % 2])
                    result = await asyncio.to_thread(running.stop)
                failures = result.failures(lambda record: record.status == 200)
                assert not failures, f"{len(failures)} of {len(result.records)}: {failures[:5]}"
                assert {record.answer for record in result.records} == {"a", "b"}
                await eventually(lambda: only(live, f"m{MOVES}"), what="the clusters that were left are gone")
        gc.collect()

    asyncio.run(story())


async def only(live: Live, cluster: str) -> bool:
    return await live.clusters() == {cluster}


def context(authority: Authority, folder: Path) -> ssl.SSLContext:
    pair = authority.issue("backend.internal")
    (folder / "pair.pem").write_bytes(pair.certificate + pair.key)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(folder / "pair.pem")
    return made


def test_a_cluster_stays_for_the_drain_time_so_that_answers_under_way_are_whole(state: Path) -> None:
    drain = 6.0

    async def story() -> None:
        front = Front()
        async with EchoServer(name="a") as a, EchoServer(name="b") as b:
            front.backend("old", a.port)
            front.to("one.example", "old")
            async with living(front, state, drain=drain) as live:
                await front.answers("one.example", "a")
                slow = asyncio.create_task(fetch("http://one.example/?delay=1", via=front.port))
                await eventually(lambda: under_way(live), what="the slow request has reached Envoy")
                front.backend("new", b.port)
                front.to("one.example", "new")
                front.without("backends", "old")
                front.without("endpoint_sets", "old")
                began = time.monotonic()
                await live.apply()
                await front.answers("one.example", "b")
                assert "old" in await live.clusters()
                assert (await slow).echo.name == "a"
                await eventually(lambda: only(live, "new"), what="the old cluster is gone")
                assert time.monotonic() - began >= drain

    asyncio.run(story())


async def under_way(live: Live) -> bool:
    found = await live.admin.stats("http.")
    return any(value for name, value in found.items() if name.endswith(".downstream_rq_active") and "admin" not in name)


def test_a_plain_client_of_a_checked_cluster_waits_on_the_old_route_until_it_is_healthy(state: Path) -> None:
    async def story() -> None:
        front = Front()
        async with EchoServer(name="a") as a:
            front.backend("old", a.port)
            front.to("one.example", "old")
            async with living(front, state) as live:
                await front.answers("one.example", "a")
                silent = socket.create_server(("127.0.0.1", 0))  # takes connections and never says a word
                port = silent.getsockname()[1]
                check = HealthCheck(interval=60_000, timeout=60_000, healthy=1, unhealthy=1, path="/")  # type: ignore[arg-type]
                front.backend("new", port, health=check)
                front.to("one.example", "new")
                live.wish()
                await eventually(lambda: warming(live), what="the new cluster is at Envoy")
                await front.answers("one.example", "a")
                silent.close()

    asyncio.run(story())


async def warming(live: Live) -> bool:
    found = await live.admin.config_dump(resource="dynamic_warming_clusters")
    return bool(found.get("configs"))
