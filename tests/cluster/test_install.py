"""The shipped install in a real cluster: two replicas of the control plane, Envoys on two nodes, an Ingress with TLS, what `kubectl` shows of it."""

import pytest
from installs import events_of, until, until_answered, until_shown, until_status
from samples import PORT, echo, ingress, service, tls

from weirkeeper.testing.certificates import Authority

pytestmark = [pytest.mark.cluster, pytest.mark.engine]

HOST = "shop.example"


@pytest.fixture
def shop(kubectl):
    """A backend that is ready."""
    kubectl.apply(echo("shop"), service("shop"))
    kubectl.must("rollout", "status", "deployment/shop", "--timeout=150s")
    return kubectl


def test_two_replicas_and_two_envoys_run_on_different_nodes(external):
    replicas = external.control_plane()
    assert len(replicas) == 2
    assert len({pod["spec"]["nodeName"] for pod in replicas}) == 2
    assert len(external.addresses) == 2


def test_an_ingress_with_tls_answers_on_both_nodes_and_its_status_shows_both(external, shop):
    authority = Authority("shop's authority")
    pair = authority.issue(HOST)
    shop.apply(tls("shop-tls", pair), ingress("shop", external.of_class, HOST, "shop", secret="shop-tls"))
    until_shown(shop, "shop", external.addresses)
    for address in external.addresses:
        answer = until_answered(address, f"https://{HOST}/", "shop", trust=authority.pem())
        assert answer.fingerprint == pair.fingerprint()
        until_status(address, f"http://{HOST}/", 308)


def test_what_changes_is_served_and_what_goes_is_gone(external, shop):
    shop.apply(echo("cart"), service("cart"), ingress("shop", external.of_class, HOST, "shop"))
    shop.must("rollout", "status", "deployment/cart", "--timeout=150s")
    (first, _) = external.addresses
    until_answered(first, f"http://{HOST}/", "shop")
    shop.apply(ingress("shop", external.of_class, HOST, "cart"))
    until_answered(first, f"http://{HOST}/", "cart")
    shop.must("scale", "deployment/cart", "--replicas=0")
    until_status(first, f"http://{HOST}/", 503)
    shop.must("delete", "ingress", "shop")
    until_status(first, f"http://{HOST}/", 404)


def test_describe_names_the_mistake_and_its_remedy(external, shop):
    shop.apply(ingress("shop", external.of_class, HOST, "shpo", auth_tls_secret="none", limit_rps="often"))
    until(lambda: "shpo" in events_of(shop, "shop"), "an event that names the Service")
    told = events_of(shop, "shop")
    assert "Warning" in told
    assert "create the Service, or name one that exists" in told
    until(lambda: "limit-rps" in events_of(shop, "shop"), "an event that names the annotation")
    asked = {"auth_url": f"http://shop.{shop.namespace}.svc.cluster.local:{PORT}/ask", "auth_proxy_set_headers": "nowhere"}
    shop.apply(ingress("guarded", external.of_class, f"guarded.{HOST}", "shop", **asked))
    until(lambda: "nowhere" in events_of(shop, "guarded"), "an event that names the ConfigMap")


def test_the_status_goes_when_the_class_is_somebody_elses(external, shop):
    shop.apply(ingress("shop", external.of_class, HOST, "shop"))
    until_shown(shop, "shop", external.addresses)
    shop.apply(ingress("shop", "somebody-elses", HOST, "shop"))
    until_shown(shop, "shop", [])
    until_status(external.addresses[0], f"http://{HOST}/", 404)
