"""The process behind a load balancer: killed, replaced because its bootstrap changed, adopted, ended."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest
from real_envoy import Front, envoys, living, looking
from served import LB

from weirkeeper.distribute.kinds import LDS
from weirkeeper.model.text import Id
from weirkeeper.providers.base import EngineSettings
from weirkeeper.providers.envoy.binary import envoy_binary
from weirkeeper.providers.envoy.engine import EnvoyEngine
from weirkeeper.providers.envoy.processes import start
from weirkeeper.testing.echo import EchoServer
from weirkeeper.testing.eventually import eventually

pytestmark = pytest.mark.engine


def test_a_killed_envoy_is_started_again_and_serves_what_is_wished_by_then(state: Path) -> None:
    async def story() -> None:
        front = Front()
        async with EchoServer(name="a") as a, EchoServer(name="b") as b:
            front.backend("a", a.port)
            front.to("one.example", "a")
            async with living(front, state) as live:
                await front.answers("one.example", "a")
                killed = live.pid
                os.kill(killed, signal.SIGKILL)
                await live.seen.instances(0)
                front.backend("b", b.port)
                front.to("one.example", "b")
                live.wish()
                await live.seen.instances(1)
                await front.answers("one.example", "b")
                assert live.pid != killed
            assert envoys(state) == []

    asyncio.run(story())


def envoy() -> Path:
    found = envoy_binary()
    assert found is not None
    return found


@pytest.mark.parametrize(("connections", "stays"), [("1000", True), ("2000", False)])
def test_a_running_envoy_stays_with_the_same_bootstrap_and_is_replaced_with_another(
    state: Path, connections: str, stays: bool
) -> None:
    async def story() -> None:
        front = Front()
        settings = EngineSettings(state_directory=str(state), options={"max-connections": "1000"})
        before = EnvoyEngine(settings).keeper(LB)
        left = start(before.folder, envoy(), before.document, 1)
        async with EchoServer(name="a") as a:
            front.backend("a", a.port)
            front.to("one.example", "a")
            async with living(front, state, **{"max-connections": connections}) as live:
                assert (live.pid == left.pid) is stays
                await front.answers("one.example", "a")
            assert envoys(state) == []

    asyncio.run(story())


def test_an_envoy_that_was_started_and_never_recorded_is_adopted(state: Path) -> None:
    async def story() -> None:
        front = Front()
        before = EnvoyEngine(EngineSettings(state_directory=str(state))).keeper(LB)
        left = start(before.folder, envoy(), before.document, 1)
        before.folder.record.unlink()
        async with EchoServer(name="a") as a:
            front.backend("a", a.port)
            front.to("one.example", "a")
            async with living(front, state) as live:
                assert live.pid == left.pid
                await front.answers("one.example", "a")
            assert envoys(state) == []

    asyncio.run(story())


def test_the_envoy_of_a_load_balancer_that_vanished_meanwhile_is_ended_with_its_files(state: Path) -> None:
    async def story() -> None:
        front = Front()
        gone = EnvoyEngine(EngineSettings(state_directory=str(state))).keeper(Id("gone"))
        left = start(gone.folder, envoy(), gone.document, 1)
        async with EchoServer(name="a") as a:
            front.backend("a", a.port)
            async with living(front, state) as live:
                assert left.pid in envoys(state)
                front.to("one.example", "a")
                await live.apply()
                await eventually(looking(lambda: not gone.folder.path.exists()), what="its folder is removed")
                assert envoys(state) == [live.pid]

    asyncio.run(story())


def test_a_load_balancer_that_goes_and_comes_back_is_served_again(state: Path) -> None:
    async def story() -> None:
        front = Front()
        async with EchoServer(name="a") as a:
            front.backend("a", a.port)
            front.to("one.example", "a")
            async with living(front, state) as live:
                items, first = dict(live.wishes.all), live.pid
                live.wishes.put(dict.fromkeys(items))
                await live.seen.instances(0)
                live.wishes.put(dict(items))
                await live.seen.instances(1)
                await front.answers("one.example", "a")
                assert live.pid != first

    asyncio.run(story())


def test_a_port_that_another_program_holds_is_said_and_taken_when_it_is_free(state: Path) -> None:
    async def story() -> None:
        front = Front()
        async with EchoServer(name="a") as a:
            front.backend("a", a.port)
            front.to("one.example", "a")
            with socket.create_server(("127.0.0.1", front.port)):
                engine = living(front, state)
                live = await engine.__aenter__()
                found = await live.seen.rejected(LDS, f"port-{front.port}")
                assert str(front.port) in found.message
            try:
                await front.answers("one.example", "a")
            finally:
                await engine.__aexit__(None, None, None)

    asyncio.run(story())


def test_the_log_stays_small_while_envoy_writes_to_it(state: Path) -> None:
    async def story() -> None:
        front, most = Front(access_log="/dev/stdout"), 20_000
        async with EchoServer(name="a") as a:
            front.backend("a", a.port)
            front.to("one.example", "a")
            async with living(front, state, **{"max-log-bytes": str(most)}):

                async def asked_until(word: str, log: str) -> None:
                    async def look() -> bool:
                        answer = await front.ask("one.example", headers=[("user-agent", word * 500)])
                        return answer.status == 200 and word.encode() in content(state, log)

                    await eventually(look, 60, what=f"{log} has {word}")

                await asked_until("earlier", "envoy.log.1")
                assert len(content(state, "envoy.log.1")) <= most
                await asked_until("later", "envoy.log")
                assert b"\0" not in content(state, "envoy.log")

    asyncio.run(story())


def content(state: Path, name: str) -> bytes:
    return b"".join(path.read_bytes() for path in state.glob(f"*/{name}"))
