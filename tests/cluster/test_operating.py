"""What somebody who runs an install does to it: another log level, other addresses in statuses, a new authority."""

import contextlib
import json

import lab
import pytest
from installs import until, until_answered, until_shown
from samples import echo, ingress, service
from serving import under_load

pytestmark = [pytest.mark.cluster, pytest.mark.engine]


@pytest.fixture
def shop(external, kubectl):
    """A host that is served; the namespace's name is in it."""
    kubectl.apply(echo("shop"), service("shop"), ingress("shop", external.of_class, host_of(kubectl), "shop"))
    kubectl.must("rollout", "status", "deployment/shop", "--timeout=150s")
    for address in external.addresses:
        until_answered(address, f"http://{host_of(kubectl)}/", "shop")
    return kubectl


def host_of(kubectl):
    """A host that no other test has."""
    return f"{kubectl.namespace}.example"


@contextlib.contextmanager
def settings(install, text):
    """The install's settings file, until the block ends."""
    name = f"configmap/{install.name}-settings"
    before = install.kubectl.read(name)["data"]
    install.kubectl.must("patch", name, "--type=merge", "-p", json.dumps({"data": {"settings.yaml": text}}))
    try:
        yield
    finally:
        install.kubectl.must("patch", name, "--type=merge", "-p", json.dumps({"data": before}))


def restarted(install):
    """Restart the control plane as its documentation says."""
    install.kubectl.must("rollout", "restart", f"deployment/{install.name}")
    install.rolled_out()


def told(install, words):
    """Whether every replica has logged these words."""
    pods = [pod["metadata"]["name"] for pod in install.control_plane() if "deletionTimestamp" not in pod["metadata"]]
    return bool(pods) and all(words in lab.log_of(install.kubectl.namespace, pod, "weir") for pod in pods)


def test_the_log_level_is_followed(external):
    restarted(external)
    with settings(external, "logLevel: debug\n"):
        until(lambda: told(external, '"log level changed", "to": "debug"'), "every replica has heard of it")
    until(lambda: told(external, '"log level changed", "to": "info"'), "every replica has heard of it")


def test_statuses_show_what_they_are_told_to(external, shop):
    until_shown(shop, "shop", external.addresses)
    with settings(external, "publish: [203.0.113.10, lb.example.com]\n"):
        restarted(external)
        until_shown(shop, "shop", ["203.0.113.10", "lb.example.com"])
    restarted(external)
    until_shown(shop, "shop", external.addresses)


def test_a_new_authority_costs_no_request(external, shop):
    with under_load(external.addresses, host_of(shop)) as served:
        before = bundle(external)
        external.kubectl.must("patch", "secret", f"{external.name}-authority", "--type=merge", "-p", '{"data": null}')
        restarted(external)
        until(lambda: bundle(external) != before, "new roots are published")
        shop.apply(ingress("more", external.of_class, f"more.{host_of(shop)}", "shop"))
        for address in external.addresses:
            until_answered(address, f"http://more.{host_of(shop)}/", "shop")
        served.stop()
    assert served.failures("shop") == []


def bundle(install):
    """What Envoys are told to trust."""
    return install.instances.read("configmap", f"{install.name}-authority").get("data", {}).get("ca.crt")
