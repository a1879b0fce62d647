"""A real Envoy, run by the engine and fed by the distributor: what it serves, what it is told, and what becomes of it."""

import asyncio
import hashlib
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import scoped_route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2  # noqa: F401
from google.protobuf import json_format
from real_envoy import Seen, Wishes

from weirkeeper.distribute.kinds import CDS, EDS, GOOGLE, LDS, SRDS
from weirkeeper.model.observation import ItemState
from weirkeeper.model.text import Digest, Id
from weirkeeper.providers.base import EngineItem, EngineSettings, ItemKey
from weirkeeper.providers.envoy.engine import EnvoyEngine
from weirkeeper.testing.client.target import closed
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.ports import free_port

pytestmark = pytest.mark.engine
LB = Id("shop/web")
ADS = {"ads": {}, "resource_api_version": "V3"}
MESSAGE = {
    LDS: listener_pb2.Listener,
    CDS: cluster_pb2.Cluster,
    EDS: endpoint_pb2.ClusterLoadAssignment,
    SRDS: scoped_route_pb2.ScopedRouteConfiguration,
}


def item(kind: str, body: dict, *needs: tuple[str, str]) -> EngineItem:
    raw = json_format.ParseDict(body, MESSAGE[kind]()).SerializeToString(deterministic=True)
    return EngineItem(body=raw, version=Digest(hashlib.sha256(raw).hexdigest()[:16]), needs=needs)


def listener(port: int) -> EngineItem:
    key = {"fragments": [{"header_value_extractor": {"name": ":authority", "element_separator": ":", "index": 0}}]}
    hcm = {
        "@type": GOOGLE + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "http_filters": [
            {"name": "router", "typed_config": {"@type": GOOGLE + "envoy.extensions.filters.http.router.v3.Router"}}
        ],
        "scoped_routes": {
            "name": "sr",
            "scope_key_builder": key,
            "rds_config_source": ADS,
            "scoped_rds": {"scoped_rds_config_source": ADS},
        },
    }
    return item(
        LDS,
        {
            "name": "web",
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
            "filter_chains": [{"filters": [{"name": "hcm", "typed_config": hcm}]}],
        },
    )


