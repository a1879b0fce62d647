"""Gateway API over the kinds as upstream publishes them: a Gateway with instances of its own, routes, statuses beside those of another controller."""

import json
import sys
from pathlib import Path

import pytest
from commands import Kubectl
from installs import Install, until, until_answered, until_status
from samples import PORT, echo, service

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from gateway_release import release

pytestmark = [pytest.mark.cluster, pytest.mark.engine]

CONTROLLER = "weirkeeper.io/fleet-gateway"
GROUP = "gateway.networking.k8s.io/v1"
EXPERIMENTAL = "gateway.networking.x-k8s.io"
STARTED = 90.0
X_KINDS = ("xbackends", "xbackendtrafficpolicies")
KINDS = (
    "gatewayclasses",
    "gateways",
    "listenersets",
    "httproutes",
    "grpcroutes",
    "referencegrants",
    "tlsroutes",
    "tcproutes",
    "udproutes",
    "backendtlspolicies",
)


def published(kubectl: Kubectl, channel: str, group: str, kind: str) -> None:
    """A kind as upstream publishes it."""
    path = release() / "config" / "crd" / channel / f"{group}_{kind}.yaml"
    kubectl.must("apply", "--server-side", "-f", str(path))
    kubectl.must("wait", "--for=condition=Established", "--timeout=150s", f"crd/{kind}.{group}")


@pytest.fixture(scope="module")
def starter(nodes):
    """An install that starts instances and serves Gateway API, in a cluster that has its kinds."""
    kubectl = Kubectl("")
    for kind in KINDS:
        published(kubectl, "standard", "gateway.networking.k8s.io", kind)
    for kind in X_KINDS:
        published(kubectl, "experimental", EXPERIMENTAL, kind)
    install = Install("fleet", "fleet-weirkeeper", "fleet")
    install.apply([])
    kubectl.must(
        "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [parameters(), of_class()]})
    )
    return install


def parameters() -> dict:
    """What Gateways of the class get."""
    spec = {"fleet": {"exposure": "clusterIP"}}
    return {
        "apiVersion": "weirkeeper.io/v1alpha1",
        "kind": "LoadBalancerClassParameters",
        "metadata": {"name": "gateways"},
        "spec": spec,
    }


def of_class() -> dict:
    """The class."""
    reference = {"group": "weirkeeper.io", "kind": "LoadBalancerClassParameters", "name": "gateways"}
    return {
        "apiVersion": GROUP, "kind": "GatewayClass", "metadata": {"name": "fleet-weirkeeper"},
        "spec": {"controllerName": CONTROLLER, "parametersRef": reference},
    }  # fmt: skip


def gateway(*listeners: dict) -> dict:
    """A Gateway."""
    spec = {"gatewayClassName": "fleet-weirkeeper", "listeners": list(listeners)}
    return {"apiVersion": GROUP, "kind": "Gateway", "metadata": {"name": "front"}, "spec": spec}


def route(name: str, host: str, backend: str, path: str = "/") -> dict:
    """An HTTPRoute with one rule."""
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": path}}],
        "backendRefs": [{"name": backend, "port": PORT}],
    }
    spec = {"parentRefs": [{"name": "front"}], "hostnames": [host], "rules": [rule]}
    return {"apiVersion": GROUP, "kind": "HTTPRoute", "metadata": {"name": name}, "spec": spec}


def status(kubectl: Kubectl, kind: str, name: str) -> dict:
    """The status, as owners read it."""
    return kubectl.read(kind, name).get("status") or {}


def said(conditions: list[dict], generation: int) -> dict[str, str]:
    """What the conditions of a generation say."""
    return {one["type"]: one["status"] for one in conditions if one.get("observedGeneration") == generation}


