"""Statuses through the front door: instances come, go and move between replicas; classes choose what is published; our own writes change nothing."""

import msgspec
import pytest
import yaml

from weirkeeper.controllers.ingress import IngressController
from weirkeeper.controllers.ingress.settings import IngressSettings
from weirkeeper.feeds.base import Seen
from weirkeeper.kube.types import AddressStatus, LoadBalancerStatus, ObjectStatus, VersionedMetadata
from weirkeeper.model.address import PublicAddress, Published
from weirkeeper.model.finding import Reason, Severity
from weirkeeper.model.ids import Ref
from weirkeeper.model.observation import FleetService, InstanceLeaving, InstanceObservation, InstancesMissing
from weirkeeper.providers.memory import PROVIDER
from weirkeeper.reconcile import Reconciler

CLASS = """
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: edge}
spec: {controller: weirkeeper.io/ingress, parameters: {apiGroup: weirkeeper.io, kind: LoadBalancerClassParameters, name: p}}
"""
INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, namespace: d}
spec: {ingressClassName: edge, rules: [{host: shop.example}]}
"""
REF = Ref(group="networking.k8s.io", kind="Ingress", namespace="d", name="shop")
CLASS_REF = Ref(group="networking.k8s.io", kind="IngressClass", name="edge")
PORTS = (80, 443)


def parameters(publish):
    spec = {"publish": publish}
    return yaml.safe_dump(
        {
            "apiVersion": "weirkeeper.io/v1alpha1",
            "kind": "LoadBalancerClassParameters",
            "metadata": {"name": "p"},
            "spec": spec,
        }
    )


def objects(program, *texts):
    kinds = program.kinds
    for text in texts:
        found = yaml.safe_load(text)
        kind = kinds[found["apiVersion"].rpartition("/")[0], found["kind"]]
        thing = msgspec.convert(found, kind.type)
        program.receive([Seen(ref=thing.ref, object=thing)])


def built(publish=(), default=None, *more):
    program = Reconciler([IngressController(IngressSettings(published=default))], [PROVIDER])
    objects(program, CLASS, INGRESS, parameters(dict(publish)), *more)
    program.settle()
    return program


def instance(name, *addresses, replica="r", serving=True):
    return InstanceObservation(
        load_balancer="ingress/edge",
        provider="memory",
        instance=name,
        replica=replica,
        addresses=addresses,
        serving=serving,
    )


def told(program, *events):
    program.receive(events)
    program.settle()
    wish = program.graph.rows(program.program.statuses)[REF]
    return tuple(ip or host for ip, host in wish.addresses), wish.ports


def test_status_follows_the_instances_of_all_replicas():
    program = built()
    assert told(program) == ((), ())
    assert told(program, instance("a", "10.0.0.1")) == (("10.0.0.1",), PORTS)
    assert told(program, instance("b", "10.0.0.2", replica="q")) == (("10.0.0.1", "10.0.0.2"), PORTS)
    assert told(program, instance("a", "10.0.0.1", replica="q"), instance("a", serving=False)) == (
        ("10.0.0.1", "10.0.0.2"),
        PORTS,
    )
    assert told(program, instance("a", replica="q", serving=False)) == (("10.0.0.2",), PORTS)
    assert told(program, instance("b", replica="q", serving=False)) == ((), ())


def leaving(name, leaving=True):
    return InstanceLeaving(load_balancer="ingress/edge", instance=name, leaving=leaving)


def test_an_instance_that_is_told_to_go_gives_its_address_back_while_it_still_serves():
    program = built()
    two = (instance("a", "10.0.0.1"), instance("b", "10.0.0.2"), instance("b", "10.0.0.2", replica="q"))
    assert told(program, *two) == (("10.0.0.1", "10.0.0.2"), PORTS)
    assert told(program, leaving("b")) == (("10.0.0.1",), PORTS)
    assert told(program, instance("b", serving=False), leaving("c")) == (("10.0.0.1",), PORTS)
    assert told(program, leaving("b", leaving=False)) == (("10.0.0.1", "10.0.0.2"), PORTS)


def owned(scale):
    """An Ingress with a load balancer of its own."""
    program = Reconciler([IngressController(IngressSettings(fleets=True))], [PROVIDER])
    annotated = yaml.safe_load(INGRESS)
    annotated["metadata"]["annotations"] = {"scale": str(scale)}
    objects(program, CLASS, yaml.safe_dump(annotated))
    return program


def missing_of(program, *events):
    """The severities and texts with which its object is told that instances are missing."""
    program.receive(events)
    program.settle()
    found = program.graph.rows(program.program.findings).get(REF, ())
    return [(f.severity, f.for_user.partition(";")[0]) for f in found if f.reason is Reason.INSTANCES_MISSING]


def test_instances_that_are_missing_for_long_are_told_on_the_object_that_wishes_for_them():
    program, of = owned(2), "ingress/edge/d/shop"
    one, two = (msgspec.structs.replace(instance(name, f"10.0.0.{name}"), load_balancer=of) for name in "12")
    assert missing_of(program) == []
    assert missing_of(program, InstancesMissing(load_balancer=of)) == [(Severity.ERROR, "0 of 2 instances serve")]
    again = msgspec.structs.replace(one, replica="q")
    assert missing_of(program, one, again) == [(Severity.WARNING, "1 of 2 instances serve")]
    assert missing_of(program, two) == []
    left = InstanceLeaving(load_balancer=of, instance="2")
    assert missing_of(program, left) == [(Severity.WARNING, "1 of 2 instances serve")]
    assert missing_of(program, InstancesMissing(load_balancer=of, lasting=False)) == []


def down_of(program, *events):
    """What the class that wishes for the load balancer is told of its engines, and the addresses of an Ingress."""
    program.receive(events)
    program.settle()
    rows = program.graph.rows(program.program.findings)
    found = [f.for_user for many in rows.values() for f in many if f.reason is Reason.ENGINE_DOWN]
    where = {ref.kind for ref, many in rows.items() if any(f.reason is Reason.ENGINE_DOWN for f in many)}
    return found, where, told(program)


def test_engines_that_ail_are_named_on_the_object_that_wishes_for_their_load_balancer():
    program = Reconciler([IngressController(IngressSettings())], [PROVIDER])
    objects(program, CLASS, INGRESS)
    one, two = instance("a", "10.0.0.1"), instance("b", "10.0.0.2")
    assert down_of(program, one, two) == ([], set(), (("10.0.0.1", "10.0.0.2"), PORTS))
    ailing = msgspec.structs.replace(one, trouble="it has ended")
    words = f"{one.provider} of the instance a does not serve: it has ended"
    assert down_of(program, ailing) == ([words], {"IngressClass"}, (("10.0.0.1", "10.0.0.2"), PORTS))
    again = msgspec.structs.replace(ailing, replica="q", serving=False, addresses=())
    assert down_of(program, again)[0] == [words], "seen twice, named once"
    assert down_of(program, msgspec.structs.replace(again, replica=one.replica)) == ([words], {"IngressClass"}, (("10.0.0.2",), PORTS))
    assert down_of(program, one, msgspec.structs.replace(again, trouble="")) == ([], set(), (("10.0.0.1", "10.0.0.2"), PORTS))


def exposed(how, publish=None):
    """A class whose fleet is reached like this."""
    program = Reconciler([IngressController(IngressSettings(fleets=True))], [PROVIDER])
    of = {"spec": {"fleet": {"exposure": how}, "publish": publish or {}}}
    objects(program, CLASS, INGRESS, yaml.safe_dump({**yaml.safe_load(parameters({})), **of}))
    program.settle()
    return program


NODE_PORTS = FleetService(load_balancer="ingress/edge", exposure="nodePort", ports=(30080, 30443))
GIVEN = FleetService(
    load_balancer="ingress/edge", exposure="loadBalancer", ports=PORTS, addresses=(PublicAddress(ip="198.51.100.7"),)
)


def test_behind_node_ports_the_nodes_with_an_instance_are_shown_with_the_ports_that_were_given():
    program = exposed("nodePort")
    assert told(program, instance("a", "10.0.0.1")) == ((), ())
    assert told(program, NODE_PORTS) == (("10.0.0.1",), (30080, 30443))
    assert told(program, instance("b", "10.0.0.2")) == (("10.0.0.1", "10.0.0.2"), (30080, 30443))
    assert told(program, FleetService(load_balancer="ingress/edge", exposure="nodePort")) == ((), ())


def test_behind_a_load_balancer_what_was_given_to_it_is_shown_once_an_instance_serves():
    program = exposed("loadBalancer")
    assert told(program, GIVEN) == ((), ())
    assert told(program, instance("a", "10.0.0.1")) == (("198.51.100.7",), PORTS)
    without = FleetService(load_balancer="ingress/edge", exposure="loadBalancer", ports=PORTS)
    assert told(program, without) == ((), ())


@pytest.mark.parametrize("how", ["hostNetwork", "hostPort"])
def test_at_ports_of_hosts_no_service_counts(how):
    assert told(exposed(how), instance("a", "10.0.0.1"), NODE_PORTS) == (("10.0.0.1",), PORTS)


def test_a_service_of_another_kind_does_not_count_while_it_changes():
    assert told(exposed("loadBalancer"), instance("a", "10.0.0.1"), NODE_PORTS) == ((), ())


def test_what_the_class_publishes_stands_before_what_a_service_was_given():
    program = exposed("nodePort", {"addresses": ["192.0.2.9"]})
    assert told(program, instance("a", "10.0.0.1"), NODE_PORTS) == (("192.0.2.9",), PORTS)


def test_an_instance_more_runs_nothing_but_statuses():
    program = built()
    program.receive([instance("a", "10.0.0.1")])
    runs = {name for name, count in program.settle().runs.items() if count}
    assert runs == {"instances_by_front", "addresses", "engine_findings", "statuses"}


SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: front, namespace: w}
spec: {type: LoadBalancer, ports: [{port: 8443}]}
status: {loadBalancer: {ingress: [{hostname: lb.example}]}}
"""
FRONT = {"service": {"namespace": "w", "name": "front"}}
FIXED = Published(addresses=(PublicAddress(ip="192.0.2.9"),))