def scope(host: str, cluster: str, match: dict | None = None, **route: object) -> EngineItem:
    routes = [
        {"name": host, "match": match or {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s", **route}}
    ]
    body = {
        "name": host,
        "key": {"fragments": [{"string_key": host}]},
        "route_configuration": {
            "name": host,
            "validate_clusters": False,
            "virtual_hosts": [{"name": host, "domains": ["*"], "routes": routes}],
        },
    }
    return item(SRDS, body, (CDS, cluster))


def cluster(name: str, timeout: str = "1s") -> EngineItem:
    return item(
        CDS, {"name": name, "type": "EDS", "connect_timeout": timeout, "eds_cluster_config": {"eds_config": ADS}}
    )


def assignment(name: str, port: int) -> EngineItem:
    host = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
    return item(EDS, {"cluster_name": name, "endpoints": [{"lb_endpoints": [host]}]})


def key(kind: str, name: str) -> ItemKey:
    return ItemKey(LB, kind, name)


def host_items(host: str, name: str, port: int) -> dict[ItemKey, EngineItem | None]:
    return {key(SRDS, host): scope(host, name), key(CDS, name): cluster(name), key(EDS, name): assignment(name, port)}


@asynccontextmanager
async def origin(letter: str) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n" + letter.encode())
        except (OSError, asyncio.IncompleteReadError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def ask(port: int, host: str) -> tuple[int, str]:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return 0, ""
    try:
        writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        raw = await reader.read()
    finally:
        await closed(writer)
    head, _, body = raw.partition(b"\r\n\r\n")
    return (int(head.split(b" ")[1]), body.decode()) if head else (0, "")


@asynccontextmanager
async def running(
    folder: Path, wishes: Wishes, drain: float = 0.2, at_first: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[Seen]:
    seen = Seen()
    engine = EnvoyEngine(EngineSettings(state_directory=str(folder), concurrency=1, drain_seconds=drain))
    task = asyncio.create_task(engine.serve(wishes, seen))
    try:
        if at_first is not None:
            await at_first()
        await seen.instances(1)
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def state() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="weir-"))
    yield folder
    shutil.rmtree(folder)


def envoys(folder: Path) -> list[int]:
    return [
        int(p.name)
        for p in Path("/proc").iterdir()
        if p.name.isdigit() and f"{folder}/".encode() in _command(p) and b"bootstrap.json" in _command(p)
    ]


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def test_serves_quarantines_recovers_and_ends(state: Path) -> None:
    async def story() -> None:
        async with origin("A") as a, origin("B") as b:
            port = free_port()
            wishes = Wishes({key(LDS, "web"): listener(port), **host_items("h1", "c1", a)})
            async with running(state, wishes) as seen:
                await answers(port, "h1", "A")
                assert seen.front.addresses[0].ports == (port,)
                bad = scope("h1", "c1", {"safe_regex": {"regex": "(unclosed"}})
                many = {k: v for i in range(100) for k, v in host_items(f"n{i}", f"d{i}", b).items()}
                wishes.put({**many, key(SRDS, "h1"): bad})
                await seen.programmed(many)
                await eventually(lambda: _is(seen.items[SRDS, "h1"].state is ItemState.REJECTED))
                assert "missing )" in seen.items[SRDS, "h1"].message
                assert await ask(port, "h1") == (200, "A")
                await answers(port, "n99", "B")
                fixed = {key(SRDS, "h1"): scope("h1", "d1")}
                wishes.put(fixed)
                await seen.programmed(fixed)
                await answers(port, "h1", "B")
                assert len(envoys(state)) == 1
            assert envoys(state) == []

    asyncio.run(story())


def test_what_shared_a_response_with_a_refused_scope_is_served(state: Path) -> None:
    """Envoy remembers such a scope and tells its workers nothing; the same bytes again would change nothing (docs/decisions/0007, rule 10)."""

    async def story() -> None:
        async with origin("A") as a, origin("B") as b:
            port = free_port()
            before = {**host_items("h1", "c1", a), **host_items("h2", "c1", a), **host_items("h3", "d0", b)}
            wishes = Wishes({key(LDS, "web"): listener(port), **before})
            async with running(state, wishes) as seen:
                await answers(port, "h3", "B")
                bad = {key(SRDS, "h1"): scope("h1", "c1", {"safe_regex": {"regex": "(unclosed"}})}
                good = {key(SRDS, host): scope(host, "d0") for host in ("new", "h2")}
                late = {key(SRDS, "late"): scope("late", "d0")}
                wishes.put({**good, **bad, **late})
                await seen.programmed({**good, **late})
                await seen.rejected(SRDS, "h1")
                for host in ("new", "h2", "late"):
                    await answers(port, host, "B")
                await answers(port, "h1", "A")

    asyncio.run(story())


async def answers(port: int, host: str, letter: str, seconds: float = 60.0) -> None:
    """Envoy's ACK comes before its workers know."""

    async def look() -> bool:
        return await ask(port, host) == (200, letter)

    await eventually(look, seconds, what=f"{host} is answered by {letter}")


async def _is(value: bool) -> bool:
    return value


def test_moves_under_load_fail_no_request(state: Path) -> None:
    async def story() -> None:
        async with origin("A") as a, origin("B") as b:
            port = free_port()
            wishes = Wishes({key(LDS, "web"): listener(port), **host_items("h1", "m0", a)})
            async with running(state, wishes, drain=2.0) as seen:  # longer than a busy machine lets an answer wait
                answers: dict[tuple[int, str], int] = {}
                on = True

                async def client() -> None:
                    while on:
                        found = await ask(port, "h1")
                        answers[found] = answers.get(found, 0) + 1

                clients = [asyncio.create_task(client()) for _ in range(8)]
                for i in range(1, 21):
                    new = host_items("h1", f"m{i}", (a, b)[i % 2])
                    wishes.put({**new, key(CDS, f"m{i - 1}"): None, key(EDS, f"m{i - 1}"): None})
                    await seen.programmed(new)
                on = False
                await asyncio.gather(*clients)
                assert set(answers) == {(200, "A"), (200, "B")}, answers

    asyncio.run(story())


HERE = Path(__file__).parent
SHARED = (str(HERE.parents[1] / "support"), str(HERE.parent / "envoy_translation"))
CHILD = """
import asyncio, sys
sys.path[:0] = {folders!r}
import test_envoy as t
from pathlib import Path
async def main():
    wishes = t.Wishes({{t.key(t.LDS, "web"): t.listener({port}), **t.host_items("h1", "c1", {origin})}})
    async with t.running(Path({state!r}), wishes):
        print("serving", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def undisturbed(port: int, wishes: Wishes, origin: int) -> None:
    """While it is not known yet what is wished nothing changes, although Envoy dials up to twenty times a second; nor when it is."""
    for _ in range(100):
        assert await ask(port, "h1") == (200, "A")
        await asyncio.sleep(0.02)
    wishes.put({key(LDS, "web"): listener(port), **host_items("h1", "c1", origin)})


def test_a_killed_control_plane_leaves_envoy_serving_and_the_next_adopts_it(state: Path) -> None:
    async def story() -> None:
        async with origin("A") as a:
            port = free_port()
            code = CHILD.format(folders=[str(HERE), *SHARED], port=port, origin=a, state=str(state))
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, start_new_session=True
            )
            assert await asyncio.wait_for(child.stdout.readline(), 60) == b"serving\n"
            before = envoys(state)
            os.kill(child.pid, signal.SIGKILL)
            await child.wait()
            assert await ask(port, "h1") == (200, "A")
            wishes = Wishes({})
            async with running(state, wishes, at_first=lambda: undisturbed(port, wishes, a)) as seen:
                assert envoys(state) == before
                new = host_items("h2", "c2", a)
                wishes.put(new)
                await seen.programmed(new)
                await answers(port, "h2", "A")
            assert envoys(state) == []

    asyncio.run(story())


@pytest.mark.parametrize("hosts", [10, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_change_is_acknowledged_fast(state: Path, hosts: int, record_property) -> None:
    async def story() -> None:
        async with origin("A") as a:
            port = free_port()
            items = {k: v for i in range(hosts) for k, v in host_items(f"h{i}", f"c{i}", a).items()}
            wishes = Wishes({key(LDS, "web"): listener(port), **items})
            began = time.monotonic()
            async with running(state, wishes) as seen:
                first = time.monotonic() - began
                await asyncio.sleep(1)
                changed, new = [], []
                for i in range(50):
                    change = {
                        key(SRDS, f"h{i % hosts}"): scope(
                            f"h{i % hosts}", f"c{i % hosts}", retry_policy={"num_retries": i + 1}
                        )
                    }
                    changed.append(await timed(wishes, seen, change))
                    new.append(await timed(wishes, seen, host_items(f"new{i}", f"cn{i}", a)))
                for name, times in (("changed", changed), ("new", new)):
                    times.sort()
                    print(
                        f"{hosts} hosts, {name}: p50 {statistics.median(times):.2f} ms, max {times[-1]:.2f} ms; first sync {first:.2f} s"
                    )
                assert statistics.median(changed) < 1000  # of a busy machine; the figures are printed

    asyncio.run(story())


async def timed(wishes: Wishes, seen: Seen, changes: dict) -> float:
    began = time.monotonic()
    wishes.put(changes)
    await seen.programmed(changes)
    return (time.monotonic() - began) * 1e3


def unbalanced(name: str) -> EngineItem:
    """A cluster that only its balancer refuses, when Envoy counts it as warming already."""
    ring = {"minimum_ring_size": 2048, "maximum_ring_size": 1024}
    more = {"lb_policy": "RING_HASH", "ring_hash_lb_config": ring}
    eds = {"eds_config": ADS}
    made = {"name": name, "type": "EDS", "connect_timeout": "1s", "eds_cluster_config": eds, **more}
    return item(CDS, made, (EDS, name))


def test_a_refusal_that_is_never_heard_is_found_and_said(state: Path) -> None:
    async def story() -> None:
        async with origin("A") as a, origin("B") as b:
            port = free_port()
            wishes = Wishes({key(LDS, "web"): listener(port), **host_items("h1", "c1", a)})
            async with running(state, wishes) as seen:
                await answers(port, "h1", "A")
                good = {k: v for i in range(3) for k, v in host_items(f"g{i}", f"d{i}", b).items()}
                bad = {**host_items("bad", "ring", b), key(CDS, "ring"): unbalanced("ring")}
                wishes.put({**good, **bad})
                for number in range(3):
                    await answers(port, f"g{number}", "B")
                await eventually(
                    lambda: _is((CDS, "ring") in seen.items and seen.items[CDS, "ring"].state is ItemState.REJECTED),
                    60,
                    what="the culprit is named",
                )
                assert "ring" in seen.items[CDS, "ring"].message
                await seen.programmed(good)
                await answers(port, "h1", "A")
                fixed = {key(CDS, "ring"): cluster("ring")}
                wishes.put(fixed)
                await seen.programmed({**fixed, key(SRDS, "bad"): bad[key(SRDS, "bad")]})
                await answers(port, "bad", "B")

    asyncio.run(story())


def test_a_scope_refused_beside_another_is_taken_when_that_one_goes(state: Path) -> None:
    async def story() -> None:
        async with origin("A") as a, origin("B") as b:
            port = free_port()
            wishes = Wishes({key(LDS, "web"): listener(port), **host_items("h1", "c1", a)})
            async with running(state, wishes) as seen:
                await answers(port, "h1", "A")
                made = host_items("second", "c2", b)
                body = scoped_route_pb2.ScopedRouteConfiguration.FromString(made[key(SRDS, "second")].whole)
                body.key.fragments[0].string_key = "h1"
                twin = EngineItem(body=body.SerializeToString(), version=Digest("twin"), needs=((CDS, "c2"),))
                wishes.put({**made, key(SRDS, "second"): twin})
                await eventually(
                    lambda: _is(
                        (SRDS, "second") in seen.items and seen.items[SRDS, "second"].state is ItemState.REJECTED
                    )
                )
                assert "conflict" in seen.items[SRDS, "second"].message
                await answers(port, "h1", "A")
                wishes.put({key(SRDS, "h1"): None})
                await seen.programmed({key(SRDS, "second"): twin})
                await answers(port, "h1", "B")

    asyncio.run(story())
