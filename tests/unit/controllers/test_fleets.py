"""Load balancers of their own: who gets one, in which shape, and what is said where a wish cannot be fulfilled."""

import json

import pytest
from build import SHOP, World, ingress, path

from weirkeeper.controllers.ingress import IngressSettings
from weirkeeper.model.finding import Reason
from weirkeeper.model.fleet import Fleet, Toleration
from weirkeeper.model.route import Redirect

ON = IngressSettings(fleets=True, implicit_class=None)
OWN = "ingress/edge/d/i"
GROUP = "weirkeeper.io/load-balancer"


def a_class(fleet=None, **spec):
    wished = {**spec, **({"fleet": fleet} if fleet is not None else {})}
    return """
kind: IngressClass
metadata: {name: edge, annotations: {ingressclass.kubernetes.io/is-default-class: "true"}}
spec: {controller: weirkeeper.io/ingress, parameters: {apiGroup: weirkeeper.io, kind: LoadBalancerClassParameters, name: edge}}
---
kind: LoadBalancerClassParameters
metadata: {name: edge}
spec: """ + json.dumps(wished)


def node(name, labels=None, taints=(), *, ready=True, cordoned=False):
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"unschedulable": cordoned, "taints": list(taints)},
        "status": {
            "conditions": [{"type": "Ready", "status": str(ready), "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]
        },
    }


NODES = tuple(node(name) for name in "abc")


def world(annotations, *, fleet=None, nodes=NODES, settings=ON, **spec):
    return World(SHOP, a_class(fleet, **spec), ingress(annotations=json.dumps(annotations)), *nodes, settings=settings)


def fleet_of(intent):
    return intent.defines.infrastructure.fleet


def reasons(intent):
    return [f.reason for f in intent.findings]


@pytest.mark.parametrize("key", ["scale", "weirkeeper.io/scale"])
def test_scale_means_a_load_balancer_of_its_own_with_so_many_instances(key):
    made = world({key: "2"})
    intent = made.intents()["i"]
    assert intent.load_balancer == OWN
    assert fleet_of(intent) == Fleet(mode="deployment", replicas=2)
    assert {listener.port for listener in intent.listeners} == {80, 443}
    assert {part.load_balancer for part in (*intent.listeners, *intent.routes)} == {OWN}
    assert intent.findings == ()
    assert made.classes()["edge"].load_balancer == "ingress/edge"
    assert fleet_of(made.classes()["edge"]) is None


def test_without_a_wish_the_class_serves():
    intent = world({}).intents()["i"]
    assert (intent.load_balancer, intent.defines) == ("ingress/edge", None)


def test_its_own_load_balancer_has_one_instance_where_nothing_else_is_said():
    assert fleet_of(world({"weirkeeper.io/load-balancer": "own"}).intents()["i"]).replicas == 1


def test_a_class_may_give_every_ingress_its_own_and_an_ingress_may_share_after_all():
    fleet = {"granularity": "ingress", "replicas": 3}
    assert fleet_of(world({}, fleet=fleet).intents()["i"]).replicas == 3
    assert world({}, fleet=fleet).classes()["edge"].defines.infrastructure.fleet is None
    shared = world({"weirkeeper.io/load-balancer": "shared"}, fleet=fleet).intents()["i"]
    assert shared.load_balancer == "ingress/edge"


def test_a_class_may_have_a_fleet_itself():
    fleet = {
        "mode": "daemonset",
        "exposure": "nodePort",
        "serviceAnnotations": {"cloud.example/kind": "internal"},
        "nodeSelector": {"edge": "true"},
        "tolerations": [{"key": "edge", "effect": "NoSchedule"}],
    }
    found = world({}, fleet=fleet, nodes=(node("a", {"edge": "true"}),)).classes()["edge"]
    assert fleet_of(found) == Fleet(
        mode="daemonset",
        exposure="nodePort",
        service_annotations=(("cloud.example/kind", "internal"),),
        node_selector=(("edge", "true"),),
        tolerations=(Toleration(key="edge", effect="NoSchedule"),),
    )
    assert found.findings == ()


def test_its_own_has_the_shape_of_its_class():
    fleet = {"nodeSelector": {"edge": "true"}}
    backend = {"namespace": "d", "service": "shop", "port": {"number": 80}}
    intent = world(
        {"scale": "1"},
        fleet=fleet,
        nodes=(node("a", {"edge": "true"}),),
        ports={"http": 8080, "https": 0},
        defaultBackend=backend,
    ).intents()["i"]
    assert [listener.port for listener in intent.listeners] == [8080]
    assert fleet_of(intent).node_selector == (("edge", "true"),)
    assert any(hosted.hostname == "*" for hosted in intent.routes)
    assert len({hosted.route.id for hosted in intent.routes}) == len(intent.routes)


@pytest.mark.parametrize(
    ("annotations", "ports"),
    [
        ({"http.port": "8080"}, {8080, 443}),
        ({"weirkeeper.io/http-port": "8080", "https.port": "8443"}, {8080, 8443}),
        ({"allow.http": "false"}, {443}),
        ({"allow.http": "false", "http.port": "8080", "weirkeeper.io/https-port": "8443"}, {8443}),
        ({"allow.http": "true"}, {80, 443}),
        ({"http.port": "0"}, {80, 443}),
    ],
)
def test_ports_of_its_own_are_chosen_as_ranchers_controller_had_it(annotations, ports):
    intent = world({"scale": "1", **annotations}).intents()["i"]
    assert {listener.port for listener in intent.listeners} == ports
    assert reasons(intent) == ([Reason.INVALID_ANNOTATION] if annotations == {"http.port": "0"} else [])


def test_redirects_go_to_the_port_that_was_chosen():
    made = world({"scale": "1", "https.port": "8443", "weirkeeper.io/force-ssl-redirect": "true"})
    assert {to.port for to in redirects(made.intents()["i"])} == {8443}


@pytest.mark.parametrize("more", [{}, {"weirkeeper.io/load-balancer": "team"}, {"weirkeeper.io/load-balancer": "shared"}])
def test_ports_of_a_load_balancer_that_others_share_are_its_owners(more):
    notes = {"http.port": "8080", "weirkeeper.io/https-port": "8443", **more}
    made = world(notes)
    intent = made.intents()["i"]
    assert reasons(intent) == [Reason.ANNOTATION_WITHOUT_EFFECT] * 2
    assert [f.origin.path for f in intent.findings] == [f"metadata.annotations[{key}]" for key in list(notes)[:2]]
    found = (*made.intents().values(), *made.classes().values())
    assert {one.port for intent in found for one in intent.listeners} == {80, 443}


def test_a_shared_load_balancer_serves_nothing_over_http_to_one_that_does_not_allow_it():
    allowed, not_allowed = (world(notes).intents()["i"] for notes in ({}, {"allow.http": "false"}))
    assert redirects(allowed) == []
    [redirect] = redirects(not_allowed)
    assert redirect.scheme == "https"
    assert not_allowed.findings == ()
    forced = world({"weirkeeper.io/force-ssl-redirect": "true"}).intents()["i"]
    assert not_allowed.routes == forced.routes


def redirects(intent):
    return [hosted.route.action for hosted in intent.routes if isinstance(hosted.route.action, Redirect)]


def test_two_of_their_own_share_no_id_of_a_route_or_listener():
    made = world({"scale": "1"}, defaultBackend={"namespace": "d", "service": "shop", "port": {"number": 80}})
    made.put(ingress(path(), name="j", host="b.example", annotations='{"scale": "1"}'))
    found = [*made.intents().values(), *made.classes().values()]
    routes = [hosted.route.id for intent in found for hosted in intent.routes]
    assert len(routes) == len(set(routes)) == 5
    assert len({intent.load_balancer for intent in found}) == 3


def test_shared_and_scale_contradict_each_other():
    intent = world({"scale": "2", "weirkeeper.io/load-balancer": "shared"}).intents()["i"]
    assert (intent.load_balancer, reasons(intent)) == ("ingress/edge", [Reason.ANNOTATION_CONFLICT])


def test_a_canary_has_none():
    notes = {"scale": "2", "nginx.ingress.kubernetes.io/canary": "true"}
    assert world(notes).intents()["i"].load_balancer == "ingress/edge"


@pytest.mark.parametrize("text", ["0", "-1", "two", "1000", "2.5", ""])
def test_a_number_that_is_none_is_told_and_the_class_serves(text):
    intent = world({"scale": text}).intents()["i"]
    assert (intent.load_balancer, reasons(intent)) == ("ingress/edge", [Reason.INVALID_ANNOTATION])


def test_an_install_that_starts_nothing_says_so_and_the_class_serves():
    off = IngressSettings(implicit_class=None)
    made = World(SHOP, a_class({"replicas": 2}), ingress(annotations='{"scale": "2"}'), settings=off)
    intent = made.intents()["i"]
    assert (intent.load_balancer, reasons(intent)) == ("ingress/edge", [Reason.NO_FLEET])
    assert intent.findings[0].origin.path == "metadata.annotations[scale]"
    assert reasons(made.classes()["edge"]) == [Reason.NO_FLEET]


TAINT = {"key": "edge", "value": "yes", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("nodes", "fleet", "count"),
    [
        (NODES, {}, 3),
        ((*NODES[:2], node("c", ready=False)), {}, 2),
        ((*NODES[:2], node("c", cordoned=True)), {}, 2),
        ((*NODES[:2], node("c", taints=[TAINT])), {}, 2),
        ((*NODES[:2], node("c", taints=[{**TAINT, "effect": "PreferNoSchedule"}])), {}, 3),
        ((*NODES[:2], node("c", taints=[TAINT])), {"tolerations": [{"key": "edge"}]}, 3),
        ((*NODES[:2], node("c", taints=[TAINT])), {"tolerations": [{"key": "edge", "value": "no"}]}, 2),
        ((*NODES[:2], node("c", taints=[TAINT])), {"tolerations": [{"key": "edge", "effect": "NoExecute"}]}, 2),
        ((*NODES[:2], node("c", taints=[TAINT])), {"tolerations": [{}]}, 3),
        ((node("a", {"edge": "true"}), *NODES[1:]), {"nodeSelector": {"edge": "true"}}, 1),
    ],
)
def test_more_than_there_are_hosts_is_told(nodes, fleet, count):
    assert (
        world({"scale": str(count)}, fleet={"granularity": "ingress", **fleet}, nodes=nodes).intents()["i"].findings
        == ()
    )
    too_many = world({"scale": str(count + 1)}, fleet={"granularity": "ingress", **fleet}, nodes=nodes).intents()["i"]
    [told] = too_many.findings
    assert told.reason == Reason.TOO_FEW_HOSTS
    assert told.origin.path == "metadata.annotations[scale]"
    assert f"{count} hosts" in told.for_user
    assert fleet_of(too_many).replicas == count + 1


def test_a_host_that_comes_ends_it():
    made = world({"scale": "4"})
    assert reasons(made.intents()["i"]) == [Reason.TOO_FEW_HOSTS]
    made.put(node("d"))
    assert made.intents()["i"].findings == ()


@pytest.mark.parametrize(
    "fleet",
    [
        {"granularity": "pod"},
        {"mode": "statefulset"},
        {"exposure": "teapot"},
        {"serviceAnnotations": {"weirkeeper.io/digest": "x"}},
        {"serviceAnnotations": {"a b": "x"}},
        {"serviceAnnotations": {"a": "\x1b"}},
        {"replicas": 0},
        {"replicas": 101},
        {"nodeSelector": {"a b": "x"}},
        {"nodeSelector": {"a": "x\ny"}},
        {"tolerations": [{"effect": "Never"}]},
        {"tolerations": [{"key": "-"}]},
    ],
)
def test_parameters_that_cannot_be_used_are_told(fleet):
    found = world({}, fleet=fleet).classes()["edge"]
    assert Reason.INVALID_CLASS in reasons(found)


def several(*annotations, **options):
    """Ingresses a, b, ... of one namespace, the first the oldest."""
    documents = [
        ingress(name=name, host=f"{name}.example", annotations=json.dumps(notes), created=f"2026-01-0{i}T00:00:00Z")
        for i, (name, notes) in enumerate(zip("abc", annotations, strict=False), 1)
    ]
    return World(SHOP, a_class(), *documents, *NODES, settings=ON, **options)


def test_ingresses_of_a_namespace_may_share_one_with_as_many_instances_as_the_most_wished():
    found = several({GROUP: "team"}, {GROUP: "team", "scale": "3"}, {GROUP: "team", "scale": "2"}).intents()
    front = found.pop("edge/team")
    assert {intent.load_balancer for intent in (front, *found.values())} == {"ingress/edge/d/group/team"}
    assert fleet_of(front).replicas == 3
    assert all(intent.defines is None and intent.listeners == () for intent in found.values())
    assert front.defines.origin.ref.name == "a"


def test_one_more_than_the_hosts_is_told_to_the_one_that_wished_it():
    found = several({GROUP: "team"}, {GROUP: "team", "scale": "4"}).intents()
    [told] = found["edge/team"].findings
    assert (told.reason, told.origin.ref.name) == (Reason.TOO_FEW_HOSTS, "b")


def test_groups_of_two_namespaces_are_two():
    made = several({GROUP: "team"})
    made.put(ingress(name="z", namespace="other", annotations=json.dumps({GROUP: "team"})))
    assert len({intent.load_balancer for intent in made.intents().values()}) == 2


def test_a_canary_follows_into_a_group():
    main, canary = {GROUP: "team"}, {GROUP: "team", "nginx.ingress.kubernetes.io/canary": "true"}
    found = several(main, canary).intents()
    assert found["b"].load_balancer == found["a"].load_balancer == "ingress/edge/d/group/team"


def test_an_ingress_called_as_a_group_is_something_else():
    made = World(SHOP, a_class(), ingress(name="group", annotations='{"scale": "1"}'), *NODES, settings=ON)
    made.put(ingress(name="x", host="x.example", annotations=json.dumps({GROUP: "team"})))
    fronts = {intent.load_balancer for intent in made.intents().values()}
    assert fronts == {"ingress/edge/d/group", "ingress/edge/d/group/team"}
