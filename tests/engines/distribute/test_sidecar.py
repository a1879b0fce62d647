"""The whole road of an instance: token, certificate, stream, readiness, and renewals that nobody notices. Real processes, short lives."""

import asyncio
import datetime as dt
import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from fleet import fleet
from pod import becomes, desk, envoy, probe, sidecar
from real_envoy import Front, looking
from replicas import Traffic, authority, replicas
from served import LB

from weirkeeper.cli.sidecar import LIMITS
from weirkeeper.distribute.authority import succeeded
from weirkeeper.testing.echo import EchoServer
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.ports import free_port

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")]
LIFE = dt.timedelta(seconds=6)
GRACE = 15.0
"""A stream that is away for longer (seconds) is missed."""
USUAL_GAP = 1.0
"""Renewals take a stream away for less (seconds); on a quiet machine it is less than half of that. One of them may meet a machine that does something else."""


class Gaps:
    """How long an instance was without a stream, each time that it was."""

    def __init__(self, connections: Callable[[], Sequence[object]]) -> None:
        self._connections, self._last, self._away = connections, clock(), False
        self.streams: list[object] = []
        self.each: list[float] = []

    def look(self) -> None:
        """What it is now; to be asked again and again."""
        there = self._connections()
        if not there:
            self._away = True
            return
        if there[0] not in self.streams:
            self.streams.append(there[0])  # kept alive: an address would be given again
        if self._away:
            self.each.append(clock() - self._last)
        self._last, self._away = clock(), False


def clock() -> float:
    return asyncio.get_running_loop().time()


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
                    gaps = Gaps(lambda: one.service._distributors["envoy"]._fleets[LB].connections)
                    began = clock()
                    async with Traffic(front, "one.example") as traffic:
                        while counted.count("issued") < 4 or clock() < began + 3 * LIFE.total_seconds():
                            assert clock() < began + 120
                            gaps.look()
                            await asyncio.sleep(0.005)
                    assert traffic.failed == []
                    assert len(gaps.streams) >= 4
                    print(f"{len(gaps.each)} times without a stream, for {max(gaps.each, default=0):.2f} s at most")
                    assert statistics.median_low([0.0, *gaps.each]) < USUAL_GAP, gaps.each
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
                roots = [keys.bundle]
                async with fleet(await envoy(state, one.port)), Traffic(front, "one.example") as traffic:
                    await front.answers("one.example", "a")
                    traffic.failed.clear()
                    began = last_step = clock()
                    gaps = Gaps(lambda: one.service._distributors["envoy"]._fleets[LB].connections)
                    while len(roots) < 3 or clock() < last_step + 5:
                        assert clock() < began + 180
                        after = succeeded(one.tls.keys, dt.datetime.now(dt.UTC), LIFE)
                        if after is not None:
                            one.tls.trust(after)
                            last_step = clock()
                            if after.bundle != roots[-1]:
                                roots.append(after.bundle)
                        gaps.look()
                        await asyncio.sleep(0.005)
                    assert roots[2] != roots[0]
                    assert roots[1].count("BEGIN") == 2
                    assert roots[2].count("BEGIN") == 1
                    assert counted.count("issued") >= 4

                    async def alone() -> bool:
                        return bool(json.loads((state / "run" / "instance.json").read_bytes())["authority"] == roots[2])

                    await eventually(alone, what="the instance has renewed, and was told of the new root alone")
                    assert statistics.median_low([0.0, *gaps.each]) < USUAL_GAP, gaps.each
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


def test_probes_are_answered_in_a_flood(state: Path) -> None:
    async def story() -> None:
        (state / "ca.crt").write_text(authority().bundle)
        async with sidecar(state, free_port()) as pod:
            await becomes(f"{pod.url}/started", 503)
            host, _, port = pod.url.removeprefix("http://").rpartition(":")
            flood = [await asyncio.open_connection(host, int(port)) for _ in range(2 * LIMITS.most)]
            try:
                for _, writer in flood:
                    writer.write(b"GET /started HTTP/1.1\r\n")
                assert (await probe(f"{pod.url}/started"))[0] == 503

                async def cut_off() -> bool:
                    return sum(reader.at_eof() or reader.exception() is not None for reader, _ in flood) >= LIMITS.most

                await eventually(cut_off, what="the flood does not stay")
            finally:
                for _, writer in flood:
                    writer.transport.abort()

    asyncio.run(story())
