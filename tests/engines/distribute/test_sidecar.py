"""The whole road of an instance: token, certificate, stream, readiness, and renewals that nobody notices. Real processes, short lives."""

import asyncio
import datetime as dt
import json
from pathlib import Path

import pytest
from fleet import fleet
from pod import becomes, desk, envoy, probe, sidecar
from real_envoy import Front, looking
from replicas import Traffic, authority, replicas
from served import LB

from weirkeeper.distribute.authority import succeeded
from weirkeeper.testing.echo import EchoServer
from weirkeeper.testing.eventually import eventually

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")]
LIFE = dt.timedelta(seconds=6)
GRACE = 3.0
"""A stream that is away for longer (seconds) is missed; on a quiet machine it is away for less than half a second."""


@pytest.mark.slow
def test_from_a_token_to_traffic_and_through_renewals(state: Path) -> None:
    async def story() -> None:
        keys, front, counted = authority(), Front(), list[str]()
        (state / "ca.crt").write_text(keys.bundle)
        async with EchoServer(name="a") as a:
            front.backend("a", a.port)
            front.to("one.example", "a")
            async with (
                replicas(front, keys, 1, LIFE, stream_seconds=2.0, grace_seconds=GRACE) as (one,),
                desk(one, LIFE, counted) as port,
                sidecar(state, port) as pod,
            ):
                await becomes(f"{pod.url}/started", 200)
                assert (state / "run" / "certificate.json").stat().st_mode & 0o777 == 0o600
                assert (await probe(f"{pod.url}/ready"))[0] == 503
                made = await envoy(state, one.port)
                async with fleet(made):
                    await becomes(f"{pod.url}/ready", 200)
                    await front.answers("one.example", "a")
                    await eventually(looking(lambda: one.seen.news), what="the instance is announced")
                    assert one.seen.news[0].addresses == ("192.0.2.7",)
                    streams, gaps = list[object](), list[float]()
                    async with Traffic(front, "one.example") as traffic:
                        began = last = asyncio.get_running_loop().time()
                        while counted.count("issued") < 4:
                            now = asyncio.get_running_loop().time()
                            assert now < began + 120
                            there = one.service._distributors["envoy"]._fleets[LB].connections
                            if there:
                                if there[0] not in streams:
                                    streams.append(there[0])  # kept alive: an address would be given again
                                gaps.append(now - last)
                                last = now
                            await asyncio.sleep(0.005)
                    assert traffic.failed == []
                    assert len(streams) >= 4
                    assert max(gaps) < GRACE
                    assert [news.serving for news in one.seen.news] == [True]
                    text = await becomes(f"{pod.url}/metrics", 200)
                    assert "envoy_cluster_manager_cds_update_success" in text
                    (taken,) = [line for line in text.splitlines() if "sidecar_certificates_total" in line]
                    assert int(taken.split()[1]) >= 3
                    await one.stop()
                    assert (await probe(f"{pod.url}/ready"))[0] == 200, "without a control plane it serves what it has"

    asyncio.run(story())


@pytest.mark.slow
def test_a_new_root_takes_over_while_an_envoy_is_served(state: Path) -> None:
    """The root is near its end: its successor is trusted, signs, and remains alone. The stream never stays away."""

    async def story() -> None:
        keys, front, counted = authority(dt.timedelta(days=10), age=dt.timedelta(days=9)), Front(), list[str]()
        (state / "ca.crt").write_text(keys.bundle)
        async with EchoServer(name="a") as a:
            front.backend("a", a.port)
            front.to("one.example", "a")
            async with (
                replicas(front, keys, 1, LIFE, stream_seconds=2.0, grace_seconds=GRACE) as (one,),
                desk(one, LIFE, counted) as port,
                sidecar(state, port) as pod,
            ):
                await becomes(f"{pod.url}/started", 200)
                clock, roots = asyncio.get_running_loop().time, [keys.bundle]
                async with fleet(await envoy(state, one.port)), Traffic(front, "one.example") as traffic:
                    await front.answers("one.example", "a")
                    traffic.failed.clear()
                    began = last = last_step = clock()
                    gaps = list[float]()
                    while len(roots) < 3 or clock() < last_step + 5:
                        assert clock() < began + 180
                        after = succeeded(one.tls.keys, dt.datetime.now(dt.UTC), LIFE)
                        if after is not None:
                            one.tls.trust(after)
                            last_step = clock()
                            if after.bundle != roots[-1]:
                                roots.append(after.bundle)
                        if one.service._distributors["envoy"]._fleets[LB].connections:
                            gaps.append(clock() - last)
                            last = clock()
                        await asyncio.sleep(0.005)
                    assert roots[2] != roots[0]
                    assert roots[1].count("BEGIN") == 2
                    assert roots[2].count("BEGIN") == 1
                    assert counted.count("issued") >= 4

                    async def alone() -> bool:
                        return bool(json.loads((state / "run" / "instance.json").read_bytes())["authority"] == roots[2])

                    await eventually(alone, what="the instance has renewed, and was told of the new root alone")
                    assert max(gaps) < GRACE
                    assert traffic.failed == []

    asyncio.run(story())


def test_a_refused_token_is_not_started_and_tried_again(state: Path) -> None:
    async def story() -> None:
        keys, front, counted = authority(), Front(), list[str]()
        (state / "ca.crt").write_text(keys.bundle)
        async with (
            replicas(front, keys, 1) as (one,),
            desk(one, LIFE, counted) as port,
            sidecar(state, port, token="a wrong one") as pod,
        ):
            await eventually(looking(lambda: counted.count("refused") >= 2), 60, what="it has asked again")
            assert (await probe(f"{pod.url}/started"))[0] == 503
            assert not (state / "run" / "certificate.json").exists()
            (state / "token").write_text("token-7f3a")
            await becomes(f"{pod.url}/started", 200)

    asyncio.run(story())
