"""Fleets by the whole program over an API server: one leader of two replicas makes and takes away, accounts have their own certificates, nothing foreign is touched."""

import asyncio

from cluster_program import NAMESPACE, Install, api_server, ingress, ingress_class, running, service

from weirkeeper.testing.eventually import eventually

MARK = "weirkeeper.io/load-balancer"


def own(name, scale="2"):
    return ingress(name, f"{name}.example", "shop", annotations={"scale": scale})


def node(name):
    meta = {"name": name, "labels": {"kubernetes.io/hostname": name}}
    status = {"conditions": [{"type": "Ready", "status": "True"}]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {}, "status": status}


def foreign():
    labels = {"weirkeeper.io/install": "another", MARK: "0123456789"}
    meta = {"name": "theirs", "namespace": NAMESPACE, "labels": labels}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"replicas": 1}}


def fleets(server, kind="Deployment"):
    """What is there of a kind that carries our label, by name."""
    found = {}
    for (namespace, name), entry in server.log.shelf(server.kind(kind, "")).objects.items():
        labels = entry.object["metadata"].get("labels") or {}
        if namespace == NAMESPACE and labels.get("weirkeeper.io/install") == "weirkeeper" and MARK in labels:
            found[name] = entry.object
    return found


async def until(look, what):
    async def asked():
        return look()

    await eventually(asked, 60, what=what)


def test_what_ingresses_wish_for_is_there_and_what_they_do_not_is_gone(tmp_path):
    asyncio.run(_wished(tmp_path))


async def _wished(tmp_path):
    objects = [ingress_class(), service("shop"), foreign(), *map(node, "abc")]
    async with api_server(*objects) as server:
        installs = [Install(tmp_path, server.kubeconfig(), f"replica-{i}", fleet=True) for i in range(2)]
        async with running(*installs):
            for name in ("a", "b", "c"):
                server.put(own(name))
            server.put(ingress("shared", "shared.example", "shop"))
            await until(lambda: len(fleets(server)) == len(fleets(server, "ServiceAccount")) == 3, "three fleets")
            assert {one["spec"]["replicas"] for one in fleets(server).values()} == {2}
            server.put(own("a", "1"))
            await until(lambda: sorted(o["spec"]["replicas"] for o in fleets(server).values()) == [1, 2, 2], "one is smaller")
            server.remove("Ingress", "b", "default", api_version="networking.k8s.io/v1")
            await until(lambda: len(fleets(server)) == len(fleets(server, "ServiceAccount")) == 2, "two fleets")
        server.remove("Ingress", "c", "default", api_version="networking.k8s.io/v1")
        server.put(own("d"))
        again = Install(tmp_path, server.kubeconfig(), "replica-9", fleet=True)
        async with running(again):
            await until(lambda: {named(o) for o in fleets(server).values()} == {"a", "d"}, "what went meanwhile is gone")
            for body in fleets(server).values():
                assert permitted_to(again, body["metadata"]["name"]) == {f"ingress/weirkeeper/default/{named(body)}"}
            victim = next(iter(fleets(server)))
            server.remove("Deployment", victim, NAMESPACE, api_version="apps/v1")
            await until(lambda: victim in fleets(server), "what somebody deleted is back")
        assert server.get("Deployment", "theirs", NAMESPACE)["spec"] == foreign()["spec"]


def named(body):
    """The Ingress that a fleet is for."""
    return body["metadata"]["annotations"]["weirkeeper.io/load-balancer-id"].rpartition("/")[2]


def permitted_to(install, account):
    """The load balancers whose certificates an account may have."""
    return install.app.channel.accounts().get(f"{NAMESPACE}/{account}", frozenset())


def test_an_install_that_starts_nothing_writes_nothing(tmp_path):
    asyncio.run(_off(tmp_path))


async def _off(tmp_path):
    async with api_server(ingress_class(), service("shop"), own("a")) as server:
        one = Install(tmp_path, server.kubeconfig())
        async with running(one):
            findings = one.app.reconciler.program.graph.rows(one.app.reconciler.program.findings)
            assert "WK509" in {str(f.reason) for told in findings.values() for f in told}
        assert fleets(server) == {}


def test_instances_have_a_namespace_of_their_own_where_the_install_says_so(tmp_path):
    asyncio.run(_elsewhere(tmp_path))


async def _elsewhere(tmp_path):
    edge = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "edge"}}
    async with api_server(edge, ingress_class(), service("shop"), *map(node, "ab")) as server:
        one = Install(tmp_path, server.kubeconfig(), "replica-0", fleet=True, instance_namespace="edge")
        async with running(one):
            server.put(own("a"))
            await until(lambda: elsewhere(server), "the fleet's Deployment is in the instances' namespace")
            [fleet] = elsewhere(server)
            account = f"edge/{fleet['metadata']['name']}"
            assert one.app.channel.accounts()[account] == {"ingress/weirkeeper/default/a"}
            assert one.app.channel.accounts()["edge/weirkeeper-envoy"] == {"*"}
            told = [word for c in fleet["spec"]["template"]["spec"]["initContainers"] for word in c["args"]]
            assert f"--control-plane=weirkeeper.{NAMESPACE}.svc:{one.ads_port}" in told
            await until(lambda: server.get("ConfigMap", "weirkeeper-authority", "edge"), "the roots are beside the instances")
            roots = server.get("ConfigMap", "weirkeeper-authority", "edge")["data"]
            assert roots["ca.crt"] == one.app.channel.authority.keys.bundle
            assert ("edge", "weirkeeper-authority") not in server.log.shelf(server.kind("Secret", "")).objects
            assert (NAMESPACE, "weirkeeper-authority") not in server.log.shelf(server.kind("ConfigMap", "")).objects
        assert fleets(server) == {}


def elsewhere(server):
    """The Deployments in the namespace of the instances."""
    found = server.log.shelf(server.kind("Deployment", "")).objects.items()
    return [entry.object for (namespace, _), entry in found if namespace == "edge"]
