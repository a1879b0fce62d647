"""HAProxies behind a cluster's control plane: agents of their own beside them, as processes, over mutual TLS."""

import asyncio
import os
import signal
import socket
from contextlib import AsyncExitStack

import pytest
from cluster_program import (
    LOAD_BALANCER,
    Install,
    answers,
    api_server,
    endpoint_slice,
    ingress,
    ingress_class,
    refusals,
    running,
    service,
    status_of,
)

from weirkeeper.testing.client import fetch
from weirkeeper.testing.echo import EchoServer
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.haproxy_instance import haproxy_instance

pytestmark = pytest.mark.engine


def test_an_ingress_is_served_by_haproxy_and_its_status_says_where(tmp_path):
    asyncio.run(_served(tmp_path))


async def _served(tmp_path):
    async with EchoServer(name="shop") as echo, api_server(ingress_class(), service("shop"), endpoint_slice("shop", "127.0.0.1", echo.port)) as server:
        one = Install(tmp_path, server.kubeconfig(), providers=("haproxy",))
        async with running(one):
            keys = one.app.channel.authority.keys
            server.put(ingress("shop", "shop.example", "shop"))
            async with haproxy_instance(tmp_path / "i0", keys, LOAD_BALANCER, "i0", [one.server], addresses=["192.0.2.7"]) as beside:
                await answers(one, "shop.example")
                await eventually(lambda: status_of(server, "shop"), 60, what="the status says an address")
                assert await status_of(server, "shop") == ["192.0.2.7"]
                assert (await fetch("http://alive.example/", via=beside.alive_port)).status == 200, "its supervisor would end it"
                before = await beside.number("weirkeeper_haproxy_reloads_total")
                server.put(ingress("other", "other.example", "shop"))
                await answers(one, "other.example")
                server.remove("Ingress", "shop", "default", api_version="networking.k8s.io/v1")
                await answers(one, "shop.example", 404)
                assert await beside.number("weirkeeper_haproxy_reloads_total") == before == 1


def test_a_port_that_is_taken_is_said_and_harms_no_other_and_is_tried_again(tmp_path):
    asyncio.run(_taken(tmp_path))


async def _taken(tmp_path):
    async with EchoServer(name="shop") as echo, api_server(
        ingress_class(), service("shop"), endpoint_slice("shop", "127.0.0.1", echo.port), ingress("shop", "shop.example", "shop")
    ) as server:
        one = Install(tmp_path, server.kubeconfig(), providers=("haproxy",))
        with socket.create_server(("0.0.0.0", one.https_port)):
            async with running(one), haproxy_instance(tmp_path / "i0", one.app.channel.authority.keys, LOAD_BALANCER, "i0", [one.server]) as beside:
                await answers(one, "shop.example")

                async def said():
                    return [finding for finding in refusals(one) if f":{one.https_port}" in finding.for_user]

                await eventually(said, 60, what="the finding says which port")
                reloads = await beside.number("weirkeeper_haproxy_reloads_total")
                server.put(ingress("other", "other.example", "shop"))
                await answers(one, "other.example")
                assert await beside.number("weirkeeper_haproxy_reloads_total") == reloads, "a port that stays taken costs no reload"


def test_a_haproxy_that_hangs_is_noticed_and_serves_again_when_its_supervisor_starts_it_anew(tmp_path):
    asyncio.run(_hung(tmp_path))


async def _hung(tmp_path):
    async with EchoServer(name="shop") as echo, api_server(
        ingress_class(), service("shop"), endpoint_slice("shop", "127.0.0.1", echo.port), ingress("shop", "shop.example", "shop")
    ) as server:
        one = Install(tmp_path, server.kubeconfig(), providers=("haproxy",))
        async with running(one), haproxy_instance(tmp_path / "i0", one.app.channel.authority.keys, LOAD_BALANCER, "i0", [one.server]) as beside:
            await answers(one, "shop.example")
            hung = await beside.processes()
            for pid in hung:
                os.kill(pid, signal.SIGSTOP)

            async def noticed():
                return await beside.answer("/ready") not in {"", "yes\n"}

            await eventually(noticed, 60, what="it is not ready")
            server.put(ingress("meanwhile", "meanwhile.example", "shop"))
            for pid in hung:
                os.kill(pid, signal.SIGKILL)
            await answers(one, "meanwhile.example")
            await answers(one, "shop.example")
            await beside.ready()


def test_an_agent_that_is_killed_takes_haproxy_over_as_it_is(tmp_path):
    asyncio.run(_taken_over(tmp_path))


async def _taken_over(tmp_path):
    async with EchoServer(name="shop") as echo, api_server(
        ingress_class(), service("shop"), endpoint_slice("shop", "127.0.0.1", echo.port), ingress("shop", "shop.example", "shop")
    ) as server:
        one = Install(tmp_path, server.kubeconfig(), providers=("haproxy",))
        async with running(one), haproxy_instance(tmp_path / "i0", one.app.channel.authority.keys, LOAD_BALANCER, "i0", [one.server]) as beside:
            await answers(one, "shop.example")
            before = await beside.processes()
            beside.kill_agent()
            server.put(ingress("meanwhile", "meanwhile.example", "shop"))
            beside.start_agent()
            await answers(one, "meanwhile.example")
            await beside.ready()
            assert set(await beside.processes()) <= set(before), "nobody new"
            assert await beside.number("weirkeeper_haproxy_reloads_total") == 0


def test_agent_and_haproxy_start_again_without_a_control_plane_as_they_were_told_last(tmp_path):
    asyncio.run(_alone(tmp_path))


async def _alone(tmp_path):
    async with EchoServer(name="shop") as echo, api_server(
        ingress_class(), service("shop"), endpoint_slice("shop", "127.0.0.1", echo.port), ingress("shop", "shop.example", "shop")
    ) as server:
        one = Install(tmp_path, server.kubeconfig(), providers=("haproxy",))
        async with AsyncExitStack() as stack:
            async with running(one):
                beside = await stack.enter_async_context(
                    haproxy_instance(tmp_path / "i0", one.app.channel.authority.keys, LOAD_BALANCER, "i0", [one.server])
                )
                await answers(one, "shop.example")
            beside.kill_agent()
            await beside.kill_engine()
            beside.start_agent()
            await answers(one, "shop.example")
