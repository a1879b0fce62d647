"""A HAProxy or NGINX that is gone or hangs is noticed within five seconds, said by the agent beside it, and serves everything again."""

import asyncio
import os
import signal
import time

import pytest
from cluster_program import LOAD_BALANCER, Install, api_server, endpoint_slice, ingress, ingress_class, running, service

from weirkeeper.model.finding import Reason
from weirkeeper.providers import local
from weirkeeper.testing.client import fetch
from weirkeeper.testing.echo import EchoServer
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.haproxy_instance import haproxy_instance
from weirkeeper.testing.nginx_instance import nginx_instance

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("agent health")]

NOTICED = 5.0
"""What the documentation promises, of a machine that has nothing else to do (seconds): it is printed, not judged."""
BUSY = 60.0
"""On a machine that does other work too."""


@pytest.mark.parametrize("instance", [haproxy_instance, nginx_instance], ids=["haproxy", "nginx"])
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP], ids=["gone", "hung"])
def test_it_is_noticed_said_and_programmed_in_full(tmp_path, sign, instance):
    asyncio.run(_noticed(tmp_path, sign, instance))


async def _noticed(tmp_path, sign, instance):
    async with EchoServer(name="shop") as echo, api_server(ingress_class(), service("shop"), endpoint_slice("shop", "127.0.0.1", echo.port)) as server:
        one = Install(tmp_path, server.kubeconfig(), providers=("haproxy" if instance is haproxy_instance else "nginx",))
        async with running(one):
            keys = one.app.channel.authority.keys
            for number in range(5):
                server.put(ingress(f"s{number}", f"s{number}.example", "shop"))
            async with instance(tmp_path / "i0", keys, LOAD_BALANCER, "i0", [one.server], addresses=["192.0.2.7"]) as beside:
                for number in range(5):
                    await eventually(lambda n=number: _answers(one, f"s{n}.example"), 60, what="it serves")
                await eventually(lambda: _serving(beside, 1.0), BUSY, what="the agent says that it serves")
                before = await beside.processes()
                if sign == signal.SIGKILL:
                    beside.supervise(on=False)
                began = time.monotonic()
                struck = before if sign == signal.SIGKILL else before[1:]  # the first is its supervisor's, which takes no connections
                for pid in struck:
                    os.kill(pid, sign)
                await eventually(lambda: _noticed_by(beside, struck), BUSY, what=f"it is noticed; {beside.log[-1500:]}")
                print(f"noticed after {time.monotonic() - began:.1f} s, {NOTICED:g} s are promised")
                await eventually(lambda: _told(one, server, "EngineDown", "Warning"), BUSY, what=f"it is told; {one.log.getvalue()[-1500:]}")
                beside.supervise(on=True)
                for number in range(5):
                    await eventually(lambda n=number: _answers(one, f"s{n}.example"), BUSY, what=f"all of it is back; {beside.log[-2000:]}")
                await eventually(lambda: _serving(beside, 1.0), BUSY, what="the agent says that it serves again")
                await eventually(lambda: _others(beside, before), BUSY, what="another process serves")
                await eventually(lambda: _ended(struck), BUSY, what="what hung is ended")
                await eventually(lambda: _told(one, server, "EngineServes", "Normal"), BUSY, what=f"that it is well is told; {one.log.getvalue()[-1500:]}")
                await eventually(lambda: _well(one, beside), BUSY, what="no finding and no number says that it is down")
                await eventually(lambda: _addresses(server, "s0"), BUSY, what="its address is back")


@pytest.mark.parametrize("instance", [haproxy_instance, nginx_instance], ids=["haproxy", "nginx"])
def test_one_with_nobody_to_serve_is_ready_and_serves_who_comes(tmp_path, instance):
    asyncio.run(_idle(tmp_path, instance))


async def _idle(tmp_path, instance):
    async with EchoServer(name="shop") as echo, api_server(service("shop"), endpoint_slice("shop", "127.0.0.1", echo.port)) as server:
        one = Install(tmp_path, server.kubeconfig(), providers=("haproxy" if instance is haproxy_instance else "nginx",))
        async with running(one):
            keys = one.app.channel.authority.keys
            async with instance(tmp_path / "i0", keys, LOAD_BALANCER, "i0", [one.server]) as beside:
                await eventually(lambda: _serving(beside, 1.0), BUSY, what="it is ready")
                assert await beside.answer("/ready") == "yes\n"
                server.put(ingress_class())
                server.put(ingress("s0", "s0.example", "shop"))
                await eventually(lambda: _answers(one, "s0.example"), 60, what="it serves")
                await eventually(lambda: _serving(beside, 1.0), BUSY, what="it is ready")


async def _others(beside, before):
    """Processes that were not there before; a master that starts itself anew tells of none for a moment."""
    return set(await beside.processes()) - set(before)


async def _ended(pids):
    return all(local.started(pid) is None for pid in pids)


async def _told(install, server, reason, type_):
    """Whether the class has this event, of an engine that the finding and the number speak of as well."""
    shelf = server.log.shelf(server.kind("Event", "events.k8s.io/v1"))
    events = [entry.object for entry in list(shelf.objects.values()) if entry.object["reason"] == reason and entry.object["type"] == type_]
    assert all(one["regarding"]["kind"] == "IngressClass" for one in events)
    return bool(events) and (reason != "EngineDown" or "instance i0" in events[0]["note"])


def _down(install):
    graph, program = install.app.reconciler.graph, install.app.reconciler.program
    return [one for found in graph.rows(program.findings).values() for one in found if one.reason is Reason.ENGINE_DOWN]


async def _well(install, beside):
    return not _down(install) and install.app.metrics.text().count(f'weirkeeper_engines_down{{provider="{beside.kind}"}} 0') == 1


async def _addresses(server, name):
    found = server.get("Ingress", name, "default")
    return [one.get("ip") for one in found.get("status", {}).get("loadBalancer", {}).get("ingress", ())] == ["192.0.2.7"]


async def _noticed_by(beside, before):
    """The number says so, or it is back already: then other processes serve."""
    if await beside.number("weirkeeper_agent_serving") == 0.0:
        return True
    now = await beside.processes()
    return bool(now) and not set(before) & set(now)


async def _serving(beside, wished):
    return await beside.number("weirkeeper_agent_serving") == wished


async def _answers(install, host):
    try:
        return (await fetch(f"http://{host}/", via=install.http_port)).status == 200
    except OSError:
        return False
