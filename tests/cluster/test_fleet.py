"""An Ingress with a load balancer of its own: so many instances on separate hosts, their addresses in its status, and nothing left when it goes."""

import contextlib
import json
import time

import lab
import pytest
from commands import Kubectl
from installs import Install, events_of, reached, shown, until, until_answered
from samples import echo, ingress, service

from weirkeeper.testing.client import get

pytestmark = [pytest.mark.cluster, pytest.mark.engine]

PORT = 8088
OURS = "weirkeeper.io/install=fleet-weirkeeper"
MARK = "weirkeeper.io/digest"
STARTED = 90.0


@pytest.fixture(scope="session")
def starter(nodes):
    """An install that starts instances."""
    install = Install("fleet", "fleet-weirkeeper", "fleet")
    install.apply([])
    return install


@pytest.fixture
def shop(starter, kubectl):
    """A backend that is ready."""
    kubectl.apply(echo("shop"), service("shop"))
    kubectl.must("rollout", "status", "deployment/shop", "--timeout=150s")
    yield kubectl
    kubectl("delete", "ingress", "--all", "--wait=true")
    until(lambda: left(starter) == [], "nothing is left of the fleets", STARTED)


def wished(kubectl, scale, key="scale"):
    """The Ingress, with a load balancer of its own."""
    one = ingress("shop", "fleet-weirkeeper", host_of(kubectl), "shop")
    one["metadata"]["annotations"] = {key: str(scale)}
    return one


def host_of(kubectl):
    """A host that no other test has."""
    return f"{kubectl.namespace}.example"


def pods(starter):
    """The instances that run."""
    found = starter.instances.items("pods", "-l", OURS)
    return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]


def hosts(starter):
    """The addresses of the hosts with an instance."""
    return sorted(pod["status"]["hostIP"] for pod in pods(starter) if pod["status"].get("hostIP"))


def left(starter):
    """Everything that belongs to a fleet."""
    found = starter.instances.items("deployments,daemonsets,services,serviceaccounts,pods", "-l", OURS)
    return [f"{one['kind']} {one['metadata']['name']}" for one in found]


def until_served(starter, kubectl, count):
    """Wait until the status shows the addresses of so many hosts, and each answers."""
    until(
        lambda: len(shown(kubectl, "shop")) == count and shown(kubectl, "shop") == hosts(starter),
        f"{count} addresses, each of a host with an instance",
        STARTED,
    )
    addresses = shown(kubectl, "shop")
    assert len(set(addresses)) == count
    for address in addresses:
        until_answered(address, f"http://{host_of(kubectl)}:{PORT}/", "shop")


def test_two_instances_on_two_hosts_then_one_then_none(starter, shop):
    shop.apply(wished(shop, 2))
    until_served(starter, shop, 2)
    shop.apply(wished(shop, 1))
    until_served(starter, shop, 1)
    shop.must("delete", "ingress", "shop")
    until(lambda: left(starter) == [], "nothing is left of the fleet", STARTED)


def test_an_instance_on_a_lost_node_starts_elsewhere_and_its_address_moves(starter, shop):
    with cordoned(shop, min(with_replicas(starter))):  # so one of the two is where no replica is
        shop.apply(echo("shop", replicas=3), wished(shop, 2))
        until_served(starter, shop, 2)
    lost = next(one for one in shown(shop, "shop") if node_at(shop, one) not in with_replicas(starter))
    node = node_at(shop, lost)
    with lab.node_cut_off(node):
        began = time.monotonic()
        until(lambda: lost not in shown(shop, "shop"), "the lost address is gone", STARTED)
        gone = time.monotonic() - began
        until(lambda: len(shown(shop, "shop")) == 2, "an address of another host came", 2 * STARTED)
        moved = time.monotonic() - began
        for address in shown(shop, "shop"):
            until_answered(address, f"http://{host_of(shop)}:{PORT}/", "shop")
    print(f"address gone after {gone:.1f} s, another one there after {moved:.1f} s")
    shop.must("wait", "--for=condition=Ready", f"node/{node}", "--timeout=150s")
    for pod in shop.items(
        "pods", "-A", "--field-selector", f"spec.nodeName={node}"
    ):  # the lab does not call them ready again
        Kubectl(pod["metadata"]["namespace"])("delete", "pod", pod["metadata"]["name"], "--wait=false")
    until(lambda: ready(starter) == 2, "the node runs pods again", 2 * STARTED)


@contextlib.contextmanager
def cordoned(kubectl, node):
    """No new pod is put on a node while this lasts."""
    kubectl.must("cordon", node)
    try:
        yield
    finally:
        kubectl.must("uncordon", node)


def with_replicas(starter):
    """The nodes with a replica of the control plane: what only that one saw is believed for longer when it is lost too."""
    return {pod["spec"]["nodeName"] for pod in starter.control_plane()}


