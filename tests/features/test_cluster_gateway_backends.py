"""Backends of Gateways that are pods, by the whole program over an API server, with a real Envoy: only pods that are selected are read, while a route leads to them."""

import asyncio

import pytest
from cluster_program import Install, api_server, running

from weirkeeper.kube.workloads import Pod
from weirkeeper.model.ids import Ref
from weirkeeper.testing.apiserver import custom
from weirkeeper.testing.client import fetch
from weirkeeper.testing.echo import EchoServer
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.instance import instance
from weirkeeper.testing.ports import free_port

pytestmark = pytest.mark.engine

GROUP, EXPERIMENTAL = "gateway.networking.k8s.io", "gateway.networking.x-k8s.io"
KINDS = (
    custom("gatewayclasses", "GatewayClass", group=GROUP, version="v1", namespaced=False, status=True),
    custom("gateways", "Gateway", group=GROUP, version="v1", namespaced=True, status=True),
    custom("httproutes", "HTTPRoute", group=GROUP, version="v1", namespaced=True, status=True),
    custom("xbackends", "XBackend", group=EXPERIMENTAL, version="v1alpha1", namespaced=True, status=True),
)


def made(kind, name, group=GROUP, version="v1", **spec):
    place = {} if kind == "GatewayClass" else {"namespace": "default"}
    return {"apiVersion": f"{group}/{version}", "kind": kind, "metadata": {"name": name, **place}, "spec": spec}


def pod(name, ready="True"):
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": {"app": name, "more": "x"}},
        "status": {"phase": "Running", "podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": ready}]},
    }  # fmt: skip


def objects(port, listens):
    to = {"group": EXPERIMENTAL, "kind": "XBackend", "name": "web"}
    selector = {"type": "EndpointSelector", "endpointSelector": {"matchLabels": {"app": "web"}}, "port": {"number": port}}
    yield made("GatewayClass", "edge", controllerName="weirkeeper.io/gateway")
    yield made("Gateway", "front", gatewayClassName="edge", listeners=[{"name": "http", "port": listens, "protocol": "HTTP"}])
    yield made("HTTPRoute", "shop", parentRefs=[{"name": "front"}], hostnames=["shop.example"], rules=[{"backendRefs": [to]}])
    yield made("XBackend", "web", EXPERIMENTAL, "v1alpha1", **selector)
    yield from (pod("web"), pod("other"))


def read(install):
    """The pods that the program knows."""
    program = install.app.reconciler.program
    return {ref.name for ref in install.app.reconciler.graph.rows(program.inputs.of(Pod)) if isinstance(ref, Ref)}


async def until(look, what):
    async def asked():
        return look()

    await eventually(asked, 60, what=what)


async def answers(port, status):
    async def look():
        try:
            return (await fetch("http://shop.example/", via=port)).status == status
        except OSError:
            return False

    await eventually(look, 60, what=f"it answers {status}")


def told(server):
    """Who is told of the XBackend, and how it is accepted."""
    status = server.get("XBackend", "web", "default", api_version=f"{EXPERIMENTAL}/v1alpha1").get("status") or {}
    return [
        (one["ancestorRef"]["name"], c["status"])
        for one in status.get("ancestors", ())
        for c in one["conditions"]
        if c["type"] == "Accepted"
    ]


def test_pods_are_read_while_a_route_leads_to_them_and_no_others(tmp_path):
    asyncio.run(_selected(tmp_path))


async def _selected(tmp_path):
    listens = free_port()
    async with EchoServer(name="echo") as echo, api_server() as server:
        for kind in KINDS:
            server.serve(kind)
        for one in objects(echo.port, listens):
            server.put(one)
        install = Install(tmp_path, server.kubeconfig(), gateway=True, workloads=True)
        async with running(install):
            keys = install.app.channel.authority.keys
            async with instance(tmp_path / "i0", keys, "gateway/default/front", "i0", [install.server]):
                await answers(listens, 200)
                assert read(install) == {"web"}
                await until(lambda: told(server) == [("front", "True")], "the XBackend is accepted")
                server.put(pod("web", ready="False"))
                await answers(listens, 503)
                server.put(pod("web"))
                await answers(listens, 200)
                server.remove("HTTPRoute", "shop", "default", api_version=f"{GROUP}/v1")
                await until(lambda: read(install) == set(), "nobody reads pods any more")
                await until(lambda: told(server) == [], "and the XBackend belongs to no Gateway")
