"""NGINXes behind a cluster's control plane: agents of their own beside them, as processes, over mutual TLS."""

import asyncio
import os
import signal
import socket

import pytest
from cluster_program import LOAD_BALANCER, Install, api_server, endpoint_slice, ingress, ingress_class, running, service

from weirkeeper.model.finding import Reason
from weirkeeper.testing.client import fetch
from weirkeeper.testing.echo import EchoServer
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.nginx_instance import nginx_instance

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("cluster nginx")]


async def answers(install, host, status=200, path="/"):
    async def look():
        try:
            found = await fetch(f"http://{host}{path}", via=install.http_port)
        except OSError:
            return False
        return found.status == status

    await eventually(look, 60, what=f"{host} answers {status}")


async def status_of(server, name):
    found = server.get("Ingress", name, "default")
    return [one.get("ip") for one in found.get("status", {}).get("loadBalancer", {}).get("ingress", ())]


def test_an_ingress_is_served_by_nginx_and_its_status_says_where(tmp_path):
    asyncio.run(_served(tmp_path))


async def _served(tmp_path):
    async with EchoServer(name="shop") as echo, api_server(ingress_class(), service("shop"), endpoint_slice("shop", "127.0.0.1", echo.port)) as server:
        one = Install(tmp_path, server.kubeconfig(), providers=("nginx",))
        async with running(one):
            keys = one.app.channel.authority.keys
            server.put(ingress("shop", "shop.example", "shop"))
            async with nginx_instance(tmp_path / "i0", keys, LOAD_BALANCER, "i0", [one.server], addresses=["192.0.2.7"]) as beside:
                await answers(one, "shop.example")
                await eventually(lambda: status_of(server, "shop"), 60, what="the status says an address")
                assert await status_of(server, "shop") == ["192.0.2.7"]
                assert (await fetch("http://alive.example/", via=beside.alive_port)).status == 200, "its supervisor would end it"
                before = await beside.number("weirkeeper_nginx_reloads_total")
                server.put(ingress("other", "other.example", "shop"))
                await answers(one, "other.example")
                server.remove("Ingress", "shop", "default", api_version="networking.k8s.io/v1")
                await answers(one, "shop.example", 404)
                assert await beside.number("weirkeeper_nginx_reloads_total") == before == 1