def node_at(kubectl, address):
    """The node of this address."""
    for node in kubectl.items("nodes"):
        if any(one["address"] == address for one in node["status"]["addresses"]):
            return node["metadata"]["name"]
    raise AssertionError(f"no node has the address {address}")


def ready(starter):
    """How many replicas of the control plane are ready."""
    return starter.kubectl.read("deployment", starter.name)["status"].get("readyReplicas", 0)


def test_behind_node_ports_the_status_lists_exactly_the_labelled_nodes(starter, shop, nodes, labelled):
    """Two nodes, then a third; each answers at the node port, a node without an instance does not, and backends see the client itself."""
    of_class, label = labelled
    fleet = {"mode": "daemonset", "exposure": "nodePort", "nodeSelector": {label: "true"}}
    shop.apply(*class_with(of_class, fleet), ingress("shop", of_class, host_of(shop), "shop"))
    with lab.client_from_outside() as client:
        for count in (2, 3):
            for node in nodes[:count]:
                shop.must("label", "--overwrite", "node", node, f"{label}=true")
            until(lambda: len(shown(shop, "shop")) == count, f"{count} addresses", STARTED)
            assert shown(shop, "shop") == sorted(address_of(shop, node) for node in nodes[:count])
            url = f"http://{host_of(shop)}:{port_shown(shop)}/"
            for address in shown(shop, "shop"):
                answer = until_answered(address, url, "shop", source=client)
                assert answer.echo.header("x-forwarded-for") == client
            if count == 2:
                assert reached(address_of(shop, nodes[2]), url, source=client, limit=2.0) is None


def test_behind_a_load_balancer_the_status_lists_what_was_given_to_its_service(starter, shop, labelled):
    """The lab has no cloud: what one would write is written here."""
    of_class, _ = labelled
    shop.apply(*class_with(of_class, {"exposure": "loadBalancer"}), ingress("shop", of_class, host_of(shop), "shop"))
    until(lambda: starter.instances.items("services", "-l", OURS), "a Service of the fleet", STARTED)
    (front,) = starter.instances.items("services", "-l", OURS)
    given = {"status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.77"}]}}}
    name = front["metadata"]["name"]
    starter.instances.must("patch", "service", name, "--subresource=status", "--type=merge", "-p", json.dumps(given))
    until(lambda: shown(shop, "shop") == ["198.51.100.77"], "the address that was given", STARTED)
    assert port_shown(shop) == 80
    shop.must(
        "patch", "loadbalancerclassparameters", of_class, "--type=merge", "-p", '{"spec": {"ports": {"http": 8081}}}'
    )
    until(lambda: port_shown(shop) == 8081, "the port that was changed", STARTED)
    (front,) = starter.instances.items("services", "-l", OURS)
    assert [entry["ip"] for entry in front["status"]["loadBalancer"]["ingress"]] == ["198.51.100.77"]


@pytest.fixture
def labelled(shop, nodes):
    """A class of this test's own, and a label of nodes."""
    of_class = f"np-{shop.namespace}"
    label = f"weirkeeper.io/{of_class}"
    yield of_class, label
    for kind in ("ingressclass", "loadbalancerclassparameters"):
        shop("delete", kind, of_class)
    for node in nodes:
        shop("label", "node", node, f"{label}-")