@pytest.mark.parametrize(
    ("publish", "default", "status"),
    [
        ({}, FIXED, (("192.0.2.9",), PORTS)),
        ({"instances": True}, FIXED, (("10.0.0.1",), PORTS)),
        ({"addresses": ["lb.other", "192.0.2.7"]}, FIXED, (("lb.other", "192.0.2.7"), PORTS)),
        (FRONT, FIXED, (("lb.example",), (8443,))),
    ],
)
def test_a_class_chooses_else_the_program(publish, default, status):
    program = built(publish, default, SERVICE)
    assert told(program, instance("a", "10.0.0.1")) == status
    assert program.graph.rows(program.program.findings).get(CLASS_REF) is None


@pytest.mark.parametrize(
    ("publish", "reason"),
    [
        ({"addresses": ["no host"]}, Reason.INVALID_CLASS),
        ({"addresses": ["*.example"]}, Reason.INVALID_CLASS),
        ({"addresses": ["192.0.2.1"], "instances": True}, Reason.INVALID_CLASS),
        ({"service": {"namespace": "w", "name": "gone"}}, Reason.SERVICE_NOT_FOUND),
    ],
)
def test_what_cannot_be_published_is_said_on_the_class(publish, reason):
    program = built(publish)
    assert [finding.reason for finding in program.graph.rows(program.program.findings)[CLASS_REF]] == [reason]


def test_a_status_or_version_alone_is_no_change_of_an_ingress():
    program = built()
    found = program.graph.rows(
        program.program.inputs.of(
            type(msgspec.convert(yaml.safe_load(INGRESS), program.kinds[REF.group, "Ingress"].type))
        )
    )[REF]
    written = msgspec.structs.replace(
        found,
        metadata=VersionedMetadata(name="shop", namespace="d", resource_version="7"),
        status=ObjectStatus(load_balancer=LoadBalancerStatus(ingress=(AddressStatus(ip="10.0.0.1"),))),
    )
    program.receive([Seen(ref=REF, object=written)])
    outcome = program.settle()
    assert outcome.empty
    assert sum(outcome.runs.values()) == 0
