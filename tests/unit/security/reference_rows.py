"""Every field of Gateway API's kinds that may lead into another namespace, each in a scene where it does: from the namespace ``d`` to something called ``far`` in ``e``.

A row's ``field`` is its path in our types. ``marks`` are what must not be seen anywhere while nobody consents, and is in the engine's configuration when somebody does.
"""

import json
from collections.abc import Iterator
from typing import NamedTuple

from weirkeeper.testing.certificates import Authority

GROUP = "gateway.networking.k8s.io"
EXPERIMENTAL = "gateway.networking.x-k8s.io"
OUR_SIDE, FAR_SIDE, CLIENTS = Authority("ours"), Authority("theirs"), Authority("clients")


class Row(NamedTuple):
    """A reference. ``owner`` is the object that has it, ``told`` the one that hears of the refusal; ``status`` is the answer to a request while it is refused."""

    field: str
    scene: tuple[str, ...]
    to: tuple[str, str]
    marks: tuple[bytes, ...]
    told: tuple[str, str]
    owner_kind: str = ""
    owner_group: str = GROUP
    url: str = "http://a.example/"
    status: int | None = None
    reason: str = "RefNotPermitted"

    @property
    def owner(self) -> tuple[str, str]:
        return self.owner_group, self.owner_kind or self.field.partition(".")[0]


