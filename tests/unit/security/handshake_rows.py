"""Fields that lead into another namespace by another way than a ReferenceGrant, or never do: parents, what policies are about, parameters, and filters where none may stand."""

from collections.abc import Iterator
from typing import NamedTuple

from reference_rows import FAR, FAR_SERVICE, GROUP, NEAR, PROTOCOLS, SERVICE_MARKS, Row, gateway, grant, route

SELECTED = "from: Selector, selector: {matchLabels: {let: in}}"
LISTENER = "{name: any, port: 80, protocol: %s, allowedRoutes: {%s}}"


class Parent(NamedTuple):
    """A child in ``e`` of a Gateway in ``d``; ``closed`` are Gateways that do not let it in, ``opened`` those that do."""

    field: str
    child: str
    closed: tuple[str, ...]
    opened: tuple[str, ...]
    mark: bytes
    reason: str


def parents() -> Iterator[Parent]:
    for kind in ("HTTPRoute", "GRPCRoute", *PROTOCOLS):
        protocol = PROTOCOLS.get(kind, "HTTP")
        hosts = "" if kind in ("TCPRoute", "UDPRoute") else "hostnames: [far.example], "
        spec = (
            f"parentRefs: [{{name: g, namespace: d}}], {hosts}rules: [{{backendRefs: [{NEAR.replace('shop', 'far')}]}}]"
        )
        closed = (
            "namespaces: {from: Same}",
            "namespaces: {from: None}",
            "namespaces: {from: All}, kinds: [{kind: Other}]",
            f"namespaces: {{{SELECTED}}}",
            "",
        )
        yield Parent(
            f"{kind}.spec.parentRefs[]",
            f"kind: {kind}\nmetadata: {{name: r, namespace: e}}\nspec: {{{spec}}}",
            tuple(gateway(LISTENER % (protocol, one)) for one in closed),
            (gateway(LISTENER % (protocol, "namespaces: {from: All}")),),
            b"e/far",
            "NotAllowedByListeners",
        )
    listener = "{name: more, port: 8080, protocol: HTTP, hostname: far.example}"
    yield Parent(
        "ListenerSet.spec.parentRef",
        f"kind: ListenerSet\nmetadata: {{name: r, namespace: e}}\nspec: {{parentRef: {{name: g, namespace: d}}, listeners: [{listener}]}}",
        tuple(
            gateway(more=more)
            for more in (
                "",
                *(f", allowedListeners: {{namespaces: {{{one}}}}}" for one in ("from: Same", "from: None", SELECTED)),
            )
        ),
        (gateway(more=", allowedListeners: {namespaces: {from: All}}"),),
        b"8080",
        "NotAllowed",
    )


PARENTS = tuple(parents())


def nowhere() -> Iterator[Row]:
    """Filters that stand where they cannot be: refused whatever anybody consents to."""
    filters = {
        "requestMirror": f"{{type: RequestMirror, requestMirror: {{backendRef: {{{FAR}}}}}}}",
        "externalAuth": f"{{type: ExternalAuth, externalAuth: {{protocol: HTTP, backendRef: {{{FAR}}}}}}}",
    }
    for kind in ("HTTPRoute", "GRPCRoute"):
        for name, text in filters.items():
            rule = f"backendRefs: [{{name: shop, port: 80, filters: [{text}]}}]"
            path = f"{kind}.spec.rules[].backendRefs[].filters[].{name}.backendRef"
            yield _row(path, rule, kind)
    rule = f"backendRefs: [{NEAR}], filters: [{filters['externalAuth']}]"
    yield _row("GRPCRoute.spec.rules[].filters[].externalAuth.backendRef", rule, "GRPCRoute")


def _row(path: str, rule: str, kind: str) -> Row:
    scene = (gateway(), route(rule, kind), FAR_SERVICE)
    return Row(path, scene, ("", "Service"), SERVICE_MARKS, (kind, "r"), status=500)


NOWHERE = tuple(nowhere())

POLICIES = {
    "BackendTLSPolicy.spec.targetRefs[]": "kind: BackendTLSPolicy\nmetadata: {name: p, namespace: %s}\nspec: {targetRefs: [{group: '', kind: Service, name: shop, namespace: d}], validation: {wellKnownCACertificates: System, hostname: far.example}}",
    "XBackendTrafficPolicy.spec.targetRefs[]": "kind: XBackendTrafficPolicy\nmetadata: {name: p, namespace: %s}\nspec: {targetRefs: [{group: '', kind: Service, name: shop, namespace: d}], sessionPersistence: {sessionName: far.example}}",
}
"""They have no namespace but their own, whatever somebody writes."""

OF_NO_NAMESPACE = {"GatewayClass.spec.parametersRef", "Gateway.spec.infrastructure.parametersRef"}
"""The kind that they lead to is the whole cluster's."""
CONSENTS = {"ReferenceGrant.spec.from[]", "ReferenceGrant.spec.to[]"}
EVERY_GRANT = tuple(
    grant((GROUP, kind), to, at="d", of="e")
    for kind in ("HTTPRoute", "GRPCRoute", *PROTOCOLS, "ListenerSet", "BackendTLSPolicy")
    for to in ((GROUP, "Gateway"), ("", "Service"))
)
"""What would help, if a grant could."""
