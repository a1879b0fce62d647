"""Client certificates of Gateways: authorities by reference, for all ports or one, with consent, and closed where none can be read."""

import json

import pytest
from test_gateway import World, gateway, route

from weirkeeper.testing.certificates import Authority

SERVERS, CLIENTS, OTHERS = Authority("servers"), Authority("clients"), Authority("others")
SECURE = "{name: %s, port: %d, protocol: HTTPS, tls: {certificateRefs: [{name: web}]}}"


def secret():
    pair = SERVERS.issue("a.example")
    text = {"tls.crt": pair.certificate.decode(), "tls.key": pair.key.decode()}
    return f"kind: Secret\nmetadata: {{name: web, namespace: d}}\nstringData: {json.dumps(text)}"


def authorities(name="clients", namespace="d", pem=None):
    entries = json.dumps({"ca.crt": (pem or CLIENTS.pem()).decode()})
    return f"kind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}}}\ndata: {entries}"


def validated(frontend, *listeners):
    return gateway(*(listeners or (SECURE % ("https", 443),)), extra=f", tls: {{frontend: {frontend}}}")


def by(*names, kind="ConfigMap", more="", mode=""):
    refs = ", ".join(f'{{group: "", kind: {kind}, name: {name}{more}}}' for name in names)
    return f"{{validation: {{caCertificateRefs: [{refs}]{mode}}}}}"


def listener(world, section="https"):
    (found,) = [one for i in world.intents().values() for one in i.listeners if one.id.endswith(f"/{section}")]
    return found


def bundles(world):
    return {one.id: one.certificates for i in world.intents().values() for one in i.trust_bundles}


def test_clients_show_a_certificate_of_those_whom_the_gateway_trusts():
    world = World(
        validated(f"{{default: {by('clients', 'others')}}}"),
        secret(),
        authorities(),
        authorities("others", pem=OTHERS.pem()),
        route(),
    )
    asked = listener(world).tls.client_validation
    assert asked.mode == "require"
    assert bundles(world)[asked.trust].count("BEGIN CERTIFICATE") == 2
    assert world.said_of("https")[0]["Accepted"] == ("True", "Accepted")
    assert "InsecureFrontendValidationMode" not in world.said("Gateway", "g")


def test_a_port_has_authorities_of_its_own():
    frontend = f"{{default: {by('clients')}, perPort: [{{port: 8443, tls: {by('others', mode=', mode: AllowInsecureFallback')}}}]}}"
    listeners = (SECURE % ("https", 443), SECURE % ("other", 8443), "{name: http, port: 80, protocol: HTTP}")
    world = World(validated(frontend, *listeners), secret(), authorities(), authorities("others", pem=OTHERS.pem()))
    first, second = listener(world).tls.client_validation, listener(world, "other").tls.client_validation
    assert (first.mode, second.mode) == ("require", "allow-insecure-fallback")
    assert bundles(world)[first.trust] != bundles(world)[second.trust]
    assert world.said_of("http")[0]["Accepted"] == ("True", "Accepted")
    assert world.said("Gateway", "g")["InsecureFrontendValidationMode"] == ("True", "ConfigurationChanged")


@pytest.mark.parametrize(
    ("frontend", "reason"),
    [
        (f"{{default: {by('missing')}}}", "InvalidCACertificateRef"),
        (f"{{default: {by('broken')}}}", "InvalidCACertificateRef"),
        (f"{{default: {by('shop', kind='Service')}}}", "InvalidCACertificateKind"),
        (f"{{default: {by('clients', more=', namespace: elsewhere')}}}", "RefNotPermitted"),
    ],
)
def test_without_an_authority_nobody_comes_in(frontend, reason):
    world = World(
        validated(frontend), secret(), route(), authorities("broken", pem=b"none"), authorities(namespace="elsewhere")
    )
    said, _ = world.said_of("https")
    assert said["ResolvedRefs"] == ("False", reason)
    assert said["Accepted"] == ("False", "NoValidCACertificate")
    assert not any(one.listeners for one in world.intents().values())


def test_consent_opens_the_reference_and_its_end_closes_it():
    grant = (
        "kind: ReferenceGrant\nmetadata: {name: open, namespace: elsewhere}\nspec: {from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: d}],"
        " to: [{group: '', kind: ConfigMap}]}"
    )
    frontend = f"{{default: {by('clients', more=', namespace: elsewhere')}}}"
    world = World(validated(frontend), secret(), authorities(namespace="elsewhere"), grant)
    assert listener(world).tls.client_validation is not None
    world.drop(grant)
    assert world.said_of("https")[0]["ResolvedRefs"] == ("False", "RefNotPermitted")
    assert not any(one.listeners for one in world.intents().values())


def test_one_bad_reference_among_good_ones_is_told_and_left_out():
    world = World(validated(f"{{default: {by('clients', 'missing')}}}"), secret(), authorities())
    assert listener(world).tls.client_validation.mode == "require"
    assert world.said_of("https")[0]["ResolvedRefs"] == ("False", "InvalidCACertificateRef")
    assert world.said_of("https")[0]["Accepted"] == ("True", "Accepted")


def of_cluster(pem=None):
    text = json.dumps({"trustBundle": (pem or CLIENTS.pem()).decode() if pem != b"" else "nothing"})
    return f"kind: ClusterTrustBundle\nmetadata: {{name: everybody}}\nspec: {text}"


BY_BUNDLE = "{default: {validation: {caCertificateRefs: [{group: certificates.k8s.io, kind: ClusterTrustBundle, name: everybody}]}}}"


def test_authorities_of_the_whole_cluster():
    world = World(validated(BY_BUNDLE), secret(), of_cluster(), route())
    assert bundles(world)[listener(world).tls.client_validation.trust].strip() == CLIENTS.pem().decode().strip()
    world.put(of_cluster(OTHERS.pem()))
    assert bundles(world)[listener(world).tls.client_validation.trust].strip() == OTHERS.pem().decode().strip()
    world.drop(of_cluster())
    assert world.said_of("https")[0]["Accepted"] == ("False", "NoValidCACertificate")


def test_authorities_of_the_whole_cluster_that_are_none():
    world = World(validated(BY_BUNDLE), secret(), of_cluster(b""), route())
    assert world.said_of("https")[0]["Accepted"] == ("False", "NoValidCACertificate")


def test_backends_are_verified_by_authorities_of_the_whole_cluster():
    policy = """kind: BackendTLSPolicy
metadata: {name: p, namespace: d}
spec:
  targetRefs: [{group: "", kind: Service, name: shop}]
  validation: {hostname: shop.example, caCertificateRefs: [{group: certificates.k8s.io, kind: ClusterTrustBundle, name: everybody}]}"""
    world = World(gateway(), route(), policy, of_cluster())
    assert world.said("BackendTLSPolicy", "p") == {
        "Accepted": ("True", "Accepted"),
        "ResolvedRefs": ("True", "ResolvedRefs"),
    }
