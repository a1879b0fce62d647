"""An external install with TLS, an internal one without, and Traefik, partly for the same hosts: none touches what is another's."""

import lab
import pytest
import traefik
from installs import shown, until, until_answered, until_shown, until_status
from samples import echo, ingress, service, tls

from weirkeeper.testing.certificates import Authority

pytestmark = [pytest.mark.cluster, pytest.mark.engine]

HOST = "shared.example"
BACKENDS = ("outside", "inside", "foreign")


@pytest.fixture
def third(nodes):
    """Traefik with a class of its own."""
    with traefik.running() as one:
        yield one


@pytest.fixture
def sites(external, internal, third, kubectl):
    """One host, three times: each class has a backend of its own."""
    authority = Authority("shared authority")
    for name in BACKENDS:
        kubectl.apply(echo(name), service(name))
    for name in BACKENDS:
        kubectl.must("rollout", "status", f"deployment/{name}", "--timeout=150s")
    kubectl.apply(
        tls("shared-tls", authority.issue(HOST)),
        ingress("outside", external.of_class, HOST, "outside", secret="shared-tls"),
        ingress("inside", internal.of_class, HOST, "inside"),
        ingress("foreign", third.of_class, HOST, "foreign"),
    )
    return kubectl


def test_each_answers_for_its_own_and_writes_to_nothing_else(external, internal, third, sites):
    assert {one["metadata"]["labels"].get("team") for one in internal.control_plane()} == {None}
    assert internal.kubectl.read("deployment", internal.name)["metadata"]["labels"]["team"] == "platform"
    assert (len(internal.control_plane()), len(external.control_plane())) == (1, 2)
    until_shown(sites, "outside", external.addresses)
    until_shown(sites, "inside", internal.addresses)
    until_shown(sites, "foreign", [third.address])
    assert not set(external.addresses) & set(internal.addresses)
    for address in external.addresses:
        until_answered(address, f"https://{HOST}/", "outside")
    for address in internal.addresses:
        until_answered(address, f"http://{HOST}/", "inside")
    until_answered(third.address, f"http://{HOST}/", "foreign")

    # a change on each side, so that everybody has had a reason to write
    sites.apply(ingress("inside", internal.of_class, HOST, "foreign"))
    until_answered(internal.addresses[0], f"http://{HOST}/", "foreign")
    sites.must("delete", "ingress", "outside")
    until_status(external.addresses[0], f"http://{HOST}/", 404)
    assert shown(sites, "inside") == internal.addresses
    assert shown(sites, "foreign") == [third.address]
    until(lambda: foreign_writes(sites.namespace, external, internal) == [], "no write to anything foreign", 1)


def foreign_writes(namespace, external, internal):
    """Writes of our control planes to what is not theirs, among all that the API server has seen."""
    own = {"outside": account(external), "inside": account(internal)}
    ours = set(own.values())
    objects = [
        one for one in lab.writes() if one.user in ours and one.namespace == namespace and "ingresses" in one.resource
    ]
    elsewhere = [
        one
        for one in lab.writes()
        if one.user in ours
        and one.resource not in ("ingresses/status", "events", "tokenreviews")
        and one.namespace.removesuffix("-envoys") != one.user.split(":")[2]
    ]
    assert any(one.name == "outside" for one in objects), "the audit log shows no status write of ours at all"
    return [one for one in objects if own.get(one.name) != one.user or one.resource != "ingresses/status"] + elsewhere


def account(install):
    """The user name of an install's control plane."""
    return f"system:serviceaccount:{install.kubectl.namespace}:{install.name}"
