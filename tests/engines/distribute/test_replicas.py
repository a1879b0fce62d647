"""Several replicas of the control plane and real Envoys over mutual TLS: one is killed, stopped, not ready, or not trusted."""

import asyncio
import datetime as dt
import ssl
import statistics
from pathlib import Path

import pytest
from fleet import fleet
from real_envoy import CLUSTER, Front, looking
from replicas import Traffic, authority, certificate, hold, remote_instance, replicas
from served import LB

from weirkeeper.distribute import stream
from weirkeeper.model.observation import ItemObservation, ItemState
from weirkeeper.model.text import Digest, Id, Label, Name, Sentence
from weirkeeper.providers.base import ItemKey
from weirkeeper.testing.echo import EchoServer
from weirkeeper.testing.eventually import eventually

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Each resource that leaves, by kind and name."""
    found: list[tuple[str, str]] = []
    resource = stream.wire.resource

    def counted(kind: str, name: str, version: str, body: bytes) -> bytes:
        found.append((kind.rpartition(".")[2], name))
        return resource(kind, name, version, body)

    monkeypatch.setattr(stream.wire, "resource", counted)
    return found


def test_an_envoy_moves_to_another_replica_is_sent_nothing_that_it_holds_and_no_request_fails(
    state: Path, sent: list[tuple[str, str]]
) -> None:
    async def story() -> None:
        keys, front = authority(), Front()
        async with EchoServer(name="a") as a:
            for number in range(5):
                front.backend(f"b{number}", a.port)
                front.to(f"h{number}.example", f"b{number}")
            async with replicas(front, keys) as (one, two):
                hold(state / "tls0", *certificate(keys))
                envoy = remote_instance(state, 0, [one.port, two.port], addresses=("192.0.2.10",))
                async with fleet(envoy):
                    await eventually(looking(lambda: one.seen.news or two.seen.news), what="an instance is announced")
                    await front.answers("h1.example", "a")
                    first, second = (one, two) if one.seen.news else (two, one)
                    (news,) = first.seen.news
                    assert (news.load_balancer, news.instance, news.serving) == (LB, "i0", True)
                    assert news.addresses == ("192.0.2.10",)
                    assert news.replica == ("replica-0" if first is one else "replica-1")
                    assert not second.seen.news
                    sent.clear()
                    async with Traffic(front, "h1.example") as traffic:
                        first.cable.cut()
                        await eventually(looking(lambda: second.seen.news), what="the other replica announces it")
                        assert second.seen.news[0].serving
                        assert sent == []
                        front.backend("new", a.port)
                        front.to("new.example", "new")
                        changes = front.changes()
                        second.wishes.put(changes)
                        await second.seen.programmed(changes)
                        await front.answers("new.example", "a")
                        await eventually(looking(lambda: traffic.sent > 50), what="requests were sent")
                    assert traffic.failed == []
                    assert {name for _, name in sent} == {key.name for key in changes}
                    await eventually(looking(lambda: len(first.seen.news) == 2), what="the first lets go of it")
                    assert not first.seen.news[1].serving
                    assert len(second.seen.news) == 1

    asyncio.run(story())


def test_a_replica_that_stops_takes_no_address_back(state: Path) -> None:
    async def story() -> None:
        keys, front = authority(), Front()
        async with replicas(front, keys, 1) as (one,):
            hold(state / "tls0", *certificate(keys))
            async with fleet(remote_instance(state, 0, [one.port])):
                await eventually(looking(lambda: one.seen.news), what="the instance is announced")
                assert one.seen.news[0].addresses == ("127.0.0.1",), "it lists none: where it came from"
                await one.stop()
                assert all(task.done() for task in one.tasks)
                assert [news.serving for news in one.seen.news] == [True]

    asyncio.run(story())


def test_a_replica_that_knows_nothing_yet_says_nothing(state: Path, sent: list[tuple[str, str]]) -> None:
    async def story() -> None:
        keys, front = authority(), Front()
        async with EchoServer(name="a") as a:
            front.backend("a", a.port)
            front.to("one.example", "a")
            async with replicas(front, keys) as (one, two):
                hold(state / "tls0", *certificate(keys))
                envoy = remote_instance(state, 0, [one.port, two.port])
                async with fleet(envoy):
                    await front.answers("one.example", "a")
                    await eventually(looking(lambda: one.seen.news or two.seen.news), what="an instance is announced")
                    first, second = (one, two) if one.seen.news else (two, one)
                    second.service.ready.clear()
                    async with Traffic(front, "one.example") as traffic:
                        sent.clear()
                        first.cable.cut()
                        await envoy.has_asked(5)
                        assert not second.seen.news
                        assert "a" in await envoy.clusters()
                        second.service.ready.set()
                        await eventually(looking(lambda: second.seen.news), what="served by the other")
                    assert traffic.failed == []
                    assert sent == []

    asyncio.run(story())


def test_an_envoy_whose_certificate_names_another_load_balancer_gets_nothing(state: Path) -> None:
    async def story() -> None:
        keys, front = authority(), Front()
        async with EchoServer(name="a") as a:
            front.backend("a", a.port)
            front.to("one.example", "a")
            async with replicas(front, keys, 1) as (one,):
                hold(state / "tls0", *certificate(keys))
                hold(state / "tls1", *certificate(keys, Id("another")))
                friend, stranger = (remote_instance(state, number, [one.port]) for number in (0, 1))
                async with fleet(stranger, friend):
                    await front.answers("one.example", "a")
                    await stranger.has_asked(4)
                    assert await stranger.clusters() == set()
                    assert [news.instance for news in one.seen.news] == ["i0"]

    asyncio.run(story())


def test_an_envoy_trusts_no_instance_that_plays_the_control_plane(state: Path) -> None:
    """An instance's certificate comes from the same authority; it is no server's and names no control plane."""

    async def story() -> None:
        keys = authority()
        made, key = certificate(keys)
        (state / "pair.pem").write_text(key.open() + made.chain)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(state / "pair.pem")
        context.set_alpn_protocols(["h2"])
        heard: list[bytes] = []

        async def impostor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.read(1 << 16))
            writer.close()

        server = await asyncio.start_server(impostor, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        hold(state / "tls0", *certificate(keys))
        envoy = remote_instance(state, 0, [port])
        async with server, fleet(envoy):

            async def refused() -> bool:
                try:
                    stats = await envoy.admin.stats("cluster.weirkeeper.")
                except ConnectionError:
                    return False
                return stats["cluster.weirkeeper.upstream_cx_connect_fail"] >= 2

            await eventually(refused, 60, what="Envoy has refused the server")
            assert b"".join(heard) == b""

    asyncio.run(story())


def test_what_one_replica_heard_refused_the_other_does_not_send(state: Path, sent: list[tuple[str, str]]) -> None:
    async def story() -> None:
        keys, front = authority(), Front()
        async with EchoServer(name="a") as a:
            front.backend("good", a.port)
            front.backend("bad", a.port)
            front.to("one.example", "good")
            async with replicas(front, keys, 1) as (one,):
                version = front.before[ItemKey(LB, CLUSTER, "bad")].version
                hold(state / "tls0", *certificate(keys))
                envoy = remote_instance(state, 0, [one.port])
                probe = remote_instance(state, 0, [one.port])
                async with fleet(probe):
                    await one.seen.programmed(dict(front.before))
                    engine = next(iter(one.service._distributors["envoy"]._fleets[LB].connections)).stream.engine
                one.seen.items.clear()
                sent.clear()
                refusal = ItemObservation(
                    provider=Name("envoy"), load_balancer=LB, kind=Label(CLUSTER), name=Label("bad"),
                    version=Digest(version), state=ItemState.REJECTED, message=Sentence("no"), engine_version=Label(engine),
                )  # fmt: skip
                one.service.learn([refusal])
                async with fleet(envoy):
                    found = await one.seen.rejected(CLUSTER, "bad")
                    assert found.message == "no"
                    await envoy.has("good")
                    await front.answers("one.example", "a")
                    assert ("Cluster", "bad") not in sent
                    one.service.learn([])
                    changes = {key: item for key, item in front.before.items() if key[1:] == (CLUSTER, "bad")}
                    await one.seen.programmed(changes)
                    assert ("Cluster", "bad") in sent

    asyncio.run(story())


def test_short_certificates_leave_no_gap_in_the_stream(state: Path) -> None:
    """Certificates live for six seconds on both sides and streams for three: all are replaced, and nobody notices."""

    async def story() -> None:
        life, grace = dt.timedelta(seconds=6), 15.0
        keys, front = authority(), Front()
        gaps: list[float] = []
        async with EchoServer(name="a") as a:
            front.backend("a", a.port)
            front.to("one.example", "a")
            async with replicas(front, keys, 1, life, stream_seconds=2.0, grace_seconds=grace) as (one,):
                roster = one.service
                folder = state / "tls0"
                hold(folder, *certificate(keys, life=life))
                async with fleet(remote_instance(state, 0, [one.port])), Traffic(front, "one.example") as traffic:
                    await front.answers("one.example", "a")
                    traffic.failed.clear()
                    loop = asyncio.get_running_loop()
                    began, renewed, away, before, streams = loop.time(), loop.time(), None, None, 0
                    while streams < 5 or away is not None or loop.time() < began + 14:
                        assert loop.time() < began + 120, "streams end for their age, and come back"
                        if loop.time() > renewed + 4:
                            hold(folder, *certificate(keys, life=life))
                            renewed = loop.time()
                        there = roster._distributors["envoy"]._fleets[LB].connections
                        if not there and away is None:
                            away = loop.time()
                        elif there and away is not None:
                            gaps.append(loop.time() - away)
                            away = None
                        if there and there[0] is not before:
                            before, streams = there[0], streams + 1
                        await asyncio.sleep(0.005)
                    assert statistics.median_low([0.0, *gaps]) < 1, gaps  # one of them may meet a busy machine
                    assert traffic.failed == []
                    assert [news.serving for news in one.seen.news] == [True]

    asyncio.run(story())
