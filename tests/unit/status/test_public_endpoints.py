"""Where Services and workloads are reached, as text for an annotation: hosts, paths and ports of rules, addresses of instances."""

import json

import msgspec
import pytest
import yaml

from weirkeeper.controllers.ingress import IngressController
from weirkeeper.controllers.ingress.settings import IngressSettings
from weirkeeper.feeds.base import Seen, Synced
from weirkeeper.model.address import Published
from weirkeeper.model.ids import Ref
from weirkeeper.model.observation import InstanceObservation
from weirkeeper.providers.memory import PROVIDER
from weirkeeper.reconcile import Reconciler

SHOP = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "shop", "namespace": "d"},
    "spec": {"ports": [{"port": 80}]},
}
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: d}
spec: {selector: {matchLabels: {app: web}}, template: {spec: {containers: [{ports: [{containerPort: 8080}]}]}}}
"""
SERVICE = Ref(kind="Service", namespace="d", name="shop")
WORKLOAD = Ref(group="apps", kind="Deployment", namespace="d", name="web")
TO_SHOP = {"service": {"name": "shop", "port": {"number": 80}}}
TO_WEB = {"resource": {"apiGroup": "apps", "kind": "Deployment", "name": "web"}}


def ingress(name, *paths, host="shop.example", tls=(), annotations=None):
    rule = {"http": {"paths": [{"path": at, "pathType": "Prefix", "backend": to} for at, to in paths]}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": "d", "annotations": annotations or {}},
        "spec": {"rules": [{**rule, **({"host": host} if host else {})}], "tls": list(tls)},
    }


class Program:
    """A program whose public endpoints somebody writes down."""

    def __init__(self, *objects, **settings):
        self.made = Reconciler([IngressController(IngressSettings(**settings))], [PROVIDER])
        self.made.program.declare_public()
        self.made.receive([Synced(feed="test", kinds=("Deployment",))])
        self.changed = self.put(*objects)

    def put(self, *objects, events=()):
        """What changed, by these."""
        for found in (yaml.safe_load(one) if isinstance(one, str) else one for one in objects):
            kind = self.made.kinds[found["apiVersion"].rpartition("/")[0], found["kind"]]
            thing = msgspec.convert(found, kind.type)
            self.made.receive([Seen(ref=thing.ref, object=thing)])
        self.made.receive(events)
        return self.made.settle().public

    def gone(self, *refs):
        return self.put(events=[Seen(ref=ref) for ref in refs])

    def of(self, ref):
        return json.loads(self.made.graph.rows(self.made.program.public).get(ref, "null"))


def instance(name="a", *addresses, serving=True):
    return InstanceObservation(
        load_balancer="ingress/weirkeeper",
        provider="memory",
        instance=name,
        replica="r",
        addresses=addresses,
        serving=serving,
    )


ENDPOINT = {
    "addresses": ["10.0.0.1"], "port": 80, "protocol": "HTTP", "serviceName": "d:shop", "ingressName": "d:i",
    "hostname": "shop.example", "path": "/", "allNodes": False,
}  # fmt: skip


def test_a_service_says_where_it_is_reached_while_an_instance_serves():
    program = Program(SHOP, ingress("i", ("/", TO_SHOP)))
    assert program.changed == {}
    program.put(events=[instance("a", "10.0.0.1")])
    assert program.of(SERVICE) == [ENDPOINT]
    program.put(events=[instance("b", "10.0.0.2")])
    assert program.of(SERVICE) == [{**ENDPOINT, "addresses": ["10.0.0.1", "10.0.0.2"]}]
    assert program.put(events=[instance("a", serving=False), instance("b", serving=False)]) == {SERVICE: None}


def test_a_workload_says_so_without_a_service():
    program = Program(WEB, ingress("i", ("/api", TO_WEB), host=""))
    program.put(events=[instance("a", "10.0.0.1")])
    without = {key: value for key, value in ENDPOINT.items() if key != "serviceName"}
    assert program.of(WORKLOAD) == [{**without, "hostname": "", "path": "/api"}]


def test_every_rule_of_every_ingress_is_listed_once_in_a_fixed_order():
    two = ingress("j", ("/b", TO_SHOP), ("/a", TO_SHOP))
    program = Program(SHOP, two, ingress("i", ("/", TO_SHOP), host="a.example"))
    program.put(events=[instance("a", "10.0.0.1")])
    found = [(one["hostname"], one["path"], one["ingressName"]) for one in program.of(SERVICE)]
    assert found == [("a.example", "/", "d:i"), ("shop.example", "/a", "d:j"), ("shop.example", "/b", "d:j")]


def test_what_leads_nowhere_any_more_is_taken_back_and_other_services_are_left_alone():
    one = ingress("i", ("/", TO_SHOP), ("/api", TO_WEB))
    program = Program(SHOP, WEB, one)
    assert set(program.put(events=[instance("a", "10.0.0.1")])) == {SERVICE, WORKLOAD}
    assert program.put(ingress("i", ("/", TO_SHOP))) == {WORKLOAD: None}
    assert program.gone(Ref(group="networking.k8s.io", kind="Ingress", namespace="d", name="i")) == {SERVICE: None}


@pytest.mark.parametrize(
    ("more", "port", "protocol"),
    [
        ({}, 80, "HTTP"),
        ({"tls": [{"hosts": ["shop.example"], "secretName": "pair"}]}, 443, "HTTPS"),
        ({"tls": [{"hosts": ["*.example"], "secretName": "pair"}]}, 443, "HTTPS"),
        ({"tls": [{"hosts": ["other.example"], "secretName": "pair"}]}, 80, "HTTP"),
        ({"annotations": {"nginx.ingress.kubernetes.io/force-ssl-redirect": "true"}}, 443, "HTTPS"),
    ],
)
def test_hosts_with_tls_are_reached_over_it(more, port, protocol):
    program = Program(SHOP, ingress("i", ("/", TO_SHOP), **more))
    program.put(events=[instance("a", "10.0.0.1")])
    assert [(one["port"], one["protocol"]) for one in program.of(SERVICE)] == [(port, protocol)]


def test_ports_are_those_of_the_listeners_or_of_the_service_in_front():
    program = Program(SHOP, ingress("i", ("/", TO_SHOP)), http_port=8080)
    program.put(events=[instance("a", "10.0.0.1")])
    assert [one["port"] for one in program.of(SERVICE)] == [8080]
    front = {"type": "LoadBalancer", "ports": [{"port": 80}, {"port": 443}]}
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    edge = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "edge", "namespace": "w"}, "spec": front}
    published = Published(service=Ref(kind="Service", namespace="w", name="edge"))
    behind = Program(
        SHOP, {**edge, "status": status}, ingress("i", ("/", TO_SHOP)), http_port=8080, published=published
    )
    behind.put(events=[instance("a", "10.0.0.1")])
    assert [(one["addresses"], one["port"]) for one in behind.of(SERVICE)] == [(["192.0.2.1"], 80)]
    none = Program(SHOP, ingress("i", ("/", TO_SHOP)), http_port=0)
    assert none.put(events=[instance("a", "10.0.0.1")]) == {}


def test_a_thousand_rules_make_no_annotation_that_is_too_large():
    program = Program(SHOP, ingress("i", *((f"/{n}", TO_SHOP) for n in range(1000))))
    program.put(events=[instance("a", "10.0.0.1")])
    assert len(program.of(SERVICE)) == 100