def class_with(name, fleet):
    """A class of the install with these instances."""
    reference = {"apiGroup": "weirkeeper.io", "kind": "LoadBalancerClassParameters", "name": name}
    spec = {"controller": "weirkeeper.io/fleet", "parameters": reference}
    chosen = {"ports": {"http": 80, "https": 0}, "fleet": fleet}
    return (
        {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": name}, "spec": spec},
        {"apiVersion": "weirkeeper.io/v1alpha1", "kind": reference["kind"], "metadata": {"name": name}, "spec": chosen},
    )


def address_of(kubectl, node):
    """The address of a node."""
    found = kubectl.read("node", node)["status"]["addresses"]
    return next(one["address"] for one in found if one["type"] == "InternalIP")


def port_shown(kubectl):
    """The port that the status says, the same for every address; 0 while it shows none, or several."""
    entries = kubectl.read("ingress", "shop")["status"]["loadBalancer"].get("ingress", ())
    found = {port["port"] for entry in entries for port in entry["ports"]} or {0}
    return found.pop() if len(found) == 1 else 0


def test_more_than_there_are_hosts_is_told_and_the_hosts_that_are_there_serve(starter, shop, nodes):
    shop.apply(wished(shop, len(nodes) + 1, "weirkeeper.io/scale"))
    until(lambda: "each on a host of its own" in events_of(shop, "shop"), "an event that says how many hosts there are")
    until(lambda: len(shown(shop, "shop")) == len(nodes), "an address of each host", STARTED)
    lacking = f"{len(nodes)} of {len(nodes) + 1} instances serve"
    until(lambda: lacking in events_of(shop, "shop"), "an event that says that one lacks", 2 * STARTED)
    until(lambda: any("[!] instances" in told for told in health(starter, "readyz")), "the health page says so")
    until(lambda: any("weirkeeper_instances_missing 1\n" in told for told in health(starter, "metrics")), "a number says so")


def health(starter, page):
    """What each replica of the control plane says of its health; it answers well."""
    answers = [get(f"http://{pod['status']['podIP']}:8080/{page}") for pod in starter.control_plane()]
    assert {answer.status for answer in answers} == {200}
    return [answer.text for answer in answers]


def test_what_went_while_nobody_led_leaves_nothing(starter, shop):
    shop.apply(wished(shop, 1))
    until_served(starter, shop, 1)
    with nobody_leading(starter):
        shop.must("delete", "ingress", "shop")
        assert left(starter) != []
    until(lambda: left(starter) == [], "nothing is left of the fleet", STARTED)


def test_one_for_each_ingress_follows_it_also_while_nobody_leads(starter, shop, labelled):
    """Twenty are made and twenty removed, half of them while no control plane runs. No node takes an instance: it is the objects that count."""
    of_class, label = labelled
    fleet = {"granularity": "ingress", "exposure": "nodePort", "nodeSelector": {label: "never"}}
    shop.apply(*class_with(of_class, fleet))
    many = [ingress(f"shop-{number}", of_class, f"{number}.{host_of(shop)}", "shop") for number in range(20)]
    names = [one["metadata"]["name"] for one in many]
    shop.apply(*many[:10])
    until(lambda: fleets(starter) == expected(shop, of_class, names[:10]), "one for each of ten", STARTED)
    with nobody_leading(starter):
        shop.apply(*many[10:])
        shop.must("delete", "ingress", *names[:5])
        assert fleets(starter) == expected(shop, of_class, names[:10])
    until(lambda: fleets(starter) == expected(shop, of_class, names[5:]), "one for each of fifteen", STARTED)
    with nobody_leading(starter):
        shop.must("delete", "ingress", *names[5:10])
    until(lambda: fleets(starter) == expected(shop, of_class, names[10:]), "one for each of ten", STARTED)
    shop.must("delete", "ingress", *names[10:])
    until(lambda: left(starter) == [], "no orphan", STARTED)


@contextlib.contextmanager
def nobody_leading(starter):
    """No control plane runs while this lasts."""
    plane = f"deployment/{starter.name}"
    starter.kubectl.must("scale", plane, "--replicas=0")
    until(lambda: starter.control_plane() == [], "no control plane runs", STARTED)
    yield
    starter.kubectl.must("scale", plane, "--replicas=2")


def fleets(starter):
    """Every object of a fleet but pods, and of which load balancer it is."""
    found = starter.instances.items("deployments,services,serviceaccounts", "-l", OURS)
    return sorted((one["kind"], one["metadata"]["annotations"]["weirkeeper.io/load-balancer-id"]) for one in found)


def expected(kubectl, of_class, names):
    """What there is of a load balancer for each of these Ingresses."""
    kinds = ("Deployment", "Service", "ServiceAccount")
    return sorted((kind, f"ingress/{of_class}/{kubectl.namespace}/{name}") for kind in kinds for name in names)


def test_what_somebody_changed_in_an_object_is_set_right_whatever_its_kind(starter, shop, labelled):
    """No node takes an instance: it is the objects that count."""
    of_class, label = labelled
    fleet = {"mode": "daemonset", "exposure": "nodePort", "nodeSelector": {label: "never"}}
    shop.apply(*class_with(of_class, fleet), ingress("shop", of_class, host_of(shop), "shop"))
    until(
        lambda: marks_of(starter).keys() == {"DaemonSet", "Service", "ServiceAccount"}, "a fleet on every host", STARTED
    )
    starter.instances.must("annotate", "daemonsets,services,serviceaccounts", "-l", OURS, "--overwrite", f"{MARK}=0")
    until(lambda: marks_of(starter) and "0" not in marks_of(starter).values(), "each is written anew", STARTED)
    shop.apply(*class_with(of_class, {**fleet, "mode": "deployment"}))
    until(
        lambda: marks_of(starter).keys() == {"Deployment", "Service", "ServiceAccount"},
        "another kind of fleet",
        STARTED,
    )


def marks_of(starter):
    """By which the control plane knows what it wrote, by kind."""
    found = starter.instances.items("deployments,daemonsets,services,serviceaccounts", "-l", OURS)
    return {one["kind"]: one["metadata"]["annotations"].get(MARK) for one in found}
