"""Certificates whose Secret is late, forbidden for a while, out of reach, or deleted: only the last takes a live certificate away."""

import contextlib

import pytest
from installs import events_of, reached, until, until_answered
from samples import echo, ingress, service, tls
from serving import under_load

from weirkeeper.testing.certificates import Authority

pytestmark = [pytest.mark.cluster, pytest.mark.engine]

HOST = "secure.example"
READER = "weirkeeper-secret-reader"
URL = f"https://{HOST}/"


@pytest.fixture
def authority():
    return Authority("authority of the secure shop")


@pytest.fixture
def shop(kubectl):
    """A backend that is ready."""
    kubectl.apply(echo("shop"), service("shop"))
    kubectl.must("rollout", "status", "deployment/shop", "--timeout=150s")
    return kubectl


@pytest.fixture
def live(external, shop, authority):
    """The shop with a certificate that is served; its fingerprint."""
    pair = authority.issue(HOST)
    shop.apply(tls("shop-tls", pair), ingress("shop", external.of_class, HOST, "shop", secret="shop-tls"))
    for address in external.addresses:
        until_answered(address, URL, "shop", trust=authority.pem())
    return pair


@contextlib.contextmanager
def forbidden(install):
    """The control plane may read no Secret while this lasts."""
    binding = install.kubectl.must("get", "clusterrolebinding", READER, "-o", "yaml")
    install.kubectl.must("delete", "clusterrolebinding", READER)
    try:
        yield
    finally:
        install.kubectl.must("create", "-f", "-", stdin=binding)


def served_with(address, authority):
    """The fingerprint of the certificate that the host is served with now; nothing when it is none of this authority."""
    answer = reached(address, URL, trust=authority.pem())
    return answer.fingerprint if answer is not None else None


def test_a_secret_that_comes_late_is_told_and_then_served(external, shop, authority):
    shop.apply(ingress("shop", external.of_class, HOST, "shop", secret="shop-tls"))
    until(lambda: "shop-tls" in events_of(shop, "shop"), "an event that names the Secret")
    pair = authority.issue(HOST)
    shop.apply(tls("shop-tls", pair))
    for address in external.addresses:
        answer = until_answered(address, URL, "shop", trust=authority.pem())
        assert answer.fingerprint == pair.fingerprint()


def test_a_renewed_certificate_is_served_without_a_failure(external, shop, live, authority):
    renewed = authority.issue(HOST)
    with under_load(external.addresses, HOST, secure=True) as served:
        shop.apply(tls("shop-tls", renewed))
        for address in external.addresses:
            until(lambda at=address: served_with(at, authority) == renewed.fingerprint(), f"the new one at {address}")
        served.stop()
    assert served.count > 100
    assert served.failures("shop") == []


def test_forbidden_for_a_while_takes_nothing_away(external, shop, live, authority):
    other = Authority("another authority").issue("other.example")
    with under_load(external.addresses, HOST, secure=True) as served:
        with forbidden(external):
            external.kubectl.must("delete", "pod", "-l", "app.kubernetes.io/component=control-plane", "--wait=true")
            shop.apply(
                tls("other-tls", other),
                ingress("other", external.of_class, "other.example", "shop", secret="other-tls"),
            )
            until(lambda: len(running(external)) == 2, "two new replicas run")
            for address in external.addresses:
                assert served_with(address, authority) == live.fingerprint()
        until_answered(external.addresses[0], "https://other.example/", "shop")
        external.rolled_out()
        served.stop()
    assert served.count > 100
    assert served.failures("shop") == []
    assert served_with(external.addresses[0], authority) == live.fingerprint()


def running(install):
    """The replicas that are not on their way out."""
    return [
        p
        for p in install.control_plane()
        if p["status"]["phase"] == "Running" and "deletionTimestamp" not in p["metadata"]
    ]


def test_deleted_it_goes_with_a_finding(external, shop, live, authority):
    shop.must("delete", "secret", "shop-tls")
    for address in external.addresses:
        until(
            lambda at=address: served_with(at, authority) != live.fingerprint(), f"the certificate is gone at {address}"
        )
    until(lambda: "shop-tls" in events_of(shop, "shop"), "an event that names the Secret")
