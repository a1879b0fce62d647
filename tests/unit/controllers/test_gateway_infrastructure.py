"""What is started for a Gateway, with which labels and addresses, and what is said where a wish cannot be fulfilled."""

import json

import pytest
from test_gateway import PLAIN, World, gateway

from weirkeeper.controllers.gateway import GatewaySettings
from weirkeeper.model.finding import Reason

ON = GatewaySettings(fleets=True, fleet_namespaces=("d",))
PARAMETERS = "parametersRef: {group: weirkeeper.io, kind: LoadBalancerClassParameters, name: p}"


def parameters(**fleet):
    return f"kind: LoadBalancerClassParameters\nmetadata: {{name: p}}\nspec: {{fleet: {json.dumps(fleet)}}}"


def wishing(more="", *, name="g", namespace="d", addresses="[]"):
    infrastructure = "{" + ", ".join(part for part in (PARAMETERS, more) if part) + "}"
    return gateway(
        PLAIN, name=name, namespace=namespace, extra=f", addresses: {addresses}, infrastructure: {infrastructure}"
    )


def made(world, name="g", namespace="d"):
    one = next(
        one for one in world.intents().values() if one.defines and one.defines.id == f"gateway/{namespace}/{name}"
    )
    return one.defines.infrastructure, [finding.reason for finding in one.findings]


def test_labels_and_annotations_go_to_what_is_made_with_those_that_say_of_which_gateway_it_is():
    labels = "labels: {team: a, install: weirkeeper, app.kubernetes.io/component: envoy, weirkeeper.io/install: x}"
    notes = "annotations: {cloud.example/kind: internal one, weirkeeper.io/load-balancer-id: gateway/o/o}"
    infrastructure, told = made(World(parameters(), wishing(f"{labels}, {notes}"), settings=ON))
    assert dict(infrastructure.labels) == {
        "team": "a",
        "gateway.networking.k8s.io/gateway-name": "g",
        "gateway.networking.k8s.io/gateway-class-name": "weir",
    }
    assert dict(infrastructure.annotations) == {"cloud.example/kind": "internal one"}
    assert told == [Reason.INVALID_CLASS] * 2


@pytest.mark.parametrize(
    ("wish", "namespace", "settings", "beside"),
    [
        ("install", "d", ON, None),
        ("gateway", "d", ON, "d"),
        ("gateway", "e", ON, None),
        ("gateway", "e", GatewaySettings(fleets=True, fleet_namespaces=("*",)), "e"),
        ("elsewhere", "d", ON, None),
    ],
)
def test_instances_live_beside_their_gateway_where_class_and_install_let_them(wish, namespace, settings, beside):
    infrastructure, told = made(
        World(parameters(namespace=wish), wishing(namespace=namespace), settings=settings), namespace=namespace
    )
    assert infrastructure.namespace == beside
    assert bool(told) == (beside is None and wish != "install")


def test_an_address_is_given_where_the_class_lists_its_range_and_the_older_gateway_has_it():
    asked = "[{value: 192.0.2.9}, {value: 198.51.100.1}, {type: Hostname, value: lb.example}, {value: '2001:DB8::1'}, {value: abc}, {value: 192.0.2.999}, {}]"
    ranges = ["192.0.2.0/28", "2001:db8::/64"]
    older = wishing(addresses="[{value: 192.0.2.9}]", name="a").replace(
        "generation: 3", "creationTimestamp: '2026-01-01T00:00:00Z'"
    )
    world = World(parameters(addresses=ranges), wishing(addresses=asked), settings=ON)
    assert made(world)[0].addresses == ("192.0.2.9", "2001:db8::1")
    assert world.report("Gateway", "g").addresses[-4:] == tuple(
        ("IPAddress", one) for one in ("2001:db8::1", "abc", "192.0.2.999", "")
    )
    world.put(older)
    assert made(world)[0].addresses == ("2001:db8::1",)
    assert made(world, "a")[0].addresses == ("192.0.2.9",)
    world.drop(older)
    assert made(world)[0].addresses == ("192.0.2.9", "2001:db8::1")


def test_a_type_of_address_that_nobody_knows_is_not_accepted_and_a_range_that_is_none_is_told():
    world = World(parameters(addresses=["x"]), wishing(addresses="[{type: a/b, value: c}]"), settings=ON)
    assert world.said("Gateway", "g")["Accepted"] == ("False", "UnsupportedAddress")
    assert made(world)[1] == [Reason.INVALID_CLASS]
