"""Fleets of Gateways by the whole program over an API server: beside their Gateway, with its address, labels and a certificate of its own; and gone with it."""

import asyncio

from cluster_program import Install, api_server, running

from weirkeeper.testing.apiserver import custom
from weirkeeper.testing.eventually import eventually

GROUP = "gateway.networking.k8s.io"
PLURALS = {"gateways": "Gateway", "gatewayclasses": "GatewayClass"}
MARK = "weirkeeper.io/load-balancer"
ADDRESS = "192.0.2.10"


def gateway(*addresses, ports=(80,)):
    spec = {
        "gatewayClassName": "edge", "addresses": [{"value": one} for one in addresses], "infrastructure": {"labels": {"team": "a"}},
        "listeners": [{"name": f"http-{port}", "port": port, "protocol": "HTTP"} for port in ports],
    }  # fmt: skip
    return {"apiVersion": f"{GROUP}/v1", "kind": "Gateway", "metadata": {"name": "front", "namespace": "shop"}, "spec": spec}


def of_class():
    reference = {"group": "weirkeeper.io", "kind": "LoadBalancerClassParameters", "name": "edge"}
    fleet = {"namespace": "gateway", "exposure": "clusterIP", "addresses": ["192.0.2.0/28"]}
    return (
        {"apiVersion": "weirkeeper.io/v1alpha1", "kind": "LoadBalancerClassParameters", "metadata": {"name": "edge"}, "spec": {"fleet": fleet}},
        {
            "apiVersion": f"{GROUP}/v1", "kind": "GatewayClass", "metadata": {"name": "edge"},
            "spec": {"controllerName": "weirkeeper.io/gateway", "parametersRef": reference},
        },
    )  # fmt: skip


def started(server, kind):
    """What there is of a kind with our labels, by namespace."""
    found = server.log.shelf(server.kind(kind, "")).objects.items()
    return {
        namespace: entry.object for (namespace, _), entry in found if MARK in (entry.object["metadata"].get("labels") or {})
    }


async def until(look, what):
    async def asked():
        return look()

    await eventually(asked, 60, what=what)


def test_a_fleet_lives_beside_its_gateway_and_goes_with_it(tmp_path):
    asyncio.run(_beside(tmp_path))


async def _beside(tmp_path):
    async with api_server({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}) as server:
        for plural, kind in PLURALS.items():
            server.serve(custom(plural, kind, group=GROUP, version="v1", namespaced=kind == "Gateway", status=True))
        for one in (*of_class(), gateway(ADDRESS)):
            server.put(one)
        install = Install(tmp_path, server.kubeconfig(), fleet=True, gateway=True, fleet_namespaces=("shop",))
        async with running(install):
            parts = ("Deployment", "Service", "ServiceAccount")
            await until(lambda: all(set(started(server, kind)) == {"shop"} for kind in parts), "the fleet is beside its Gateway")
            service = started(server, "Service")["shop"]
            assert service["spec"]["externalIPs"] == [ADDRESS]
            assert service["metadata"]["labels"].items() >= {"team": "a", f"{GROUP}/gateway-name": "front"}.items()
            account = f"shop/{started(server, 'ServiceAccount')['shop']['metadata']['name']}"
            assert install.app.channel.accounts()[account] == {"gateway/shop/front"}
            await until(lambda: roots(server) == {"ca.crt": install.app.channel.authority.keys.bundle}, "it knows whom to trust")
            await until(lambda: programmed(server) == ("False", "AddressNotAssigned"), "no instance has taken anything yet")
            server.put(gateway("198.51.100.1"))
            await until(lambda: "externalIPs" not in started(server, "Service")["shop"]["spec"], "a strange address is not given")
            server.remove("Gateway", "front", "shop", api_version=f"{GROUP}/v1")
            kinds = ("Deployment", "Service", "ServiceAccount", "ConfigMap")
            await until(lambda: not any(started(server, kind) for kind in kinds), "nothing is left")


def roots(server):
    """The copy of what instances have to trust."""
    return started(server, "ConfigMap").get("shop", {}).get("data")


def programmed(server):
    """What the Gateway says of that."""
    status = server.get("Gateway", "front", "shop", api_version=f"{GROUP}/v1").get("status") or {}
    return next(((c["status"], c["reason"]) for c in status.get("conditions", ()) if c["type"] == "Programmed"), None)