def test_a_gateway_is_served_by_instances_of_its_own_until_it_goes(starter, kubectl):
    kubectl.apply(echo("shop"), service("shop"), gateway({"name": "http", "port": 80, "protocol": "HTTP"}))
    kubectl.must("rollout", "status", "deployment/shop", "--timeout=150s")
    until(lambda: status(kubectl, "gateway", "front").get("addresses"), "the Gateway has an address", STARTED)
    address = status(kubectl, "gateway", "front")["addresses"][0]["value"]
    host = f"{kubectl.namespace}.example"
    kubectl.apply(route("shop", host, "shop"), route("gone", host, "gone", "/gone"))
    until_answered(address, f"http://{host}/", "shop")
    until_status(address, f"http://{host}/gone", 500)
    until_status(address, f"http://other.{host}/", 404)
    told = {"Accepted": "True", "Programmed": "True"}
    until(lambda: said(status(kubectl, "gateway", "front")["conditions"], 1) == told, "the Gateway is programmed")
    until(lambda: status(kubectl, "gateway", "front")["listeners"][0]["attachedRoutes"] == 2, "both routes are counted")
    refused = [{"Accepted": "True", "ResolvedRefs": "False"}]
    until(lambda: [said(one["conditions"], 1) for one in status(kubectl, "httproute", "gone")["parents"]] == refused, "its backend is missing")
    until(lambda: said(status(Kubectl(""), "gatewayclass", "fleet-weirkeeper")["conditions"], 1) == {"Accepted": "True"}, "the class is accepted")
    assert len(status(Kubectl(""), "gatewayclass", "fleet-weirkeeper")["supportedFeatures"]) > 30
    kubectl.apply(
        gateway({"name": "http", "port": 80, "protocol": "HTTP"}, {"name": "more", "port": 8081, "protocol": "HTTP"})
    )
    until_answered(address, f"http://{host}:8081/", "shop")
    theirs_stay(kubectl, host, address)
    every_kind_is_told_of(kubectl)
    kubectl.must("delete", "gateway", "front")
    until(
        lambda: not starter.instances.items("services", "-l", "weirkeeper.io/install=fleet-weirkeeper"),
        "nothing is left",
        STARTED,
    )


def every_kind_is_told_of(kubectl: Kubectl) -> None:
    """What hangs on the Gateway, or on what its routes lead to, says so, whatever its kind."""
    parents, rules = [{"name": "front"}], [{"backendRefs": [{"name": "safe", "port": PORT}]}]
    target = {"group": "", "kind": "Service", "name": "safe"}
    outside = {"group": EXPERIMENTAL, "kind": "XBackend", "name": "rest", "port": 443}
    specs = {
        "GRPCRoute": {"parentRefs": parents, "hostnames": ["calls.example"], "rules": rules},
        "HTTPRoute": {"parentRefs": parents, "hostnames": ["outside.example"], "rules": [{"backendRefs": [outside]}]},
        "TLSRoute": {"parentRefs": parents, "hostnames": ["tls.example"], "rules": rules},
        "TCPRoute": {"parentRefs": parents, "rules": rules},
        "UDPRoute": {"parentRefs": parents, "rules": rules},
        "ListenerSet": {"parentRef": parents[0], "listeners": [{"name": "own", "port": 8082, "protocol": "HTTP"}]},
        "BackendTLSPolicy": {"targetRefs": [target], "validation": {"hostname": "safe.example", "wellKnownCACertificates": "System"}},
        "XBackendTrafficPolicy": {"targetRefs": [target], "sessionPersistence": {}},
        "XBackend": {"type": "ExternalHostname", "externalHostname": {"hostname": "a.example.com"}, "port": {"port": 443}},
    }  # fmt: skip
    made = [
        {
            "apiVersion": f"{EXPERIMENTAL}/v1alpha1" if kind.startswith("X") else GROUP,
            "kind": kind,
            "metadata": {"name": "rest"},
            "spec": spec,
        }
        for kind, spec in specs.items()
    ]
    kubectl.apply(service("safe"), *made)
    for kind in specs:
        until(lambda of=kind.lower(): status(kubectl, of, "rest"), f"a status of {kind}")


def theirs_stay(kubectl: Kubectl, host: str, address: str) -> None:
    """Another controller writes its own entries all the time, and loses none."""
    entry = {
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "elsewhere"}, "controllerName": "example.com/other",
        "conditions": [{"type": "Accepted", "status": "True", "reason": "Theirs", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    }  # fmt: skip
    for turn in range(5):
        ours = [
            one
            for one in status(kubectl, "httproute", "shop").get("parents", ())
            if one["controllerName"] == CONTROLLER
        ]
        entry["conditions"][0]["message"] = f"turn {turn}"
        patch = {"status": {"parents": [entry, *ours]}}
        kubectl.must("patch", "httproute", "shop", "--subresource=status", "--type=merge", "-p", json.dumps(patch))
        kubectl.apply(route("shop", host, "shop", f"/turn-{turn}"))
        until_answered(address, f"http://{host}/turn-{turn}", "shop")
        until(lambda: up_to_date(kubectl, entry), "ours are of this generation, and theirs are as they wrote them")


def up_to_date(kubectl: Kubectl, entry: dict) -> bool:
    """Whether our entry is of the present generation, and theirs is untouched."""
    found = kubectl.read("httproute", "shop")
    parents = {one["controllerName"]: one for one in found["status"]["parents"]}
    assert parents["example.com/other"] == entry
    ours = said(parents[CONTROLLER]["conditions"], found["metadata"]["generation"])
    return len(parents) == 2 and ours == {"Accepted": "True", "ResolvedRefs": "True"}
