"""How a class reaches its backends: pods, a Service's own address, node ports; and what it says where it cannot."""

import json

import msgspec
import pytest
from build import World, ingress, path

from weirkeeper.controllers.base import COMMON_KINDS, Inputs
from weirkeeper.controllers.ingress import IngressSettings
from weirkeeper.controllers.ingress.controller import NODES
from weirkeeper.controllers.shared.backends import declare_endpoint_sets
from weirkeeper.flow import Graph
from weirkeeper.kube.types import EndpointSlice, Node
from weirkeeper.model.backend import FromEndpointSet, FromServiceAddress
from weirkeeper.model.endpoint import EndpointSetWish
from weirkeeper.model.finding import Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.route import Respond

SHOP = Ref(kind="Service", namespace="d", name="shop")
NO_NODES = IngressSettings(node_ports=False, implicit_class=None)


def a_class(mode, **spec):
    return """
kind: IngressClass
metadata: {name: edge, annotations: {ingressclass.kubernetes.io/is-default-class: "true"}}
spec: {controller: weirkeeper.io/ingress, parameters: {apiGroup: weirkeeper.io, kind: LoadBalancerClassParameters, name: edge}}
---
kind: LoadBalancerClassParameters
metadata: {name: edge}
spec: """ + json.dumps({"endpointMode": mode, **spec})


def service(port, **spec):
    return {"kind": "Service", "metadata": {"name": "shop", "namespace": "d"}, "spec": {"ports": [port], **spec}}


NODE_PORT = service({"port": 80, "nodePort": 30080}, type="NodePort", clusterIP="10.9.0.1")
CLUSTER_IP = service({"port": 80}, clusterIP="10.9.0.1", clusterIPs=["10.9.0.1"])
HEADLESS = service({"port": 80}, clusterIP="None")


def world(mode, made, annotations="{}", settings=None, **spec):
    settings = settings or IngressSettings(implicit_class=None)
    return World(made, a_class(mode, **spec), ingress(path(), annotations=annotations), settings=settings)


def reasons(intent):
    return [f.reason for f in intent.findings]


@pytest.mark.parametrize("made", [NODE_PORT, CLUSTER_IP, HEADLESS])
def test_pods_are_the_members_of_every_service_where_nothing_is_said(made):
    intent = world("pods", made).intents()["i"]
    (wish,) = intent.endpoint_sets
    assert wish == EndpointSetWish(id="d/shop/80", service=SHOP, port_name="")
    assert reasons(intent) == []


def test_a_cluster_address_is_the_one_member():
    intent = world("clusterIP", CLUSTER_IP).intents()["i"]
    (backend,), (wish,) = intent.backends, intent.endpoint_sets
    assert backend.source == FromServiceAddress(id=wish.id)
    assert (wish.service, wish.service_port) == (SHOP, 80)
    assert reasons(intent) == []


def test_a_node_port_is_the_member_on_each_node():
    intent = world("nodePort", NODE_PORT).intents()["i"]
    (backend,), (wish,) = intent.backends, intent.endpoint_sets
    assert backend.source == FromEndpointSet(id=wish.id)
    assert (wish.node_port, wish.on_node, wish.families) == (30080, False, (4,))


def test_a_service_that_keeps_traffic_on_its_nodes_is_reached_there_only():
    made = service({"port": 80, "nodePort": 30080}, externalTrafficPolicy="Local", clusterIPs=["10.9.0.1", "fd00::1"])
    (wish,) = world("nodePort", made).intents()["i"].endpoint_sets
    assert (wish.on_node, wish.families) == (True, (4, 6))


@pytest.mark.parametrize(("mode", "made"), [("clusterIP", HEADLESS), ("nodePort", CLUSTER_IP)])
def test_a_service_that_the_mode_cannot_serve_is_answered_503_with_a_finding(mode, made):
    intent = world(mode, made).intents()["i"]
    (route,) = (hosted.route for hosted in intent.routes)
    assert route.action == Respond(status=503)
    (found,) = intent.findings
    assert found.reason is Reason.MODE_CANNOT_SERVE
    assert found.origin.path == "spec.rules[0].http.paths[0].backend.service.name"
    assert "a class that sends requests to pods" in found.remedy


