"""The control plane is stopped, killed, or asked by a stranger; clients notice nothing of it."""

import os
import signal

import lab
import pytest
from commands import Kubectl
from installs import until, until_answered
from samples import echo, ingress, service
from serving import under_load

pytestmark = [pytest.mark.cluster, pytest.mark.engine]

RESTARTED = 90.0
"""Seconds; three probes that nobody answers and a start, and as much again for a machine that runs other tests."""
AWAY = 10.0


@pytest.fixture
def shop(external, kubectl):
    """A host that is served."""
    external.rolled_out()
    kubectl.apply(echo("shop"), service("shop"), ingress("shop", external.of_class, host_of(kubectl), "shop"))
    kubectl.must("rollout", "status", "deployment/shop", "--timeout=150s")
    for address in external.addresses:
        until_answered(address, f"http://{host_of(kubectl)}/", "shop")
    return kubectl


def restarts(install):
    """How often each replica's container was restarted."""
    return {
        pod["metadata"]["name"]: sum(one["restartCount"] for one in pod["status"].get("containerStatuses", ()))
        for pod in install.control_plane()
    }


def host_of(kubectl, name="steady"):
    """A host that no other test has."""
    return f"{name}.{kubectl.namespace}.example"


def follows_a_change(install, kubectl, name):
    """A new host is served everywhere."""
    host = host_of(kubectl, name)
    kubectl.apply(ingress(name, install.of_class, host, "shop"))
    for address in install.addresses:
        until_answered(address, f"http://{host}/", "shop")


def test_a_stopped_control_plane_is_restarted_and_no_request_fails(external, shop):
    before = restarts(external)
    with under_load(external.addresses, host_of(shop)) as served:
        for pod in before:
            for process in lab.processes_of(pod):
                os.kill(process, signal.SIGSTOP)
        until(
            lambda: all(restarts(external).get(pod, 0) > count for pod, count in before.items()),
            "both restarted",
            RESTARTED,
        )
        external.rolled_out()
        follows_a_change(external, shop, "after-stop")
        served.stop()
    assert served.count > 500
    assert served.failures("shop") == []


def test_a_killed_control_plane_costs_no_request(external, shop):
    with under_load(external.addresses, host_of(shop)) as served:
        for number in range(3):
            for pod in restarts(external):
                for process in lab.processes_of(pod):
                    os.kill(process, signal.SIGKILL)
            follows_a_change(external, shop, f"after-kill-{number}")
        served.stop()
    assert served.failures("shop") == []


def test_a_roll_out_costs_no_request(external, shop):
    with under_load(external.addresses, host_of(shop)) as served:
        external.kubectl.must("rollout", "restart", f"deployment/{external.name}")
        external.rolled_out()
        follows_a_change(external, shop, "after-roll-out")
        served.stop()
    assert served.failures("shop") == []


def test_without_an_api_server_all_goes_on_and_changes_follow_when_it_is_back(external, shop):
    before = restarts(external)
    with under_load(external.addresses, host_of(shop)) as served:
        with lab.api_server_stopped():
            until(lambda: served.lasted > AWAY, "the API server has been away for long enough", 2 * AWAY)
        until(lambda: Kubectl()("get", "--raw", "/readyz").code == 0, "the API server answers")
        follows_a_change(external, shop, "after-absence")
        served.stop()
    assert served.failures("shop") == []
    assert restarts(external) == before
