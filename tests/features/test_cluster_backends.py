"""The whole program over an API server, with a real Envoy: workloads without a Service, node ports and Services' own addresses, and public endpoints on what is behind."""

import asyncio
import json

import pytest
from cluster_program import LOAD_BALANCER, Install, api_server, endpoint_slice, ingress, ingress_class, running, service

from weirkeeper.runtime import public_writer
from weirkeeper.testing.apiserver import custom
from weirkeeper.testing.client import fetch
from weirkeeper.testing.echo import EchoServer
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.instance import instance

pytestmark = pytest.mark.engine

KEY = "weirkeeper.io/public-endpoints"
PARAMETERS = custom("loadbalancerclassparameters", "LoadBalancerClassParameters", namespaced=False)


def workload(kind, name, port):
    labels = {"app": name}
    containers = [{"name": "a", "image": "a", "ports": [{"name": "http", "containerPort": port}]}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    return {
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }  # fmt: skip


def pod(of, port, ready="True"):
    """A pod of a workload; of a Deployment by its ReplicaSet."""
    kind, name = of["kind"], of["metadata"]["name"]
    labels, owner = dict(of["spec"]["selector"]["matchLabels"]), {"kind": kind, "name": name}
    if kind == "Deployment":
        labels["pod-template-hash"] = "5d"
        owner = {"kind": "ReplicaSet", "name": f"{name}-5d"}
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": f"{name}-5d-x", "namespace": "default", "labels": labels,
            "ownerReferences": [{"apiVersion": "apps/v1", "uid": "1", "controller": True, **owner}],
        },
        "spec": {"containers": [{"name": "a", "image": "a", "ports": [{"name": "http", "containerPort": port}]}]},
        "status": {"phase": "Running", "podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": ready}]},
    }  # fmt: skip


def straight(kind, name):
    """An Ingress that leads straight to a workload."""
    body = ingress(name, f"{name}.example", "none")
    body["spec"]["rules"][0]["http"]["paths"][0]["backend"] = {
        "resource": {"apiGroup": "apps", "kind": kind, "name": name}
    }
    return body


async def answers(install, host, status=200, by=""):
    """Waits until the host answers with this code, and by this backend where one is named."""

    async def look():
        try:
            found = await fetch(f"http://{host}/", via=install.http_port)
        except OSError:
            return False
        return found.status == status and (not by or found.echo.name == by)

    await eventually(look, 60, what=f"{host} answers {status} {by}")


async def event_on(server, name, word):
    shelf = server.log.shelf(server.kind("Event", "events.k8s.io/v1"))

    async def look():
        events = [entry.object for entry in shelf.objects.values()]
        return any(one["regarding"]["name"] == name and word in one["note"] for one in events)

    await eventually(look, 60, what=f"an event on {name} says {word!r}")


async def marked(server, kind, name, *places):
    """Waits until the public endpoints of an object are these hosts and paths."""

    async def look():
        found = server.get(kind, name, "default")["metadata"].get("annotations") or {}
        listed = json.loads(found.get(KEY, "[]"))
        if places:
            return listed if [(one["hostname"], one["path"]) for one in listed] == list(places) and all(one["addresses"] for one in listed) else None
        return KEY not in found

    return await eventually(look, 60, what=f"{kind} {name} says {places}")


KINDS = {"Deployment": "web", "StatefulSet": "db", "DaemonSet": "log"}


def test_workloads_of_three_kinds_answer_without_a_service(tmp_path):
    asyncio.run(_workloads(tmp_path))


async def _workloads(tmp_path):
    async with EchoServer(name="echo") as echo:
        made = [workload(kind, name, echo.port) for kind, name in KINDS.items()]
        async with api_server(ingress_class(), *made, *(pod(one, echo.port) for one in made)) as server:
            one = Install(tmp_path, server.kubeconfig(), workloads=True)
            async with running(one):
                keys = one.app.channel.authority.keys
                async with instance(tmp_path / "i0", keys, LOAD_BALANCER, "i0", [one.server]):
                    for kind, name in KINDS.items():
                        server.put(straight(kind, name))
                    server.put(straight("Deployment", "gone"))
                    for name in KINDS.values():
                        await answers(one, f"{name}.example", by="echo")
                    await answers(one, "gone.example", 503)
                    await event_on(server, "gone", "no Deployment")
                    server.put(pod(made[0], echo.port, ready="False"))
                    await answers(one, "web.example", 503)
                    server.put(pod(made[0], echo.port))
                    await answers(one, "web.example", by="echo")
                    server.put(workload("Deployment", "gone", echo.port))
                    server.put(pod(workload("Deployment", "gone", echo.port), echo.port))
                    await answers(one, "gone.example", by="echo")


