"""XBackends: names outside of the cluster, what is spoken to them, and what nobody is sent to."""

import base64
import json

import pytest
from test_gateway import World, gateway, route

from weirkeeper.model.backend import FromDns
from weirkeeper.testing.certificates import Authority

CA = Authority("outside")
TO = "backendRefs: [{group: gateway.networking.x-k8s.io, kind: XBackend, name: out%s}]"
OUT = "externalHostname: {hostname: api.example.com}, port: {port: 443}"


def external(more="", *, where=OUT, namespace="d", kind="ExternalHostname"):
    return f"kind: XBackend\nmetadata: {{name: out, namespace: {namespace}, generation: 4}}\nspec: {{type: {kind}, {where}{more}}}"


def world(*documents, rules=TO % ""):
    return World(gateway(), route(rules), *documents)


def backends(found):
    return [one for intent in found.intents().values() for one in intent.backends]


def authorities():
    return f"kind: ConfigMap\nmetadata: {{name: ca, namespace: d}}\ndata: {json.dumps({'ca.crt': CA.pem().decode()})}"


def test_a_name_outside() -> None:
    found = world(external())
    (backend,) = backends(found)
    assert (backend.source, backend.protocol, backend.tls) == (FromDns(name="api.example.com", port=443), "http1", None)
    assert found.said("HTTPRoute") == {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}
    report = found.report("XBackend", "out")
    assert (report.generation, [dict(one.reference)["name"] for one in report.parents]) == (4, ["g"])
    assert found.said("XBackend", "out") == {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}


def test_the_port_as_v1_7_has_it() -> None:
    (backend,) = backends(world(external(where="externalHostname: {hostname: api.example.com}, port: {number: 8443}")))
    assert backend.source.port == 8443


@pytest.mark.parametrize(
    ("wished", "spoken"),
    [("HTTP", "http1"), ("HTTP11", "http1"), ("H2C", "h2c"), ("HTTP2", "h2c"), ("GRPC", "grpc")],
)
def test_what_is_spoken(wished: str, spoken: str) -> None:
    (backend,) = backends(world(external(f", protocol: {wished}")))
    assert backend.protocol == spoken


def test_tls_is_verified() -> None:
    tls = ", protocol: HTTP2, tls: {mode: ServerOnly, validation: {hostname: api.example.com, caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}"
    found = world(external(tls), authorities())
    (backend,) = backends(found)
    assert (backend.protocol, backend.tls.verify, backend.tls.server_name) == ("h2", True, "api.example.com")
    assert [one.id for intent in found.intents().values() for one in intent.trust_bundles] == [backend.tls.trust]


def test_a_certificate_of_its_own_goes_before_the_gateways() -> None:
    pair = CA.issue("client.example")
    data = {"tls.crt": base64.b64encode(pair.certificate).decode(), "tls.key": base64.b64encode(pair.key).decode()}
    secrets = [
        f"kind: Secret\nmetadata: {{name: {name}, namespace: d}}\ntype: kubernetes.io/tls\ndata: {data}"
        for name in ("own", "shown")
    ]
    tls = ", tls: {mode: ClientAndServer, clientCertificateRef: {name: own}, validation: {hostname: api.example.com, wellKnownCACertificates: System}}"
    front = gateway(extra=", tls: {backend: {clientCertificateRef: {name: shown}}}")
    found = World(front, route(TO % ""), external(tls), *secrets)
    (backend,) = backends(found)
    assert "own" in backend.tls.client_certificate
    assert backend.tls.client_certificate in {
        one.id for intent in found.intents().values() for one in intent.certificates
    }


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (external(where="externalHostname: {hostname: shop.d.svc.cluster.local}, port: {port: 80}"), ("Accepted", "Invalid")),
        (external(where="externalHostname: {hostname: kubernetes.default.svc}, port: {port: 443}"), ("Accepted", "Invalid")),
        (external(where="externalHostname: {hostname: kubernetes}, port: {port: 443}"), ("Accepted", "Invalid")),
        (external(where="externalHostname: {hostname: metadata.google.internal}, port: {port: 80}"), ("Accepted", "Invalid")),
        (external(where="externalHostname: {hostname: 169.254.169.254}, port: {port: 80}"), ("Accepted", "Invalid")),
        (external(where="externalHostname: {hostname: '*.example.com'}, port: {port: 80}"), ("Accepted", "Invalid")),
        (external(where="externalHostname: {hostname: api.example.com}, port: {port: 0}"), ("Accepted", "Invalid")),
        (external(kind="EndpointSelector"), ("Accepted", "Invalid")),
        (external(", protocol: MCP"), ("Accepted", "UnsupportedProtocol")),
        (external(", protocol: TCP"), ("Accepted", "UnsupportedProtocol")),
        (external(", tls: {mode: Magic, validation: {hostname: a.example}}"), ("Accepted", "UnsupportedValue")),
        (external(", tls: {mode: ServerOnly, validation: {hostname: a.example}}"), ("Accepted", "NoValidCACertificate")),
        (external(", tls: {mode: ServerOnly, validation: {hostname: a.example, caCertificateRefs: [{group: '', kind: ConfigMap, name: missing}]}}"), ("ResolvedRefs", "InvalidCACertificateRef")),
        (external(", tls: {mode: ClientAndServer, validation: {hostname: a.example, wellKnownCACertificates: System}}"), ("Accepted", "Invalid")),
        (external(", tls: {mode: ClientAndServer, clientCertificateRef: {name: missing}, validation: {hostname: a.example, wellKnownCACertificates: System}}"), ("ResolvedRefs", "InvalidCertificateRef")),
    ],
)  # fmt: skip
def test_what_nobody_is_sent_to(document: str, said: tuple[str, str]) -> None:
    found = world(document)
    condition, reason = said
    assert found.said("XBackend", "out")[condition] == ("False", reason)
    assert found.said("HTTPRoute")["ResolvedRefs"][0] == "False"
    assert backends(found) == []
    assert found.served() == [("g/http/80", "a.example", 500)]


def test_a_route_of_another_namespace_never_leads_there() -> None:
    """Not with a ReferenceGrant either: a backend lives in the namespace of the routes that name it (GEP-4894, Route Attachment)."""
    grant = """kind: ReferenceGrant
metadata: {name: x, namespace: e}
spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: d}], to: [{group: gateway.networking.x-k8s.io, kind: XBackend}]}"""
    found = world(external(namespace="e"), grant, rules=TO % ", namespace: e")
    assert found.said("HTTPRoute")["ResolvedRefs"] == ("False", "RefNotPermitted")
    assert backends(found) == []


def test_one_that_is_not_there() -> None:
    assert world().said("HTTPRoute")["ResolvedRefs"] == ("False", "BackendNotFound")


def test_bytes_are_not_led_there() -> None:
    found = World(gateway("{name: tcp, port: 90, protocol: TCP}"), route(TO % "", kind="TCPRoute"), external())
    assert found.said("TCPRoute")["ResolvedRefs"] == ("False", "InvalidKind")
