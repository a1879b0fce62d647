"""Several real Envoys on one control plane: one that stands still delays nobody, and a restart re-sends nothing."""

import asyncio
import signal
import statistics
import time
from pathlib import Path

import pytest
from fleet import distributing, fleet, instance
from real_envoy import CLUSTER, Front, looking
from served import LB

from weirkeeper.distribute import stream
from weirkeeper.model.text import Id
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.echo import EchoServer
from weirkeeper.testing.eventually import eventually

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")]


def test_an_envoy_that_stands_still_delays_no_other_and_is_told_only_the_newest(state: Path) -> None:
    async def story() -> None:
        front = Front()
        async with EchoServer(name="a") as a, distributing(front, f"unix:{state}/ads.sock") as (server, _, _):
            one, two, still = (instance(state, number) for number in range(3))
            front.backend("first", a.port)
            server.put(front.changes())
            async with fleet(one, two, still):
                for member in (one, two, still):
                    await member.has("first")
                still.signal(signal.SIGSTOP)
                times = []
                for number in range(20):
                    front.backend(f"b{number}", a.port)
                    front.to("one.example", f"b{number}")
                    if number:
                        front.without("backends", f"b{number - 1}")
                        front.without("endpoint_sets", f"b{number - 1}")
                    began = time.monotonic()
                    server.put(front.changes())
                    await asyncio.gather(one.has(f"b{number}"), two.has(f"b{number}"))
                    times.append((time.monotonic() - began) * 1e3)
                assert statistics.median(times) < 2500, times  # who waits for the one that sleeps waits for ever
                still.signal(signal.SIGCONT)
                await still.has("b19")

                async def same() -> bool:
                    return await still.clusters() == await one.clusters() == {"first", "b19"}

                await eventually(same, what="the one that slept has what the others have")

    asyncio.run(story())


def test_a_control_plane_that_comes_back_sends_nothing_that_envoy_holds(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, str]] = []
    resource = stream.wire.resource

    def counted(kind: str, name: str, version: str, body: bytes) -> bytes:
        sent.append((kind.rpartition(".")[2], name))
        return resource(kind, name, version, body)

    monkeypatch.setattr(stream.wire, "resource", counted)

    async def story() -> None:
        front, authority, hosts = Front(), Authority(), [f"h{number}.example" for number in range(10)]
        front.secure()
        pairs = {host: authority.issue(host) for host in hosts}
        async with EchoServer(name="a") as a:
            for host in hosts:
                front.backend(f"b-{host}", a.port)
                front.to(host, f"b-{host}")
                front.certificate(host, pairs[host], host)
            async with distributing(front, f"unix:{state}/ads.sock") as (_, seen, _):
                envoy = instance(state, 0)
                envoy.start()
                await seen.programmed(dict(front.before))
                for host in hosts:
                    await front.shows(host, pairs[host])
                first = len(sent)
                assert first >= 40, "clusters, assignments, certificates and scopes of ten hosts"
            try:
                sent.clear()
                await front.shows(hosts[3], pairs[hosts[3]])  # nobody is there, and Envoy serves
                async with distributing(front, f"unix:{state}/ads.sock") as (server, seen, _):
                    await seen.programmed(dict(front.before))
                    assert sent == []
                    front.backend("b-new", a.port)
                    front.to("new.example", "b-new")
                    changes = front.changes()
                    server.put(changes)
                    await seen.programmed(changes)
                    assert {name for _, name in sent} == {key.name for key in changes}
                    await front.answers("new.example", "a")
            finally:
                await envoy.end()

    asyncio.run(story())


@pytest.mark.slow
def test_an_envoy_that_stands_still_for_long_is_no_instance_and_holds_no_observation_up(state: Path) -> None:
    async def story() -> None:
        front = Front()
        async with EchoServer(name="a") as a, distributing(front, f"unix:{state}/ads.sock") as (server, seen, _):
            moving, still = instance(state, 0), instance(state, 1)
            async with fleet(moving, still):
                await eventually(looking(lambda: server.instances(Id(LB)) == 2), what="both are instances")
                still.signal(signal.SIGSTOP)
                front.backend("a", a.port)
                changes = front.changes()
                server.put(changes)
                await moving.has("a")
                assert (CLUSTER, "a") not in seen.items, "one lacks it, so it is not programmed"
                await seen.programmed(changes, 40)
                assert server.instances(Id(LB)) == 1
                still.signal(signal.SIGCONT)
                await eventually(looking(lambda: server.instances(Id(LB)) == 2), what="it is back")
                await still.has("a")

    asyncio.run(story())