def test_node_ports_without_nodes_are_told_of_on_class_and_ingress():
    made = world("nodePort", NODE_PORT, settings=NO_NODES)
    assert reasons(made.classes()["edge"]) == [Reason.BACKENDS_NOT_READ]
    assert reasons(made.intents()["i"]) == [Reason.BACKENDS_NOT_READ]
    assert made.intents()["i"].endpoint_sets == ()


def test_a_mode_that_is_none_is_told_of_and_pods_hold():
    made = world("nodes", CLUSTER_IP)
    assert reasons(made.classes()["edge"]) == [Reason.INVALID_CLASS]
    assert [b.source for b in made.intents()["i"].backends] == [FromEndpointSet(id="d/shop/80")]


def test_the_default_backend_of_a_class_is_reached_in_its_mode():
    spec = {"defaultBackend": {"namespace": "d", "service": "shop", "port": {"number": 80}}}
    assert [w.node_port for w in world("nodePort", NODE_PORT, **spec).classes()["edge"].endpoint_sets] == [30080]
    made = world("nodePort", CLUSTER_IP, **spec).classes()["edge"]
    assert (made.endpoint_sets, reasons(made)) == ((), [Reason.MODE_CANNOT_SERVE])


def test_the_address_that_an_ingress_asks_for_is_not_taken_where_the_class_wants_node_ports():
    asked = json.dumps({"nginx.ingress.kubernetes.io/service-upstream": "true"})
    assert [w.node_port for w in world("nodePort", NODE_PORT, asked).intents()["i"].endpoint_sets] == [30080]
    (wish,) = world("clusterIP", NODE_PORT, asked).intents()["i"].endpoint_sets
    assert (wish.id, wish.service_port) == ("d/shop/80/address", 80)


def node(name, *addresses, ready="True", **labels):
    return msgspec.convert(
        {
            "kind": "Node",
            "apiVersion": "v1",
            "metadata": {"name": name, "labels": labels},
            "status": {
                "conditions": [{"type": "Ready", "status": ready}],
                "addresses": [{"type": "InternalIP", "address": one} for one in addresses]
                + [{"type": "ExternalIP", "address": "192.0.2.99"}, {"type": "Hostname", "address": name}],
            },
        },
        Node,
    )


class Sets:
    """The endpoint set of one wish, over nodes and slices."""

    def __init__(self, **wish):
        self.graph = Graph()
        self.inputs = Inputs(self.graph, (*COMMON_KINDS, NODES))
        wishes = self.graph.source("wishes")
        self.sets = declare_endpoint_sets(self.graph, self.inputs, wishes, allow_local=False)
        self.graph.put(wishes, "w", EndpointSetWish(id="x", service=SHOP, port_name="", **wish))

    def put(self, *objects):
        for one in objects:
            self.graph.put(self.inputs.of(type(one)), one.ref, one)
        self.graph.settle()
        return [(e.address, e.port, e.node) for e in self.graph.get(self.sets, "w").endpoints]


def test_nodes_that_are_ready_are_members_on_one_address_each():
    sets = Sets(node_port=30080, families=(4,))
    assert sets.put(
        node("a", "10.0.0.1", "fd00::1"),
        node("b", "fd00::2", "10.0.0.2"),
        node("six", "fd00::6"),
        node("down", "10.0.0.3", ready="Unknown"),
        node("local", "127.0.0.1"),
        node("out", "10.0.0.4", **{"node.kubernetes.io/exclude-from-external-load-balancers": ""}),
    ) == [("10.0.0.1", 30080, "a"), ("10.0.0.2", 30080, "b")]
    assert sets.put(node("a", "10.0.0.1", ready="False")) == [("10.0.0.2", 30080, "b")]


def test_only_nodes_with_a_ready_endpoint_where_the_service_keeps_traffic_there():
    sets = Sets(node_port=30080, on_node=True)
    members = [
        {"addresses": ["10.1.0.1"], "nodeName": "a"},
        {"addresses": ["10.1.0.2"], "nodeName": "b", "conditions": {"ready": False}},
    ]
    labels = {"kubernetes.io/service-name": "shop"}
    made = {
        "kind": "EndpointSlice",
        "metadata": {"name": "x", "namespace": "d", "labels": labels},
        "endpoints": members,
    }
    nodes = (node("a", "10.0.0.1"), node("b", "10.0.0.2"))
    assert sets.put(*nodes, msgspec.convert(made, EndpointSlice)) == [("10.0.0.1", 30080, "a")]
