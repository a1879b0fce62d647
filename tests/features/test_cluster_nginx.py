"""NGINXes behind a cluster's control plane: agents of their own beside them, as processes, over mutual TLS."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess

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

from weirkeeper.providers import local
from weirkeeper.providers.items import item
from weirkeeper.providers.nginx.assembly import Assembly
from weirkeeper.providers.nginx.binary import modules, nginx_binary
from weirkeeper.providers.nginx.files import gate
from weirkeeper.providers.nginx.master import write_all
from weirkeeper.providers.nginx.plan import file_of, written
from weirkeeper.providers.nginx.translate import items
from weirkeeper.providers.nginx.translate.frame import CONFIGURATION, Frame
from weirkeeper.providers.nginx.translate.items import Port
from weirkeeper.testing.client import fetch
from weirkeeper.testing.conformance.backends import running_backends
from weirkeeper.testing.echo import EchoServer
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.nginx_instance import nginx_instance

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("cluster nginx")]


@contextlib.asynccontextmanager
async def stage(folder):
    """An install with one Ingress, and the API server behind it."""
    async with EchoServer(name="shop") as echo, api_server(
        ingress_class(), service("shop"), endpoint_slice("shop", "127.0.0.1", echo.port), ingress("shop", "shop.example", "shop")
    ) as server:
        yield server, Install(folder, server.kubeconfig(), providers=("nginx",))


def test_an_ingress_is_served_by_nginx_and_whoever_dies_beside_it_is_not_felt(tmp_path):
    asyncio.run(_served(tmp_path))


async def _served(tmp_path):
    async with (
        stage(tmp_path) as (server, one),
        running(one),
        nginx_instance(tmp_path / "i0", one.app.channel.authority.keys, LOAD_BALANCER, "i0", [one.server], addresses=["192.0.2.7"]) as beside,
    ):
        await answers(one, "shop.example")
        await eventually(lambda: status_of(server, "shop"), 60, what="the status says an address")
        assert await status_of(server, "shop") == ["192.0.2.7"]
        assert (await fetch("http://alive.example/", via=beside.alive_port)).status == 200, "its supervisor would end it"
        answer = await fetch("http://shop.example/", via=one.http_port)
        assert answer.header("date").endswith(" GMT"), "the backend says none"
        assert answer.header("server") == "nginx"
        before = await beside.number("weirkeeper_nginx_reloads_total")
        server.put(ingress("other", "other.example", "shop"))
        await answers(one, "other.example")
        server.remove("Ingress", "shop", "default", api_version="networking.k8s.io/v1")
        await answers(one, "shop.example", 404)
        assert await beside.number("weirkeeper_nginx_reloads_total") == before == 1
        await _agent_dies(server, one, beside)
        await _master_dies(server, one, beside)


async def _agent_dies(server, one, beside):
    """Its next life takes NGINX over as it is."""
    before = await beside.processes()
    beside.kill_agent()
    server.put(ingress("meanwhile", "meanwhile.example", "shop"))
    beside.start_agent()
    await answers(one, "meanwhile.example")
    await beside.ready()
    after = await beside.processes()
    assert after[0] == before[0]
    assert set(after) <= set(before), "nobody new; a worker that a reload has left behind may have ended meanwhile"
    assert await beside.number("weirkeeper_nginx_reloads_total") == 0


async def _master_dies(server, one, beside):
    """Workers that outlive it keep nobody's connections from the next one."""
    master, *workers = await beside.processes()
    os.kill(master, signal.SIGKILL)
    server.put(ingress("late", "late.example", "shop"))
    await answers(one, "late.example")
    await beside.ready()
    await answers(one, "meanwhile.example")

    async def ended():
        return all(local.started(pid) is None for pid in (master, *workers))

    await eventually(ended, 60, what="those of before are gone")
    await beside.ready()
    await answers(one, "meanwhile.example")


def test_tls_goes_unopened_by_an_nginx_that_its_supervisor_starts_and_starts_again(tmp_path):
    asyncio.run(_unopened(tmp_path))


async def _unopened(tmp_path):
    """Sockets of streams that a killed one left are in nobody's way."""
    with running_backends() as backends:
        async with (
            stage(tmp_path) as (server, one),
            running(one),
            nginx_instance(
                tmp_path / "i0", one.app.channel.authority.keys, LOAD_BALANCER, "i0", [one.server]
            ) as beside,
        ):
            for wished in (
                service("secure"),
                endpoint_slice("secure", "127.0.0.1", backends.secure.port),
                ingress(
                    "secure",
                    "secure.example",
                    "secure",
                    annotations={"nginx.ingress.kubernetes.io/ssl-passthrough": "true"},
                ),
            ):
                server.put(wished)

            async def led():
                with contextlib.suppress(OSError):
                    found = await fetch("https://secure.example/", via=one.https_port)
                    return found.header("x-echo-name") == "secure"
                return False

            await eventually(led, 60, what="TLS goes to the backend unopened")
            await answers(one, "shop.example")
            master, *_ = await beside.processes()
            os.kill(master, signal.SIGKILL)

            async def another():
                return [pid for pid in await beside.processes() if pid != master]

            await eventually(another, 60, what="another one is started")
            await eventually(led, 60, what="it leads on as the one before")
            await answers(one, "shop.example")


def test_a_port_that_is_taken_is_said_and_harms_no_other_and_both_start_again_without_a_control_plane(tmp_path):
    asyncio.run(_taken(tmp_path))


async def _taken(tmp_path):
    async with stage(tmp_path) as (server, one), contextlib.AsyncExitStack() as stack:
        with socket.create_server(("0.0.0.0", one.https_port)):
            async with running(one):
                beside = await stack.enter_async_context(
                    nginx_instance(tmp_path / "i0", one.app.channel.authority.keys, LOAD_BALANCER, "i0", [one.server])
                )
                await answers(one, "shop.example")

                async def said():
                    return [finding for finding in refusals(one) if f":{one.https_port}" in finding.for_user]

                await eventually(said, 60, what="the finding says which port")
                server.put(ingress("other", "other.example", "shop"))
                await answers(one, "other.example")
        beside.kill_agent()
        await beside.kill_engine()
        beside.start_agent()
        await answers(one, "shop.example")


def test_one_that_starts_with_a_file_that_listens_refuses_it(tmp_path):
    """As it would in the moment of a reload: it holds no entries, and would answer anything to anybody."""
    front = Port(port=80, group="g", binds=("127.0.0.1:1",))
    wished = Assembly()
    wished.take(dict([item(LOAD_BALANCER, items.PORT, front.entry, front)]))
    chosen = Frame(workers=1, modules=modules() or "", user="root" if os.geteuid() == 0 else "")
    write_all(tmp_path, {**gate(chosen), CONFIGURATION: written(file_of(wished, ""), chosen)})
    done = subprocess.run([nginx_binary(), "-p", tmp_path, "-c", CONFIGURATION, "-e", "error.log"], capture_output=True, timeout=30, text=True, check=False)
    assert done.returncode == 1
    assert "holds no entries" in done.stderr
