"""Mutual TLS by real handshakes: an instance is told of the load balancer that its certificate names, and of nothing without one."""

import asyncio
from pathlib import Path

import grpc
import grpc.aio
import pytest
from envoy.service.discovery.v3 import discovery_pb2
from fleet import distributing, fleet, instance, over_tcp, settings
from real_envoy import CLUSTER, Front
from served import LB

from weirkeeper.distribute.identity import node_id, subject
from weirkeeper.distribute.server import METHOD, SERVICE, MutualTls
from weirkeeper.model.text import Id
from weirkeeper.testing.certificates import Authority, PemPair
from weirkeeper.testing.echo import EchoServer

pytestmark = pytest.mark.engine


class Realm:
    """An authority for servers, one for instances, and the server's own certificate."""

    def __init__(self) -> None:
        self.servers, self.instances = Authority("servers"), Authority("instances")
        own = self.servers.issue("127.0.0.1")
        self.tls = MutualTls(chain=own.certificate, key=own.key, authority=self.instances.pem())


async def told(realm: Realm, port: int, pair: PemPair | None, node: str) -> discovery_pb2.DeltaDiscoveryResponse:
    """The first answer to an instance that asks for clusters."""
    credentials = grpc.ssl_channel_credentials(
        realm.servers.pem(), pair.key if pair else None, pair.certificate if pair else None
    )
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        call = channel.stream_stream(
            f"/{SERVICE}/{METHOD}",
            request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
        )(timeout=60)
        request = discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER)
        request.node.id = node
        await call.write(request)
        found = await call.read()
        if found is grpc.aio.EOF:
            raise PermissionError(f"{(await call.code()).name}: {await call.details()}")
        call.cancel()
        return found


async def refused(realm: Realm, port: int, pair: PemPair | None, node: str) -> str:
    try:
        found = await told(realm, port, pair, node)
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name}: {error.details()}"
    except PermissionError as error:
        return str(error)
    raise AssertionError(f"was told {len(found.resources)} resources")


def test_only_the_load_balancer_that_the_certificate_names_is_told(state: Path) -> None:
    async def story() -> None:
        realm, front = Realm(), Front()
        front.backend("a", 9)
        ours, another = subject(Id(LB)), subject(Id("another"))
        async with distributing(front, "127.0.0.1:0", realm.tls) as (_, _, port):
            good = realm.instances.issue(ours, another)
            found = await told(realm, port, good, node_id(Id(LB), "i0"))
            assert [resource.name for resource in found.resources] == ["a"]
            assert not (await told(realm, port, good, node_id(Id("another"), "i0"))).resources

            wrong = await refused(realm, port, realm.instances.issue(another), node_id(Id(LB), "i0"))
            assert wrong.startswith("PERMISSION_DENIED")
            assert 'its certificate names "another"' in wrong
            nobody = await refused(realm, port, realm.instances.issue("lb.example"), node_id(Id(LB), "i0"))
            assert nobody.startswith("PERMISSION_DENIED")
            dns = await refused(realm, port, realm.instances.issue("lb"), node_id(Id(LB), "i0"))
            assert dns.startswith("PERMISSION_DENIED")
            assert (await refused(realm, port, None, node_id(Id(LB), "i0"))).startswith("UNAVAILABLE")
            foreign = Authority("instances").issue(ours)
            assert (await refused(realm, port, foreign, node_id(Id(LB), "i0"))).startswith("UNAVAILABLE")

    asyncio.run(story())


def test_a_real_envoy_is_served_over_mutual_tls(state: Path) -> None:
    async def story() -> None:
        realm, front = Realm(), Front()
        async with (
            EchoServer(name="a") as a,
            distributing(front, "127.0.0.1:0", realm.tls) as (server, seen, port),
        ):
            front.backend("a", a.port)
            front.to("one.example", "a")
            changes = front.changes()
            server.put(changes)
            mine = realm.instances.issue(subject(Id(LB)))
            theirs = realm.instances.issue(subject(Id("another")))
            stranger = instance(state, 1, over_tcp(settings(state, 1), port, realm.servers, theirs))
            friend = instance(state, 0, over_tcp(settings(state, 0), port, realm.servers, mine))
            async with fleet(stranger, friend):
                await seen.programmed(changes)
                await front.answers("one.example", "a")
                await stranger.has_asked(2)
                assert not await stranger.clusters()
                assert server.instances(Id(LB)) == 1

    asyncio.run(story())


def test_tcp_without_mutual_tls_is_refused() -> None:
    async def story() -> None:
        with pytest.raises(ValueError, match="needs mutual TLS"):
            async with distributing(Front(), "127.0.0.1:0"):
                pass

    asyncio.run(story())