def inner(pem: bytes) -> bytes:
    """A line from the middle of PEM."""
    lines = pem.splitlines()
    return lines[len(lines) // 2]


def key_pair(name: str, namespace: str, authority: Authority, host: str) -> tuple[str, tuple[bytes, bytes]]:
    pair = authority.issue(host)
    data = json.dumps({"tls.crt": pair.certificate.decode(), "tls.key": pair.key.decode()})
    text = (
        f"kind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\ntype: kubernetes.io/tls\nstringData: {data}"
    )
    return text, (inner(pair.certificate), inner(pair.key))


def authorities(kind: str, authority: Authority) -> str:
    data = "data" if kind == "ConfigMap" else "stringData"
    return f"kind: {kind}\nmetadata: {{name: far, namespace: e}}\n{data}: {json.dumps({'ca.crt': authority.pem().decode()})}"


def service(name: str, namespace: str, address: str, more: str = "") -> str:
    return f"""
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{ports: [{{name: tcp, port: 80{more}}}, {{name: udp, port: 80, protocol: UDP}}]}}
---
kind: EndpointSlice
metadata: {{name: {name}-1, namespace: {namespace}, labels: {{kubernetes.io/service-name: {name}}}}}
ports: [{{name: tcp, port: 8080}}, {{name: udp, port: 8080, protocol: UDP}}]
endpoints: [{{addresses: ['{address}']}}]
"""


OURS, (_, _) = key_pair("near", "d", OUR_SIDE, "a.example")
FAR_PAIR, PAIR_MARKS = key_pair("far", "e", FAR_SIDE, "a.example")
CA_MARKS = (inner(CLIENTS.pem()),)
FAR_SERVICE, SERVICE_MARKS = service("far", "e", "10.66.6.6"), (b"10.66.6.6", b"e/far")
FAR_BACKEND = """
kind: XBackend
metadata: {name: far, namespace: e}
spec: {type: ExternalHostname, externalHostname: {hostname: far.outside.example}, port: {port: 443}}
"""
BACKEND_MARKS = (b"far.outside.example",)
BASE = (
    "kind: GatewayClass\nmetadata: {name: weir}\nspec: {controllerName: weirkeeper.io/gateway}",
    service("shop", "d", "10.1.0.1"),
    OURS,
)
FAR, FAR_X = "name: far, namespace: e, port: 80", f"name: far, namespace: e, group: {EXPERIMENTAL}, kind: XBackend"
FAR_CA = "{group: '', kind: %s, name: far, namespace: e}"
NEAR = "{name: shop, port: 80}"
PLAIN = "{name: any, port: 80, protocol: HTTP}"
SECURE = "{name: any, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: %s}]}}"
PROTOCOLS = {"TLSRoute": "TLS, tls: {mode: Passthrough}", "TCPRoute": "TCP", "UDPRoute": "UDP"}


def gateway(listener: str = PLAIN, more: str = "") -> str:
    return f"kind: Gateway\nmetadata: {{name: g, namespace: d}}\nspec: {{gatewayClassName: weir, listeners: [{listener}]{more}}}"


def route(rule: str, kind: str = "HTTPRoute") -> str:
    hosts = "" if kind in ("TCPRoute", "UDPRoute") else "hostnames: [a.example], "
    return f"kind: {kind}\nmetadata: {{name: r, namespace: d}}\nspec: {{parentRefs: [{{name: g}}], {hosts}rules: [{{{rule}}}]}}"


def to_backends(to: str, target: tuple[str, str], there: str, marks: tuple[bytes, ...]) -> Iterator[Row]:
    """Fields of routes that lead to a Service, or an XBackend, of somebody else."""
    mirror = f"backendRefs: [{NEAR}], filters: [{{type: RequestMirror, requestMirror: {{backendRef: {{%s}}}}}}]"
    auth = (
        f"backendRefs: [{NEAR}], filters: [{{type: ExternalAuth, externalAuth: {{protocol: %s, backendRef: {{%s}}}}}}]"
    )
    places = [
        ("HTTPRoute", "rules[].backendRefs[]", "backendRefs: [{%s}]", 500),
        ("GRPCRoute", "rules[].backendRefs[]", "backendRefs: [{%s}]", 500),
        ("HTTPRoute", "rules[].filters[].requestMirror.backendRef", mirror, None),
        ("GRPCRoute", "rules[].filters[].requestMirror.backendRef", mirror, None),
        ("HTTPRoute", "rules[].filters[].externalAuth.backendRef", auth.replace("%s", "HTTP", 1), 500),
        ("HTTPRoute", "rules[].filters[].externalAuth.backendRef", auth.replace("%s", "GRPC", 1), 500),
    ]
    for kind, place, rule, status in places:
        scene = (gateway(), route(rule % to, kind), there)
        yield Row(f"{kind}.spec.{place}", scene, target, marks, (kind, "r"), status=status)


def of_bytes() -> Iterator[Row]:
    """Fields of routes of bytes: a Service of somebody else."""
    for kind, protocol in PROTOCOLS.items():
        listener = f"{{name: any, port: 80, protocol: {protocol}}}"
        scene = (gateway(listener), route(f"backendRefs: [{{{FAR}}}]", kind), FAR_SERVICE)
        url = f"{kind.removesuffix('Route').lower()}://a.example:80"
        yield Row(f"{kind}.spec.rules[].backendRefs[]", scene, ("", "Service"), SERVICE_MARKS, (kind, "r"), url=url)


def to_secrets() -> Iterator[Row]:
    """Certificates that are shown to clients or to backends."""
    owned = SECURE % "far, namespace: e"
    url, target = "https://a.example/", ("", "Secret")
    scene = (gateway(owned), route(f"backendRefs: [{NEAR}]"), FAR_PAIR)
    yield Row("Gateway.spec.listeners[].tls.certificateRefs[]", scene, target, PAIR_MARKS, ("Gateway", "g"), url=url)
    set_of = f"kind: ListenerSet\nmetadata: {{name: s, namespace: d}}\nspec: {{parentRef: {{name: g}}, listeners: [{owned.replace('443', '444')}]}}"
    inside = gateway(more=", allowedListeners: {namespaces: {from: Same}}")
    scene = (inside, set_of, FAR_PAIR)
    yield Row(
        "ListenerSet.spec.listeners[].tls.certificateRefs[]",
        scene,
        target,
        PAIR_MARKS,
        ("ListenerSet", "s"),
        url="https://a.example:444/",
    )
    shown = gateway(more=", tls: {backend: {clientCertificateRef: {name: far, namespace: e}}}")
    policy = "kind: BackendTLSPolicy\nmetadata: {name: p, namespace: d}\nspec: {targetRefs: [{group: '', kind: Service, name: shop}], validation: {wellKnownCACertificates: System, hostname: b.example}}"
    scene = (shown, policy, route(f"backendRefs: [{NEAR}]"), FAR_PAIR)
    yield Row("Gateway.spec.tls.backend.clientCertificateRef", scene, target, PAIR_MARKS, ("Gateway", "g"))
    tls = "tls: {mode: ClientAndServer, clientCertificateRef: {name: far, namespace: e}, validation: {wellKnownCACertificates: System, hostname: b.example}}"
    scene = (gateway(), to_outside(), outside(tls), FAR_PAIR)
    yield Row(
        "XBackend.spec.tls.clientCertificateRef",
        scene,
        target,
        PAIR_MARKS,
        ("XBackend", "out"),
        owner_group=EXPERIMENTAL,
        status=500,
    )


def outside(more: str) -> str:
    spec = "type: ExternalHostname, externalHostname: {hostname: near.outside.example}, port: {port: 443}"
    return f"kind: XBackend\nmetadata: {{name: out, namespace: d}}\nspec: {{{spec}, {more}}}"


def to_outside() -> str:
    return route(f"backendRefs: [{{group: {EXPERIMENTAL}, kind: XBackend, name: out}}]")


def to_authorities() -> Iterator[Row]:
    """Whom clients or backends have to be signed by."""
    for kind in ("ConfigMap", "Secret"):
        ref, there, target = FAR_CA % kind, authorities(kind, CLIENTS), ("", kind)
        validation = f"{{validation: {{caCertificateRefs: [{ref}]}}}}"
        for field, frontend in (
            ("default", f"{{default: {validation}}}"),
            ("perPort[].tls", f"{{default: {{}}, perPort: [{{port: 443, tls: {validation}}}]}}"),
        ):
            scene = (
                gateway(SECURE % "near", f", tls: {{frontend: {frontend}}}"),
                route(f"backendRefs: [{NEAR}]"),
                there,
            )
            path = f"Gateway.spec.tls.frontend.{field}.validation.caCertificateRefs[]"
            yield Row(path, scene, target, CA_MARKS, ("Gateway", "g"), url="https://a.example/")
        policy = f"kind: BackendTLSPolicy\nmetadata: {{name: p, namespace: d}}\nspec: {{targetRefs: [{{group: '', kind: Service, name: shop}}], validation: {{caCertificateRefs: [{ref}], hostname: b.example}}}}"
        scene = (gateway(), policy, route(f"backendRefs: [{NEAR}]"), there)
        path = "BackendTLSPolicy.spec.validation.caCertificateRefs[]"
        yield Row(path, scene, target, CA_MARKS, ("BackendTLSPolicy", "p"), status=503)
        tls = f"tls: {{mode: ServerOnly, validation: {{caCertificateRefs: [{ref}], hostname: b.example}}}}"
        scene = (gateway(), to_outside(), outside(tls), there)
        yield Row(
            "XBackend.spec.tls.validation.caCertificateRefs[]",
            scene,
            target,
            CA_MARKS,
            ("XBackend", "out"),
            owner_group=EXPERIMENTAL,
            status=500,
        )


ROWS = (
    *to_backends(FAR, ("", "Service"), FAR_SERVICE, SERVICE_MARKS),
    *of_bytes(),
    *to_secrets(),
    *to_authorities(),
)
ALONE = tuple(to_backends(FAR_X, (EXPERIMENTAL, "XBackend"), FAR_BACKEND, BACKEND_MARKS))
"""What no grant opens: a backend takes routes of its own namespace alone (GEP-4894)."""


def grant(owner: tuple[str, str], to: tuple[str, str], *, name: str = "", at: str = "e", of: str = "d") -> str:
    """A ReferenceGrant in ``at`` for objects of ``of``."""
    named = f", name: {name}" if name else ""
    spec = f"from: [{{group: '{owner[0]}', kind: {owner[1]}, namespace: {of}}}], to: [{{group: '{to[0]}', kind: {to[1]}{named}}}]"
    return f"kind: ReferenceGrant\nmetadata: {{name: consent, namespace: {at}}}\nspec: {{{spec}}}"


def wrong_grants(row: Row) -> dict[str, str]:
    """Consents that are not the one which the row needs, by what is wrong with them."""
    owner, to = row.owner, row.to
    other_owner = (GROUP, "TLSRoute" if owner[1] != "TLSRoute" else "HTTPRoute")
    other_target = ("", "Secret" if to[1] != "Secret" else "Service")
    return {
        "none": "",
        "in the referrer's namespace": grant(owner, to, at="d"),
        "in a third namespace": grant(owner, to, at="f"),
        "from another namespace": grant(owner, to, of="f"),
        "from its own namespace": grant(owner, to, of="e"),
        "from every namespace, as if there were such a word": grant(owner, to, of="'*'"),
        "from another kind": grant(other_owner, to),
        "from a kind of another group": grant(("example.com", owner[1]), to),
        "from the kind in other letters": grant((owner[0], owner[1].lower()), to),
        "to the kind of another field": grant(owner, other_target),
        "to a kind of another group": grant(owner, ("example.com", to[1])),
        "to another name": grant(owner, to, name="near"),
        "to the name in other letters": grant(owner, to, name="Far"),
        "the other way round": grant(to, owner),
    }
