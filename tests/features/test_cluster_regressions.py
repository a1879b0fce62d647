"""What once went wrong in a cluster, each as a test of its own."""

import asyncio

import pytest
from cluster_program import (
    LOAD_BALANCER,
    NAMESPACE,
    Install,
    api_server,
    endpoint_slice,
    ingress,
    ingress_class,
    running,
    service,
)

from weirkeeper.testing.echo import EchoServer
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.instance import instance

pytestmark = pytest.mark.engine

RECORD = "weirkeeper-published"


async def says(server, name, addresses):
    async def look():
        found = server.get("Ingress", name, "default").get("status", {}).get("loadBalancer", {}).get("ingress", ())
        return [one.get("ip") for one in found] == addresses

    await eventually(look, 15, what=f"the status of {name} says {addresses}")


def test_an_instance_that_comes_after_the_record_of_addresses_was_deleted_is_published(tmp_path):
    """Every status waited for a record that was patched and not there; nothing was said of it."""
    asyncio.run(_record_deleted(tmp_path))


async def _record_deleted(tmp_path):
    async with EchoServer(name="shop") as echo, api_server(
        ingress_class(), service("shop"), endpoint_slice("shop", "127.0.0.1", echo.port), ingress("shop", "shop.example", "shop")
    ) as server:
        one = Install(tmp_path, server.kubeconfig())
        async with running(one):
            keys = one.app.channel.authority.keys
            async with instance(tmp_path / "i0", keys, LOAD_BALANCER, "i0", [one.server], addresses=["192.0.2.1"]):
                await says(server, "shop", ["192.0.2.1"])
                server.remove("ConfigMap", RECORD, NAMESPACE)
                async with instance(tmp_path / "i1", keys, LOAD_BALANCER, "i1", [one.server], addresses=["192.0.2.2"]):
                    await says(server, "shop", ["192.0.2.1", "192.0.2.2"])
        noted = server.get("ConfigMap", RECORD, NAMESPACE)["data"]["entries"]
        assert "192.0.2.1" in noted
        assert "192.0.2.2" in noted