def test_an_install_that_reads_no_workloads_says_so(tmp_path):
    asyncio.run(_none(tmp_path))


async def _none(tmp_path):
    async with api_server(ingress_class(), straight("Deployment", "web"), workload("Deployment", "web", 80)) as server:
        one = Install(tmp_path, server.kubeconfig())
        async with running(one):
            keys = one.app.channel.authority.keys
            async with instance(tmp_path / "i0", keys, LOAD_BALANCER, "i0", [one.server]):
                await answers(one, "web.example", 503)
                await event_on(server, "web", "does not read workloads")


def parameters(mode):
    return {
        "apiVersion": "weirkeeper.io/v1alpha1", "kind": "LoadBalancerClassParameters", "metadata": {"name": "p"},
        "spec": {"endpointMode": mode},
    }  # fmt: skip


def test_a_class_is_brought_to_node_ports_and_to_addresses_of_services(tmp_path):
    asyncio.run(_modes(tmp_path))


async def _modes(tmp_path):
    of_class = ingress_class()
    of_class["spec"]["parameters"] = {"apiGroup": "weirkeeper.io", "kind": "LoadBalancerClassParameters", "name": "p"}
    async with EchoServer(name="pods") as pods, EchoServer(name="nodes") as nodes, EchoServer(name="service") as own:
        shop = service("shop", port=own.port)
        shop["spec"] |= {"clusterIP": "127.0.0.1", "type": "NodePort"}
        shop["spec"]["ports"][0] |= {"nodePort": nodes.port}
        plain = service("plain", port=own.port)
        plain["spec"]["clusterIP"] = "None"
        node = {
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            },
        }  # fmt: skip
        slices = [endpoint_slice(name, "127.0.0.1", pods.port) for name in ("shop", "plain")]
        ways = [ingress(name, f"{name}.example", name) for name in ("shop", "plain")]
        for way in ways:
            way["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"] = {"name": "http"}
        async with api_server() as server:
            server.serve(PARAMETERS)
            for body in (of_class, parameters("pods"), shop, plain, node, *slices, *ways):
                server.put(body)
            one = Install(tmp_path, server.kubeconfig(), node_ports=True)
            async with running(one):
                keys = one.app.channel.authority.keys
                async with instance(tmp_path / "i0", keys, LOAD_BALANCER, "i0", [one.server]):
                    for name in ("shop", "plain"):
                        await answers(one, f"{name}.example", by="pods")
                    for mode, who in (("nodePort", "nodes"), ("clusterIP", "service")):
                        server.put(parameters(mode))
                        await answers(one, "shop.example", by=who)
                        await answers(one, "plain.example", 503)
                    await event_on(server, "plain", "has no node port")
                    await event_on(server, "plain", "has no address of its own")
                    server.put(parameters("pods"))
                    for name in ("shop", "plain"):
                        await answers(one, f"{name}.example", by="pods")


def test_public_endpoints_come_and_go_with_the_rules(tmp_path, monkeypatch):
    monkeypatch.setattr(public_writer, "PAUSE", 0.1)
    asyncio.run(_public(tmp_path))


async def _public(tmp_path):
    web = workload("Deployment", "web", 8080)
    left = service("left")
    left["metadata"]["annotations"] = {KEY: "[]", "theirs": "1"}
    async with api_server(
        ingress_class(),
        service("shop"),
        left,
        web,
        ingress("shop", "shop.example", "shop"),
        straight("Deployment", "web"),
    ) as server:
        one = Install(tmp_path, server.kubeconfig(), workloads=True, public_endpoints=KEY)
        async with running(one):
            keys = one.app.channel.authority.keys
            async with instance(tmp_path / "i0", keys, LOAD_BALANCER, "i0", [one.server], addresses=["192.0.2.7"]):
                (found,) = await marked(server, "Service", "shop", ("shop.example", "/"))
                assert (found["addresses"], found["port"], found["serviceName"]) == (
                    ["192.0.2.7"],
                    one.http_port,
                    "default:shop",
                )
                await marked(server, "Deployment", "web", ("web.example", "/"))
                await marked(server, "Service", "left")
                assert server.get("Service", "left", "default")["metadata"]["annotations"] == {"theirs": "1"}
                server.remove("Ingress", "web", "default", api_version="networking.k8s.io/v1")
                await marked(server, "Deployment", "web")
                server.put(ingress("more", "more.example", "shop"))
                await marked(server, "Service", "shop", ("more.example", "/"), ("shop.example", "/"))
