"""The whole program over an API server: objects in, real Envoys serving over mutual TLS, statuses out; what it does when the API server is away."""

import asyncio

import pytest
from cluster_program import (
    LOAD_BALANCER,
    Install,
    answers,
    api_server,
    endpoint_slice,
    ingress,
    ingress_class,
    running,
    service,
    status_of,
)

from weirkeeper.testing.echo import EchoServer
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.instance import instance

pytestmark = pytest.mark.engine


def test_an_ingress_is_served_and_its_status_says_where(tmp_path):
    asyncio.run(_served(tmp_path))


async def _served(tmp_path):
    async with EchoServer(name="shop") as echo, api_server(ingress_class(), service("shop"), endpoint_slice("shop", "127.0.0.1", echo.port)) as server:
        one = Install(tmp_path, server.kubeconfig())
        async with running(one):
            keys = one.app.channel.authority.keys
            async with instance(tmp_path / "i0", keys, LOAD_BALANCER, "i0", [one.server], addresses=["192.0.2.7"]):
                server.put(ingress("shop", "shop.example", "shop"))
                await answers(one, "shop.example")
                await eventually(lambda: status_of(server, "shop"), 60, what="the status says an address")
                assert await status_of(server, "shop") == ["192.0.2.7"]
                server.remove("Ingress", "shop", "default", api_version="networking.k8s.io/v1")
                await answers(one, "shop.example", 404)


def test_two_replicas_serve_two_instances_and_the_status_says_both(tmp_path):
    asyncio.run(_two(tmp_path))


async def _two(tmp_path):
    async with EchoServer(name="shop") as echo, api_server(
        ingress_class(), service("shop"), endpoint_slice("shop", "127.0.0.1", echo.port), ingress("shop", "shop.example", "shop")
    ) as server:
        first = Install(tmp_path, server.kubeconfig(), "replica-0")
        second = Install(tmp_path, server.kubeconfig(), "replica-1", http_port=first.http_port, https_port=first.https_port)
        async with running(first, second):
            keys = first.app.channel.authority.keys
            assert second.app.channel.authority.keys == keys
            async with (
                instance(tmp_path / "i0", keys, LOAD_BALANCER, "i0", [first.server], addresses=["192.0.2.1"]),
                instance(tmp_path / "i1", keys, LOAD_BALANCER, "i1", [second.server], addresses=["192.0.2.2"]),
            ):
                await says(server, "shop", ["192.0.2.1", "192.0.2.2"])
                leader = await eventually(lambda: _leader(first, second), 60, what="one of them leads")
                follower = second if leader is first else first
                await leader.end()
                await eventually(lambda: _leads(follower), 60, what="the other one leads")
                server.put(ingress("other", "other.example", "shop"))
                ip = "192.0.2.2" if follower is second else "192.0.2.1"
                await says(server, "other", [ip])


async def _leader(*installs):
    """The one that leads; nobody does for a moment where a renewal came late, and never two."""
    leading = [one for one in installs if one.app.leadership.leading]
    assert len(leading) <= 1
    return leading[0] if leading else None


async def _leads(one):
    return one.app.leadership.leading


async def says(server, name, addresses):
    """In any order: who came first stays first."""

    async def look():
        return sorted(await status_of(server, name)) == addresses

    await eventually(look, 60, what=f"the status of {name} says {addresses}")
