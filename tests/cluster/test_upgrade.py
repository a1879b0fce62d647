"""Everything is replaced while it serves: no request fails, of clients that go where statuses send them. `WEIR_TEST_REQUESTS` says of how many."""

import os

import lab
import pytest
from following import following
from installs import until, until_answered, until_shown
from samples import echo, ingress, service, tls

from weirkeeper.testing.certificates import Authority

pytestmark = [pytest.mark.cluster, pytest.mark.engine]

REQUESTS = int(os.environ.get("WEIR_TEST_REQUESTS", "20000"))
ROUNDS = max(1, REQUESTS // 20_000)
KINDS = 3


@pytest.fixture
def shop(external, kubectl):
    """A host that is served with and without TLS; the namespace's name is in it."""
    host = host_of(kubectl)
    plain = ingress("shop", external.of_class, host, "shop", "pair", ssl_redirect="false")
    kubectl.apply(echo("shop", 2), service("shop"), tls("pair", Authority().issue(host)), plain)
    kubectl.must("rollout", "status", "deployment/shop", "--timeout=150s")
    until_shown(kubectl, "shop", external.addresses)
    for address in external.addresses:
        for scheme in ("http", "https"):
            until_answered(address, f"{scheme}://{host}/", "shop")
    return kubectl


def host_of(kubectl):
    """A host that no other test has."""
    return f"{kubectl.namespace}.example"


def replace_all(install):
    """Roll every pod of it, control plane and Envoys at once."""
    before = pods(install)
    install.kubectl.must("rollout", "restart", f"deployment/{install.name}")
    install.instances.must("rollout", "restart", f"daemonset/{install.name}-envoy")
    install.rolled_out()
    until(lambda: not before & pods(install), "no pod of before is left", 120)


def pods(install):
    """The pods of an install, by their uid."""
    return {pod["metadata"]["uid"] for one in (install.kubectl, install.instances) for pod in one.items("pods")}


def test_all_of_an_install_is_replaced_and_no_request_fails(external, shop, tmp_path):
    everything = external.addresses
    with following(shop, "shop", host_of(shop), tmp_path, least=REQUESTS // KINDS, secure=443) as clients:
        for _ in range(ROUNDS):
            replace_all(external)
        clients.stop()
    until_shown(shop, "shop", everything)
    print(clients.told())
    assert clients.failures("shop") == {}
    assert clients.count >= REQUESTS - KINDS
    assert {len(addresses) for addresses in clients.followed.seen} == {1, 2}, "each Envoy's address was away while it was replaced, and never both"


def images(install):
    """The images of all containers, by workload and container."""
    found = {}
    for kubectl, what in ((install.kubectl, f"deployment/{install.name}"), (install.instances, f"daemonset/{install.name}-envoy")):
        spec = kubectl.read(what)["spec"]["template"]["spec"]
        found[kubectl, what] = {one["name"]: one["image"] for one in (*spec.get("initContainers", ()), *spec["containers"])}
    return found


def run_with(install, wished):
    """Roll out other images."""
    before = pods(install)
    for (kubectl, what), each in wished.items():
        kubectl.must("set", "image", what, *(f"{name}={image}" for name, image in each.items()))
    install.rolled_out()
    until(lambda: not before & pods(install), "no pod of before is left", 120)


def before_this(each):
    """The same containers with the version before, of Envoy too (`run` says which those are)."""
    return {name: "previous-envoy:1" if name == "envoy" else "previous-weir:1" for name in each}


def test_from_the_version_before_to_this_one_and_back_no_request_fails(external, shop, tmp_path):
    lab.home()
    everything, this = external.addresses, images(external)
    previous = {where: before_this(each) for where, each in this.items()}
    try:
        run_with(external, previous)
        until_shown(shop, "shop", everything)
        with following(shop, "shop", host_of(shop), tmp_path, least=REQUESTS // KINDS, secure=443) as clients:
            for wished in (this, previous) * ROUNDS:
                run_with(external, wished)
                until_shown(shop, "shop", everything)
            clients.stop()
    finally:
        run_with(external, this)
    print(clients.told())
    assert clients.failures("shop") == {}
    assert clients.count >= REQUESTS - KINDS
