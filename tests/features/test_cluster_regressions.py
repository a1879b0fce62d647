"""What once went wrong in a cluster, each as a test of its own."""

import asyncio
import os
import socket
import subprocess
import sys

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

from weirkeeper.runtime.status_writer import CAUTION
from weirkeeper.testing.echo import EchoServer
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.instance import instance

pytestmark = pytest.mark.engine

RECORD, AUTHORITY = "weirkeeper-published", "weirkeeper-authority"


async def says(server, name, addresses):
    async def look():
        found = server.get("Ingress", name, "default").get("status", {}).get("loadBalancer", {}).get("ingress", ())
        return [one.get("ip") for one in found] == addresses

    await eventually(look, 120, what=f"the status of {name} says {addresses}")


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


@pytest.mark.slow
def test_a_leader_whom_nobody_can_reach_takes_no_address_away(tmp_path):
    """It had no certificate, so it heard of no instance, and cleared every status while all of them served."""
    asyncio.run(_unreachable_leader(tmp_path))


async def _unreachable_leader(tmp_path):
    async with api_server(ingress_class(), service("shop"), ingress("shop", "shop.example", "shop")) as server:
        first, second = (Install(tmp_path, server.kubeconfig(), f"replica-{n}") for n in (0, 1))
        async with running(first):
            keys = first.app.channel.authority.keys
            async with instance(tmp_path / "i0", keys, LOAD_BALANCER, "i0", [first.server, second.server], addresses=["192.0.2.1"]):
                await says(server, "shop", ["192.0.2.1"])
                good = server.get("Secret", AUTHORITY, NAMESPACE)
                server.put({**good, "data": dict.fromkeys(good["data"], "bm9uc2Vuc2U=")})
                await second.start()
                await first.end()
                await eventually(lambda: _leads(second), 60, what="the second one leads")
                assert "channel" in second.app.unready()
                writes = written(server)
                await asyncio.sleep(CAUTION + 2)  # nothing may happen, and there is no other sign of that
                assert written(server) == writes
                server.put(good)
                await second.ready()
                server.put(ingress("other", "other.example", "shop"))
                await says(server, "other", ["192.0.2.1"])
                await says(server, "shop", ["192.0.2.1"])
                await second.end()


async def _leads(one):
    return one.app.leadership.leading


def written(server):
    return server.get("Ingress", "shop", "default")["metadata"]["resourceVersion"]


DOOR = """
import asyncio, datetime as dt
from weirkeeper.distribute.authority import new_authority
from weirkeeper.distribute.credentials import OwnTls
from weirkeeper.distribute.door import Away, Door

async def main():
    door = Door(lambda load_balancer, node: Away("nobody is served here"))
    print(await door.open("127.0.0.1:0", OwnTls(new_authority(dt.datetime.now(dt.UTC)), ())), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
CROWD, TURNS = 250, 60


def test_a_crowd_at_the_door_of_the_streams_that_speaks_nonsense_ends_nobody(tmp_path):
    """Handshakes on several threads at once, each with a certificate told anew, ended the whole process."""
    with (tmp_path / "said").open("w") as said, subprocess.Popen(
        [sys.executable, "-c", DOOR], stdout=subprocess.PIPE, stderr=said, text=True
    ) as door:
        try:
            assert door.stdout is not None
            port = int(door.stdout.readline())
            came = sum(crowd(port) for _ in range(TURNS))
            assert came == CROWD * TURNS, (tmp_path / "said").read_text()[-2000:]
        finally:
            door.kill()


def crowd(port):
    """Many connections at once, with something on them that is no TLS; how many there were."""
    open_ = []
    try:
        for _ in range(CROWD):
            one = socket.create_connection(("127.0.0.1", port), timeout=60)
            open_.append(one)
            one.sendall(os.urandom(200))
    except OSError:
        return len(open_)  # nobody is there any more
    finally:
        for one in open_:
            one.close()
    return len(open_)
