"""Backends beyond Services' pods: workloads without a Service, node ports, and public endpoints on what is behind a rule."""

import json

import pytest
from installs import Install, events_of, until, until_answered, until_status
from samples import PORT, echo, ingress, service

pytestmark = [pytest.mark.cluster, pytest.mark.engine]

HTTP = 8089
KEY = "weirkeeper.io/public-endpoints"
STARTED = 90.0


@pytest.fixture(scope="session")
def install(nodes):
    """An install with the components for backends, which starts one Envoy itself."""
    one = Install("backends", "backends-weirkeeper", "backends")
    one.apply([])
    return one


@pytest.fixture
def edge(install):
    """The address at which it answers."""
    until(lambda: hosts(install), "the instance has a host", STARTED)
    (address,) = hosts(install)
    return address


def hosts(install):
    """The addresses of the hosts with an instance."""
    pods = install.instances.items("pods", "-l", f"weirkeeper.io/install={install.name}")
    return [pod["status"]["hostIP"] for pod in pods if pod["status"].get("hostIP")]


def beside(install, body):
    """The workload, on the host of the instance. The lab's pods are neighbours of every node: led there by another host's port, they would answer past it."""
    (pod,) = install.instances.items("pods", "-l", f"weirkeeper.io/install={install.name}")
    body["spec"]["template"]["spec"]["nodeName"] = pod["spec"]["nodeName"]
    return body


def of_kind(kind, name):
    """A workload of this kind whose pods answer with its name, and name their port."""
    body = echo(name)
    body["kind"] = kind
    body["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"name": "http", "containerPort": PORT}]
    if kind == "StatefulSet":
        body["spec"]["serviceName"] = name
    if kind == "DaemonSet":
        del body["spec"]["replicas"]
    return body


def straight(kind, name, host):
    """An Ingress that leads straight to a workload."""
    body = ingress(name, "backends-weirkeeper", host, "none")
    resource = {"apiGroup": "apps", "kind": kind, "name": name}
    body["spec"]["rules"][0]["http"]["paths"][0]["backend"] = {"resource": resource}
    return body


def host_of(kubectl, name):
    """A host that no other test has."""
    return f"{name}.{kubectl.namespace}.example"


def marked(kubectl, kind, name):
    """The hosts that an object says it is reached at."""
    found = kubectl.read(kind, name)["metadata"].get("annotations", {}).get(KEY)
    return None if found is None else [(one["addresses"], one["port"], one["hostname"]) for one in json.loads(found)]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_a_workload_answers_without_a_service_and_says_where(edge, kubectl, kind):
    host = host_of(kubectl, "web")
    kubectl.apply(of_kind(kind, "web"), straight(kind, "web", host))
    until_answered(edge, f"http://{host}:{HTTP}/", "web")
    assert kubectl.items("services") == []
    until(lambda: marked(kubectl, kind, "web") == [([edge], HTTP, host)], "the workload says where", STARTED)
    kubectl.must("delete", "ingress", "web")
    until(lambda: marked(kubectl, kind, "web") is None, "the public endpoint is taken back")


def test_a_workload_that_is_missing_is_answered_503_and_told_of_until_it_is_there(edge, kubectl):
    host = host_of(kubectl, "web")
    kubectl.apply(straight("Deployment", "web", host))
    until_status(edge, f"http://{host}:{HTTP}/", 503)
    until(lambda: "WorkloadNotFound" in events_of(kubectl, "web"), "an event says so")
    kubectl.apply(of_kind("Deployment", "web"))
    until_answered(edge, f"http://{host}:{HTTP}/", "web")


def test_a_service_says_where_it_is_reached(edge, kubectl):
    host = host_of(kubectl, "shop")
    kubectl.apply(echo("shop"), service("shop"), ingress("shop", "backends-weirkeeper", host, "shop"))
    until_answered(edge, f"http://{host}:{HTTP}/", "shop")
    until(lambda: marked(kubectl, "service", "shop") == [([edge], HTTP, host)], "the Service says where", STARTED)


def test_node_ports_answer_and_a_service_without_one_is_told_of(install, edge, kubectl):
    hosts = {name: host_of(kubectl, name) for name in ("open", "local", "closed")}
    kubectl.apply(
        *(echo(name) for name in hosts if name != "local"),
        beside(install, echo("local")),
        node_port("open"),
        node_port("local", externalTrafficPolicy="Local"),
        service("closed"),
        *(ingress(name, "backends-weirkeeper", host, name) for name, host in hosts.items()),
    )
    for name, host in hosts.items():
        until_answered(edge, f"http://{host}:{HTTP}/", name)
    with_mode(install, "nodePort")
    try:
        until_status(edge, f"http://{hosts['closed']}:{HTTP}/", 503)
        until(lambda: "ModeCannotServe" in events_of(kubectl, "closed"), "an event says so")
        for name in ("open", "local"):
            until_answered(edge, f"http://{hosts[name]}:{HTTP}/", name)
    finally:
        with_mode(install, "pods")
    until_answered(edge, f"http://{hosts['closed']}:{HTTP}/", "closed")


def node_port(name, **more):
    """A Service of type NodePort."""
    body = service(name)
    body["spec"] |= {"type": "NodePort", **more}
    return body


def with_mode(install, mode):
    """Where the class sends requests from now on."""
    patch = json.dumps({"spec": {"endpointMode": mode}})
    install.kubectl.must("patch", "loadbalancerclassparameters", install.name, "--type=merge", "-p", patch)
