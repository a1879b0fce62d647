"""TLS to backends: policies, who of them holds, what is closed when an authority cannot be read, and the certificate that a Gateway shows."""

import json

import pytest
from test_gateway import World, gateway, route

from weirkeeper.testing.certificates import Authority

SERVERS = Authority("backends")
AUTHORITIES = (
    f"kind: ConfigMap\nmetadata: {{name: trust, namespace: d}}\ndata: {json.dumps({'ca.crt': SERVERS.pem().decode()})}"
)
TRUST = "caCertificateRefs: [{group: '', kind: ConfigMap, name: trust}], hostname: a.internal"


def policy(validation=TRUST, name="p", target="name: shop", created="2026-01-01T00:00:00Z", namespace="d"):
    metadata = f"{{name: {name}, namespace: {namespace}, generation: 2, creationTimestamp: '{created}'}}"
    return f"kind: BackendTLSPolicy\nmetadata: {metadata}\nspec: {{targetRefs: [{{group: '', kind: Service, {target}}}], validation: {{{validation}}}}}"


def backends(world):
    return {one.id: one for i in world.intents().values() for one in i.backends}


def led(world):
    return [
        share.backend
        for i in world.intents().values()
        for h in i.routes
        if h.route.priority == 0
        for share in h.route.action.backends
    ]


def test_a_policy_says_how_its_service_is_spoken_to():
    world = World(gateway(), route(), AUTHORITIES, policy())
    tls = backends(world)["d/shop/80"].tls
    assert (tls.server_name, tls.verify, tls.trust, tls.san_dns) == ("a.internal", True, "backend-tls/d/p", ())
    assert {one.id for i in world.intents().values() for one in i.trust_bundles} == {tls.trust}
    assert world.said("BackendTLSPolicy", "p") == {
        "Accepted": ("True", "Accepted"),
        "ResolvedRefs": ("True", "ResolvedRefs"),
    }
    assert dict(world.report("BackendTLSPolicy", "p").parents[0].reference)["name"] == "g"
    world.drop(policy())
    assert backends(world)["d/shop/80"].tls is None


def test_alternative_names_are_compared_and_the_host_name_is_asked_for():
    names = "subjectAltNames: [{type: Hostname, hostname: b.internal}, {type: URI, uri: 'spiffe://x/y'}]"
    world = World(gateway(), route(), AUTHORITIES, policy(f"{TRUST}, {names}"))
    tls = backends(world)["d/shop/80"].tls
    assert (tls.server_name, tls.san_dns, tls.san_uri) == ("a.internal", ("b.internal",), ("spiffe://x/y",))


def test_the_authorities_of_the_platform():
    world = World(gateway(), route(), policy("wellKnownCACertificates: System, hostname: a.internal"))
    tls = backends(world)["d/shop/80"].tls
    assert (tls.system_trust, tls.trust, tls.verify) == (True, None, True)


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("{group: '', kind: ConfigMap, name: none}", "InvalidCACertificateRef"),
        ("{group: x.io, kind: Odd, name: trust}", "InvalidKind"),
    ],
)
def test_without_an_authority_the_backend_is_closed(reference, reason):
    world = World(gateway(), route(), AUTHORITIES, policy(f"caCertificateRefs: [{reference}], hostname: a.internal"))
    assert led(world) == ["d/shop/80~closed"]
    assert backends(world)["d/shop/80~closed"].tls is None
    assert world.said("BackendTLSPolicy", "p") == {
        "Accepted": ("False", "NoValidCACertificate"),
        "ResolvedRefs": ("False", reason),
    }
    assert world.said("HTTPRoute")["ResolvedRefs"] == ("True", "ResolvedRefs")
    world.put(policy())
    assert led(world) == ["d/shop/80"]


def test_the_older_policy_holds_and_the_other_is_told():
    second = policy(TRUST.replace("a.internal", "b.internal"), name="a", created="2026-01-02T00:00:00Z")
    world = World(gateway(), route(), AUTHORITIES, policy(), second)
    assert backends(world)["d/shop/80"].tls.server_name == "a.internal"
    assert world.said("BackendTLSPolicy", "a")["Accepted"] == ("False", "Conflicted")
    assert world.said("BackendTLSPolicy", "p")["Accepted"] == ("True", "Accepted")


def test_a_policy_that_nobody_leads_to_is_not_spoken_of():
    world = World(gateway(), AUTHORITIES, policy())
    assert world.report("BackendTLSPolicy", "p") is None
    world.put(route())
    assert world.report("BackendTLSPolicy", "p") is not None


def test_a_policy_of_another_namespace_changes_nothing():
    world = World(gateway(), route(), AUTHORITIES, policy(namespace="elsewhere"))
    assert backends(world)["d/shop/80"].tls is None


def showing(reference):
    return gateway(extra=f", tls: {{backend: {{clientCertificateRef: {reference}}}}}")


def test_a_gateway_shows_its_certificate_to_backends():
    pair = SERVERS.issue("client.internal")
    secret = json.dumps({"tls.crt": pair.certificate.decode(), "tls.key": pair.key.decode()})
    identity = f"kind: Secret\nmetadata: {{name: identity, namespace: d}}\nstringData: {secret}"
    world = World(showing("{name: identity}"), route(), AUTHORITIES, policy(), identity)
    wished = backends(world)["d/shop/80"].tls.client_certificate
    (wish,) = [one for i in world.intents().values() for one in i.certificates]
    assert (wish.id, wish.client) == (wished, True)
    assert world.said("Gateway", "g")["ResolvedRefs"] == ("True", "ResolvedRefs")


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("{name: none}", "InvalidClientCertificateRef"),
        ("{kind: Odd, name: identity}", "InvalidClientCertificateRef"),
        ("{name: identity, namespace: elsewhere}", "RefNotPermitted"),
    ],
)
def test_a_certificate_that_cannot_be_shown_is_told(reference, reason):
    world = World(showing(reference), route(), AUTHORITIES, policy())
    said = world.said("Gateway", "g")
    assert said["ResolvedRefs"] == ("False", reason)
    assert said["Accepted"] == ("True", "Accepted")
    assert backends(world)["d/shop/80"].tls.client_certificate is None
