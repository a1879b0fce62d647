"""An Ingress with a load balancer of its own: so many instances on separate hosts, their addresses in its status, and nothing left when it goes."""

import time

import lab
import pytest
from commands import Kubectl
from installs import Install, events_of, shown, until, until_answered
from samples import echo, ingress, service

from weirkeeper.testing.client import Target
from weirkeeper.testing.load import Ask, Mix, Plan, load

pytestmark = [pytest.mark.cluster, pytest.mark.engine]

PORT = 8088
OURS = "weirkeeper.io/install=fleet-weirkeeper"
STARTED = 60.0


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
    kubectl.must("rollout", "status", "deployment/shop", "--timeout=60s")
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
    found = starter.kubectl.items("pods", "-l", OURS)
    return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]


def hosts(starter):
    """The addresses of the hosts with an instance."""
    return sorted(pod["status"]["hostIP"] for pod in pods(starter) if pod["status"].get("hostIP"))


def left(starter):
    """Everything that belongs to a fleet."""
    found = starter.kubectl.items("deployments,daemonsets,services,serviceaccounts,pods", "-l", OURS)
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


def test_scaling_down_fails_no_request_of_a_client_that_follows_the_status(starter, shop):
    """Requests to both addresses, to each for as long as the status shows it."""
    shop.apply(wished(shop, 2))
    until_served(starter, shop, 2)
    host = host_of(shop)
    running = {address: load(plan(address, host)) for address in shown(shop, "shop")}
    with running.popitem()[1] as first, running.popitem()[1] as second:
        loads = {one.plan.target.address: one for one in (first, second)}
        shop.apply(wished(shop, 1))
        until(lambda: len(shown(shop, "shop")) == 1, "one address is left", STARTED)
        (stays,) = shown(shop, "shop")
        (goes,) = loads.keys() - {stays}
        left_then = loads[goes].stop()
        until(lambda: len(starter.kubectl.items("pods", "-l", OURS)) == 1, "the other instance has ended", STARTED)
        stayed = loads[stays].stop()
    for result in (left_then, stayed):
        assert len(result.records) >= 200
        assert result.failures(lambda r: (r.status, r.answer) == (200, "shop")) == []


def plan(address, host):
    """Requests on new connections."""
    target = Target(address=address, port=PORT)
    ask = Ask(name=host, host=host)
    return Plan(target=target, asks=(ask,), mix=Mix.NEW_CONNECTION, connections=2, rate=50.0, seconds=120.0, least=200)


def test_an_instance_on_a_lost_node_starts_elsewhere_and_its_address_moves(starter, shop):
    shop.apply(echo("shop", replicas=3), wished(shop, 2))
    until_served(starter, shop, 2)
    lost = shown(shop, "shop")[0]
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
    shop.must("wait", "--for=condition=Ready", f"node/{node}", "--timeout=60s")
    for pod in shop.items("pods", "-A", "--field-selector", f"spec.nodeName={node}"):  # the lab does not call them ready again
        Kubectl(pod["metadata"]["namespace"])("delete", "pod", pod["metadata"]["name"], "--wait=false")
    until(lambda: ready(starter) == 2, "the node runs pods again", 2 * STARTED)
    assert gone < 2 * STARTED / 3
    assert moved < STARTED


def node_at(kubectl, address):
    """The node of this address."""
    for node in kubectl.items("nodes"):
        if any(one["address"] == address for one in node["status"]["addresses"]):
            return node["metadata"]["name"]
    raise AssertionError(f"no node has the address {address}")


def ready(starter):
    """How many replicas of the control plane are ready."""
    return starter.kubectl.read("deployment", starter.name)["status"].get("readyReplicas", 0)


def test_more_than_there_are_hosts_is_told_and_the_hosts_that_are_there_serve(starter, shop, nodes):
    shop.apply(wished(shop, len(nodes) + 1, "weirkeeper.io/scale"))
    until(lambda: "each on a host of its own" in events_of(shop, "shop"), "an event that says how many hosts there are")
    until(lambda: len(shown(shop, "shop")) == len(nodes), "an address of each host", STARTED)


def test_what_went_while_nobody_led_leaves_nothing(starter, shop):
    shop.apply(wished(shop, 1))
    until_served(starter, shop, 1)
    plane = f"deployment/{starter.name}"
    starter.kubectl.must("scale", plane, "--replicas=0")
    until(lambda: starter.control_plane() == [], "no control plane runs", STARTED)
    shop.must("delete", "ingress", "shop")
    assert left(starter) != []
    starter.kubectl.must("scale", plane, "--replicas=2")
    until(lambda: left(starter) == [], "nothing is left of the fleet", STARTED)
