"""Envoy and HAProxy in one install: what becomes of one provider, its engine or its agent never holds up the changes of the other."""

import asyncio
import os
import signal

import pytest
from cluster_program import LOAD_BALANCER, Install, api_server, endpoint_slice, ingress, ingress_class, running, service

from weirkeeper.providers import neutral
from weirkeeper.providers.envoy.processes import Folder
from weirkeeper.testing.apiserver import custom
from weirkeeper.testing.client import fetch
from weirkeeper.testing.echo import EchoServer
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.haproxy_instance import haproxy_instance
from weirkeeper.testing.instance import instance
from weirkeeper.testing.ports import free_port

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("two providers")]

PARAMETERS = custom("loadbalancerclassparameters", "LoadBalancerClassParameters", namespaced=False)
SOON = 30.0
"""A change is live by then, whatever has become of the other engine: it is away for as long as the changes take. A busy machine needs seconds."""
POISON = "poison.example"


def test_neither_provider_holds_up_the_other(tmp_path, monkeypatch):
    asyncio.run(_both(tmp_path, monkeypatch))


async def _both(folder, monkeypatch):
    http, https = free_port(), free_port()
    async with (
        EchoServer(name="shop") as echo,
        api_server(ingress_class(), service("shop"), endpoint_slice("shop", "127.0.0.1", echo.port)) as server,
    ):
        server.serve(PARAMETERS)
        for made in _class_of_haproxy(http, https):
            server.put(made)
        one = Install(folder, server.kubeconfig(), providers=("envoy", "haproxy"))
        async with running(one):
            keys = one.app.channel.authority.keys
            async with (
                instance(folder / "e0", keys, LOAD_BALANCER, "e0", [one.server]),
                haproxy_instance(folder / "h0", keys, "ingress/ha", "h0", [one.server]) as beside,
            ):
                ports = {"weirkeeper": one.http_port, "ha": http}

                async def live(name, *classes, within=SOON):
                    for of_class in classes:
                        server.put(ingress(f"{name}-{of_class}", f"{name}.example", "shop", class_name=of_class))
                    for of_class in classes:
                        await eventually(lambda c=of_class: _answers(ports[c], f"{name}.example"), within, what=f"{name} by {of_class}; {one.log.getvalue()[-2000:]}")

                await live("both", "weirkeeper", "ha", within=60)
                await _haproxy_fails(beside, live)
                await _envoy_hangs(folder / "e0", live)
                await _a_provider_raises(one, server, monkeypatch, live)


async def _haproxy_fails(beside, live):
    beside.supervise(on=False)
    await beside.kill_engine()
    await live("engine-gone", "weirkeeper")
    beside.signal_agent(signal.SIGSTOP)
    for number in range(5):
        await live(f"agent-stuck-{number}", "weirkeeper")
    beside.signal_agent(signal.SIGCONT)
    beside.supervise(on=True)
    await beside.ready()
    await live("engine-back", "ha", "weirkeeper", within=60)


async def _envoy_hangs(folder, live):
    envoy = Folder(folder / "envoy").running()
    assert envoy is not None
    os.kill(envoy.pid, signal.SIGSTOP)
    try:
        for number in range(5):
            await live(f"envoy-hangs-{number}", "ha")
    finally:
        os.kill(envoy.pid, signal.SIGCONT)
    await live("envoy-back", "weirkeeper", "ha", within=60)


async def _a_provider_raises(install, server, monkeypatch, live):
    whole = neutral.encoded

    def poisoned(value):
        if POISON in repr(value):
            raise RuntimeError("a bug of a provider")
        return whole(value)

    monkeypatch.setattr(neutral, "encoded", poisoned)
    server.put(ingress("poison", POISON, "shop", class_name="ha"))
    await eventually(lambda: _counted(install), 60, what="the failure is counted")
    await live("after-a-bug", "weirkeeper")
    assert "a bug of a provider" in install.log.getvalue()
    monkeypatch.setattr(neutral, "encoded", whole)
    await live("mended", "ha", "weirkeeper", within=60)


async def _counted(install):
    return 'weirkeeper_provider_failures_total{provider="haproxy"}' in install.app.metrics.text()


def _class_of_haproxy(http, https):
    of_class = ingress_class("ha")
    of_class["spec"]["parameters"] = {"apiGroup": "weirkeeper.io", "kind": "LoadBalancerClassParameters", "name": "ha"}
    spec = {"provider": "haproxy", "ports": {"http": http, "https": https}}
    named = {"apiVersion": "weirkeeper.io/v1alpha1", "kind": "LoadBalancerClassParameters", "metadata": {"name": "ha"}, "spec": spec}
    return named, of_class


async def _answers(port, host):
    try:
        return (await fetch(f"http://{host}/", via=port, limit=2.0)).status == 200
    except (OSError, TimeoutError):
        return False
