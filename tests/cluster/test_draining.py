"""Fewer instances than before: the one that goes gives its address back, drains, and nobody who goes where the status says loses a request, on kept connections either."""

import os

import pytest
from following import following
from installs import Install, ready, shown, until, until_answered
from lab import log_of
from samples import echo, ingress, service

pytestmark = [pytest.mark.cluster, pytest.mark.engine]

PORT = 8088
INSTANCES = "fleet-weirkeeper-envoys"
OURS = "weirkeeper.io/install=fleet-weirkeeper"
LEAST = 1_000
STARTED, ENDED = 120.0, 120.0


@pytest.fixture(scope="session")
def starter(nodes):
    """An install that starts instances."""
    install = Install("fleet", "fleet-weirkeeper", "fleet")
    install.apply([])
    return install


def pods(starter):
    """The instances, those that go included."""
    return starter.instances.items("pods", "-l", OURS)


def going(starter):
    """Those that were told to go."""
    return [pod for pod in pods(starter) if pod["metadata"].get("deletionTimestamp")]


def scaled(kubectl, scale):
    """The Ingress, with so many instances of its own."""
    one = ingress("shop", "fleet-weirkeeper", f"{kubectl.namespace}.example", "shop")
    return {**one, "metadata": {**one["metadata"], "annotations": {"scale": str(scale)}}}


def said(instances):
    """What each instance and its sidecar wrote at last, for whoever looks at a failure."""
    if "WEIR_TEST_LAB" not in os.environ:
        return ""
    return "".join(
        f"{name} {container}: {log_of(INSTANCES, name, container)[-1_000:]}\n" for name in instances for container in ("envoy", "sidecar")
    )


def test_scaling_down_fails_no_request_of_a_client_that_follows_the_status(starter, kubectl, tmp_path):
    host = f"{kubectl.namespace}.example"
    kubectl.apply(echo("shop"), service("shop"), scaled(kubectl, 2))
    until(lambda: len(shown(kubectl, "shop")) == 2, "two addresses", STARTED)
    until(lambda: [ready(pod) for pod in pods(starter)] == [True, True], "both are ready", STARTED)
    for address in shown(kubectl, "shop"):
        until_answered(address, f"http://{host}:{PORT}/", "shop")
    instances = [pod["metadata"]["name"] for pod in pods(starter)]
    with following(kubectl, "shop", host, tmp_path, least=LEAST, port=PORT) as clients:
        kubectl.apply(scaled(kubectl, 1))
        until(lambda: len(shown(kubectl, "shop")) == 1, "one address is left", STARTED)
        assert len(going(starter)) == 1, "its address goes while the instance serves"
        until(lambda: len(pods(starter)) == 1, "the other instance has ended", ENDED)
        clients.stop()
    print(clients.told())
    assert clients.failures("shop") == {}, said(instances)
    assert all(len(result.records) >= LEAST for result in clients.results.values())
    kubectl.must("delete", "ingress", "shop")
    until(lambda: pods(starter) == [], "nothing is left of the fleet", ENDED)
