"""Objects of Gateway API that somebody got wrong, each alone beside others that are right. Used without a server (what becomes of them) and with one (whether its schema takes them).

``UPSTREAM`` are the mistakes of gateway-api's own invalid examples, by the names of their files; ``OURS`` are more. Every object is in the namespace ``d``, where a Gateway ``g`` and a Service
``shop`` are, and is called ``x``; a route that takes requests takes those of ``x.example``.
"""

from collections.abc import Mapping
from typing import Any

import yaml

GROUP = "gateway.networking.k8s.io/v1"
BACKEND = "backendRefs: [{name: shop, port: 80}]"
CERTIFICATE = "certificateRefs: [{name: c}]"
LONG = "a" * 64


def route(rules: str, *, kind: str = "HTTPRoute", parent: str = "{name: g}", hosts: str = "[x.example]") -> Mapping[str, Any]:
    """A route."""
    hostnames = f"hostnames: {hosts}, " if kind not in ("TCPRoute", "UDPRoute") else ""
    return made(kind, f"{{parentRefs: [{parent}], {hostnames}rules: [{{{rules}}}]}}")


def match(text: str) -> Mapping[str, Any]:
    """A route with one match."""
    return route(f"matches: [{{{text}}}], {BACKEND}")


def filtered(*texts: str) -> Mapping[str, Any]:
    """A route with filters."""
    return route(f"filters: [{', '.join('{' + text + '}' for text in texts)}], {BACKEND}")


def alone(text: str) -> Mapping[str, Any]:
    """A route with a filter and no backend."""
    return route(f"filters: [{{{text}}}]")


def asking(text: str) -> Mapping[str, Any]:
    """A route that asks a service first."""
    return filtered(f"type: ExternalAuth, externalAuth: {{{text}}}")


def to(text: str) -> Mapping[str, Any]:
    """A route to these backends."""
    return route(f"backendRefs: [{text}]")


def listeners(*texts: str, extra: str = "") -> Mapping[str, Any]:
    """A Gateway."""
    found = ", ".join("{" + text + "}" for text in texts)
    return made("Gateway", f"{{gatewayClassName: weir, listeners: [{found}]{extra}}}")


def made(kind: str, spec: str, *, name: str = "x", version: str = GROUP) -> Mapping[str, Any]:
    """Any object; ``spec`` is YAML."""
    metadata: dict[str, Any] = {"name": name, "creationTimestamp": "2026-01-02T00:00:00Z"}
    if kind != "GatewayClass":
        metadata["namespace"] = "d"
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": yaml.safe_load(spec)}


def grant(spec: str) -> Mapping[str, Any]:
    """A ReferenceGrant."""
    return made("ReferenceGrant", spec, version="gateway.networking.k8s.io/v1beta1")


def policy(spec: str) -> Mapping[str, Any]:
    """A BackendTLSPolicy for a Service of its own."""
    return made("BackendTLSPolicy", f"{{targetRefs: [{{group: '', kind: Service, name: guarded}}], validation: {{{spec}}}}}")


HTTP = "name: http, port: 80, protocol: HTTP"
SET = "type: RequestHeaderModifier, requestHeaderModifier"
REDIRECT = "type: RequestRedirect, requestRedirect"
REWRITE = "type: URLRewrite, urlRewrite"
MIRROR = "type: RequestMirror, requestMirror"

UPSTREAM: Mapping[str, Mapping[str, Any]] = {
    "invalid-filter-externalauth-empty": filtered("type: ExternalAuth"),
    "invalid-filter-externalauth-bad-http-path": asking("protocol: HTTP, backendRef: {name: shop, port: 80}, http: {path: '/[]'}"),
    "invalid-filter-externalauth-no-protocol": asking(""),
    "invalid-header-value": filtered('type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: x-a, value: "a\\nb\\rc\\r\\nd"}]}'),
    "invalid-backend-kind": to("{kind: '*', name: shop, port: 80}"),
    "invalid-backend-group": to("{group: '*', name: shop, port: 80}"),
    "httproute-portless-backend": to("{name: shop}"),
    "httproute-portless-service": to("{name: shop, kind: Service, group: ''}"),
    "duplicate-header-match": match("headers: [{name: a, value: b}, {name: a, value: b}]"),
    "duplicate-query-match": match("queryParams: [{name: a, value: b}, {name: a, value: b}]"),
    "invalid-path-alphanum-specialchars-mix": match("path: {value: '/one[/]two'}"),
    "invalid-path-specialchars": match("path: {value: '/[]'}"),
    "invalid-filter-duplicate": filtered(f"{SET}: {{add: [{{name: x-a, value: a}}]}}", f"{SET}: {{add: [{{name: x-a, value: b}}]}}"),
    "invalid-filter-duplicate-header": filtered(f"{SET}: {{remove: [x-a, x-a]}}"),
    "invalid-filter-empty": filtered("type: RequestHeaderModifier"),
    "invalid-filter-wrong-field": alone("type: RequestHeaderModifier, requestRedirect: {port: 443}"),
    "invalid-hostname": route(BACKEND, hosts="['http://a<']"),
    "invalid-httpredirect-hostname": alone(f"{REDIRECT}: {{hostname: '*.x.example'}}"),
    "invalid-backend-port": to("{name: shop, port: 800080}"),
    "invalid-header-name": match("headers: [{name: magic/, value: a}]"),
    "invalid-method": match("method: NOTREAL"),
    "invalid-request-redirect-with-backendref": filtered(f"{REDIRECT}: {{scheme: https, statusCode: 301}}"),
    "invalid-listener-port": listeners("name: http, port: 123456789, protocol: HTTP"),
    "hostname-tcp": listeners("name: tcp, port: 80, protocol: TCP, hostname: x.example"),
    "tlsconfig-tcp": listeners(f"name: tcp, port: 443, protocol: TCP, tls: {{{CERTIFICATE}}}"),
    "hostname-udp": listeners("name: udp, port: 80, protocol: UDP, hostname: x.example"),
    "invalid-listener-name": listeners("name: bad>, port: 80, protocol: HTTP"),
    "invalid-addresses": listeners(HTTP, extra=", addresses: [{value: '1.1.1'}, {value: ':::1234::'}, {type: Hostname, value: 'x.example:80'}, {type: example.com/custom, value: any}]"),
    "invalid-tls-mode": listeners("name: tls, port: 443, protocol: HTTPS, tls: {mode: Passthrough}"),
    "duplicate-listeners": listeners("name: same, port: 80, protocol: HTTP", "name: same, port: 443, protocol: HTTP"),
    "missing-from": grant("{to: [{group: '', kind: Service}]}"),
    "missing-to": grant("{from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: e}]}"),
    "missing-ns": grant("{from: [{group: gateway.networking.k8s.io, kind: HTTPRoute}], to: [{group: '', kind: Service}]}"),
    "invalid-controller": made("GatewayClass", "{controllerName: weirkeeper}"),
    "no-hostname": made("TLSRoute", "{parentRefs: [{name: g}], rules: [{backendRefs: [{name: shop}]}]}"),
    "invalid-hostname-tls": made("TLSRoute", "{parentRefs: [{name: g}], hostnames: ['http://a<'], rules: [{backendRefs: [{name: shop}]}]}"),
}  # fmt: skip

OURS: Mapping[str, Mapping[str, Any]] = {
    "path-of-an-unknown-type": match("path: {type: Suffix, value: /a}"),
    "path-without-a-slash": match("path: {value: a}"),
    "path-that-goes-up": match("path: {value: /a/../b}"),
    "path-that-goes-up-encoded": match("path: {value: /a/%2e%2e/b}"),
    "path-with-two-slashes": match("path: {value: /a//b}"),
    "path-with-a-query": match("path: {value: '/a?b=c'}"),
    "path-with-a-fragment": match("path: {value: '/a#b'}"),
    "path-with-a-line": match('path: {value: "/a\\nb"}'),
    "expression-that-is-none": match("path: {type: RegularExpression, value: '/('}"),
    "expression-with-a-back-reference": match("path: {type: RegularExpression, value: '/(a)\\1'}"),
    "expression-that-looks-ahead": match("path: {type: RegularExpression, value: '/(?=a)'}"),
    "expression-too-large": match("path: {type: RegularExpression, value: '/((a{100}){100}){100}'}"),
    "header-by-a-bad-expression": match("headers: [{type: RegularExpression, name: a, value: '['}]"),
    "header-without-a-name": match("headers: [{name: '', value: a}]"),
    "header-value-with-a-line": match('headers: [{name: a, value: "a\\nb"}]'),
    "parameter-by-a-bad-expression": match("queryParams: [{type: RegularExpression, name: a, value: '['}]"),
    "parameter-without-a-name": match("queryParams: [{name: '', value: a}]"),
    "method-with-a-space": match("method: 'GET /'"),
    "filter-of-an-unknown-type": filtered("type: Magic"),
    "filter-of-somebody-else": filtered("type: ExtensionRef, extensionRef: {group: example.com, kind: Magic, name: m}"),
    "redirect-and-rewrite": route(f"filters: [{{{REDIRECT}: {{port: 81}}}}, {{{REWRITE}: {{hostname: b.example}}}}]"),
    "rewrite-of-an-unknown-type": filtered(f"{REWRITE}: {{path: {{type: Magic, replaceFullPath: /a}}}}"),
    "rewrite-to-a-wildcard": filtered(f"{REWRITE}: {{hostname: '*.x.example'}}"),
    "rewrite-to-a-line": filtered(f'{REWRITE}: {{path: {{type: ReplaceFullPath, replaceFullPath: "/a\\r\\nb"}}}}'),
    "redirect-by-ftp": alone(f"{REDIRECT}: {{scheme: ftp}}"),
    "redirect-with-200": alone(f"{REDIRECT}: {{statusCode: 200}}"),
    "redirect-to-port-0": alone(f"{REDIRECT}: {{port: 0}}"),
    "redirect-to-a-line": alone(f'{REDIRECT}: {{hostname: "a\\nb"}}'),
    "mirror-to-nobody": filtered(f"{MIRROR}: {{backendRef: {{name: nobody, port: 80}}}}"),
    "mirror-to-a-secret": filtered(f"{MIRROR}: {{backendRef: {{kind: Secret, name: shop, port: 80}}}}"),
    "mirror-elsewhere-without-a-grant": filtered(f"{MIRROR}: {{backendRef: {{name: shop, namespace: e, port: 80}}}}"),
    "mirror-of-101-percent": filtered(f"{MIRROR}: {{backendRef: {{name: shop, port: 80}}, percent: 101}}"),
    "mirror-of-more-than-all": filtered(f"{MIRROR}: {{backendRef: {{name: shop, port: 80}}, fraction: {{numerator: 3, denominator: 2}}}}"),
    "mirror-of-nothing-of-nothing": filtered(f"{MIRROR}: {{backendRef: {{name: shop, port: 80}}, fraction: {{numerator: 1, denominator: -1}}}}"),
    "cors-of-an-origin-that-is-none": filtered("type: CORS, cors: {allowOrigins: ['not an origin']}"),
    "cors-of-a-header-that-is-none": filtered("type: CORS, cors: {allowOrigins: ['*'], allowHeaders: ['a b']}"),
    "cors-of-a-method-that-is-none": filtered("type: CORS, cors: {allowOrigins: ['*'], allowMethods: ['G T']}"),
    "header-to-set-without-a-name": filtered(f"{SET}: {{set: [{{name: '', value: a}}]}}"),
    "header-to-set-with-a-colon": filtered(f"{SET}: {{set: [{{name: 'a:b', value: a}}]}}"),
    "header-to-remove-that-is-none": filtered(f"{SET}: {{remove: ['a b']}}"),
    "authorization-by-magic": asking("protocol: MAGIC, backendRef: {name: shop, port: 80}"),
    "authorization-by-nobody": asking("protocol: HTTP, backendRef: {name: nobody, port: 80}, http: {path: /}"),
    "authorization-elsewhere-without-a-grant": asking("protocol: HTTP, backendRef: {name: shop, namespace: e, port: 80}, http: {path: /}"),
    "authorization-with-a-bad-header": asking("protocol: HTTP, backendRef: {name: shop, port: 80}, http: {allowedHeaders: ['a b']}"),
    "session-of-an-unknown-type": route(f"sessionPersistence: {{type: Magic}}, {BACKEND}"),
    "session-with-a-bad-name": route(f"sessionPersistence: {{sessionName: 'a;b'}}, {BACKEND}"),
    "session-for-ever-without-an-end": route(f"sessionPersistence: {{cookieConfig: {{lifetimeType: Permanent}}}}, {BACKEND}"),
    "session-that-ends-soon": route(f"sessionPersistence: {{absoluteTimeout: soon}}, {BACKEND}"),
    "time-limit-that-is-none": route(f"timeouts: {{request: soon}}, {BACKEND}"),
    "time-limit-below-zero": route(f"timeouts: {{backendRequest: -1s}}, {BACKEND}"),
    "pause-that-is-none": route(f"retry: {{attempts: 1, backoff: soon}}, {BACKEND}"),
    "backend-that-is-not-there": to("{name: nobody, port: 80}"),
    "backend-port-that-is-not-there": to("{name: shop, port: 81}"),
    "backend-elsewhere-without-a-grant": to("{name: shop, namespace: e, port: 80}"),
    "backend-of-port-0": to("{name: shop, port: 0}"),
    "backend-that-is-a-name-elsewhere": to("{name: outside, port: 80}"),
    "backend-of-a-strange-protocol": to("{name: strange, port: 80}"),
    "backend-with-a-redirect": to(f"{{name: shop, port: 80, filters: [{{{REDIRECT}: {{port: 81}}}}]}}"),
    "no-weight-at-all": to("{name: shop, port: 80, weight: 0}"),
    "weight-below-zero": to("{name: shop, port: 80, weight: -1}"),
    "section-that-is-not-there": route(BACKEND, parent="{name: g, sectionName: nothing}"),
    "port-that-is-not-there": route(BACKEND, parent="{name: g, port: 81}"),
    "gateway-elsewhere-that-lets-nobody-in": route(BACKEND, parent="{name: g, namespace: e}"),
    "host-that-is-an-address": route(BACKEND, hosts="[192.0.2.1]"),
    "host-with-a-star-inside": route(BACKEND, hosts="['a.*.example']"),
    "host-with-a-port": route(BACKEND, hosts="['x.example:80']"),
    "host-with-a-long-label": route(BACKEND, hosts=f"[{LONG}.example]"),
    "host-of-one-star": route(BACKEND, hosts="['*']"),
    "calls-with-a-slash": route(f"matches: [{{method: {{service: 'a/b/c', method: '/'}}}}], {BACKEND}", kind="GRPCRoute"),
    "calls-by-a-bad-expression": route(f"matches: [{{method: {{type: RegularExpression, service: '('}}}}], {BACKEND}", kind="GRPCRoute"),
    "calls-with-a-rewrite": route(f"filters: [{{{REWRITE}: {{hostname: b.example}}}}], {BACKEND}", kind="GRPCRoute"),
    "bytes-on-a-listener-of-requests": route(BACKEND, kind="TCPRoute"),
    "datagrams-on-a-listener-of-requests": route(BACKEND, kind="UDPRoute"),
    "tls-on-a-listener-of-requests": route(BACKEND, kind="TLSRoute"),
    "listener-of-an-unknown-protocol": listeners("name: x, port: 80, protocol: GOPHER"),
    "listener-of-https-without-a-certificate": listeners("name: x, port: 443, protocol: HTTPS, tls: {mode: Terminate}"),
    "listener-with-a-certificate-that-is-not-there": listeners(f"name: x, port: 443, protocol: HTTPS, tls: {{{CERTIFICATE}}}"),
    "listener-with-a-certificate-elsewhere": listeners("name: x, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c, namespace: e}]}"),
    "listener-with-a-config-map-for-a-certificate": listeners("name: x, port: 443, protocol: HTTPS, tls: {certificateRefs: [{kind: ConfigMap, name: c}]}"),
    "listeners-of-two-protocols-at-one-port": listeners(HTTP, f"name: tls, port: 80, protocol: HTTPS, tls: {{{CERTIFICATE}}}"),
    "listeners-of-one-host": listeners("name: a, port: 80, protocol: HTTP, hostname: x.example", "name: b, port: 80, protocol: HTTP, hostname: x.example"),
    "listener-of-routes-that-cannot-be-there": listeners(f"{HTTP}, allowedRoutes: {{kinds: [{{kind: TCPRoute}}]}}"),
    "listener-of-routes-of-somebody-else": listeners(f"{HTTP}, allowedRoutes: {{kinds: [{{group: example.com, kind: Magic}}]}}"),
    "listener-of-namespaces-that-nothing-says": listeners(f"{HTTP}, allowedRoutes: {{namespaces: {{from: Selector}}}}"),
    "listener-with-a-filter-that-guards-it": listeners(f"{HTTP}, filters: {{requests: [{{type: ExternalAuth, externalAuth: {{}}}}]}}"),
    "listener-of-an-address-for-a-host": listeners(f"{HTTP}, hostname: 192.0.2.1"),
    "parameters-that-are-not-there": listeners(HTTP, extra=", infrastructure: {parametersRef: {group: weirkeeper.io, kind: LoadBalancerClassParameters, name: nothing}}"),
    "parameters-of-somebody-else": listeners(HTTP, extra=", infrastructure: {parametersRef: {group: example.com, kind: Magic, name: m}}"),
    "clients-by-authorities-that-are-not-there": listeners(f"name: x, port: 443, protocol: HTTPS, tls: {{{CERTIFICATE}}}", extra=", tls: {frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}}}"),
    "listeners-for-a-gateway-that-wants-none": made("ListenerSet", "{parentRef: {name: g}, listeners: [{name: more, port: 8080, protocol: HTTP}]}"),
    "listeners-for-no-gateway": made("ListenerSet", "{parentRef: {name: nobody}, listeners: [{name: more, port: 8080, protocol: HTTP}]}"),
    "policy-without-authorities": policy("hostname: shop.example, caCertificateRefs: [{group: '', kind: ConfigMap, name: nothing}]"),
    "policy-for-a-wildcard": policy("hostname: '*.example', wellKnownCACertificates: System"),
    "policy-by-an-unknown-platform": policy("hostname: shop.example, wellKnownCACertificates: Magic"),
    "class-with-parameters-that-are-not-there": made("GatewayClass", "{controllerName: weirkeeper.io/gateway, parametersRef: {group: weirkeeper.io, kind: LoadBalancerClassParameters, name: nothing}}"),
    "grant-for-another-kind": grant("{from: [{group: gateway.networking.k8s.io, kind: TLSRoute, namespace: e}], to: [{group: '', kind: Service}]}"),
    "grant-for-another-name": grant("{from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: e}], to: [{group: '', kind: Service, name: other}]}"),
}  # fmt: skip

MISTAKES: Mapping[str, Mapping[str, Any]] = {**UPSTREAM, **OURS}
_EXPECTED = {
    "UnsupportedValue: 500": """
        invalid-filter-externalauth-empty invalid-filter-externalauth-bad-http-path invalid-filter-externalauth-no-protocol invalid-header-value
        invalid-filter-duplicate invalid-filter-empty invalid-filter-wrong-field invalid-httpredirect-hostname
        invalid-request-redirect-with-backendref filter-of-an-unknown-type filter-of-somebody-else redirect-and-rewrite rewrite-of-an-unknown-type
        rewrite-to-a-wildcard rewrite-to-a-line redirect-by-ftp redirect-with-200 redirect-to-port-0 redirect-to-a-line mirror-of-101-percent
        mirror-of-more-than-all mirror-of-nothing-of-nothing cors-of-an-origin-that-is-none cors-of-a-header-that-is-none
        cors-of-a-method-that-is-none header-to-set-without-a-name header-to-set-with-a-colon header-to-remove-that-is-none authorization-by-magic
        authorization-with-a-bad-header session-of-an-unknown-type session-with-a-bad-name session-for-ever-without-an-end session-that-ends-soon
        time-limit-that-is-none time-limit-below-zero pause-that-is-none backend-with-a-redirect calls-with-a-rewrite
    """,
    "InvalidKind: 500": """
        invalid-backend-kind invalid-backend-group
    """,
    "BackendNotFound: 500": """
        httproute-portless-backend httproute-portless-service invalid-backend-port authorization-by-nobody backend-that-is-not-there
        backend-port-that-is-not-there backend-of-port-0
    """,
    "well: d/shop/80": """
        duplicate-header-match duplicate-query-match invalid-filter-duplicate-header invalid-method
    """,
    "UnsupportedValue: nothing": """
        invalid-path-alphanum-specialchars-mix invalid-path-specialchars invalid-header-name path-of-an-unknown-type path-without-a-slash
        path-that-goes-up path-that-goes-up-encoded path-with-two-slashes path-with-a-query path-with-a-fragment path-with-a-line
        expression-that-is-none expression-with-a-back-reference expression-that-looks-ahead expression-too-large header-by-a-bad-expression
        header-without-a-name header-value-with-a-line parameter-by-a-bad-expression parameter-without-a-name method-with-a-space
        calls-by-a-bad-expression
    """,
    "NoMatchingListenerHostname: nothing": """
        invalid-hostname host-that-is-an-address host-with-a-star-inside host-with-a-port host-with-a-long-label host-of-one-star
    """,
    "ListenersNotValid PortUnavailable: nothing": """
        invalid-listener-port
    """,
    "ListenersNotValid UnsupportedValue: nothing": """
        hostname-tcp tlsconfig-tcp hostname-udp invalid-tls-mode listener-with-a-filter-that-guards-it listener-of-an-address-for-a-host
    """,
    "well: nothing": """
        invalid-listener-name duplicate-listeners listener-of-namespaces-that-nothing-says
    """,
    "UnsupportedAddress: nothing": """
        invalid-addresses
    """,
    "untold: nothing": """
        missing-from missing-to missing-ns invalid-controller listeners-for-no-gateway grant-for-another-kind grant-for-another-name
    """,
    "NotAllowedByListeners BackendNotFound: nothing": """
        no-hostname invalid-hostname-tls datagrams-on-a-listener-of-requests
    """,
    "BackendNotFound: d/shop/80": """
        mirror-to-nobody
    """,
    "InvalidKind: d/shop/80": """
        mirror-to-a-secret
    """,
    "RefNotPermitted: d/shop/80": """
        mirror-elsewhere-without-a-grant
    """,
    "RefNotPermitted: 500": """
        authorization-elsewhere-without-a-grant backend-elsewhere-without-a-grant
    """,
    "UnsupportedProtocol: 500": """
        backend-that-is-a-name-elsewhere backend-of-a-strange-protocol
    """,
    "well: 500": """
        no-weight-at-all weight-below-zero
    """,
    "NoMatchingParent: nothing": """
        section-that-is-not-there port-that-is-not-there
    """,
    "NotAllowedByListeners: nothing": """
        gateway-elsewhere-that-lets-nobody-in bytes-on-a-listener-of-requests tls-on-a-listener-of-requests
    """,
    "well: d/shop/80~grpc": """
        calls-with-a-slash
    """,
    "ListenersNotValid UnsupportedProtocol: nothing": """
        listener-of-an-unknown-protocol
    """,
    "ListenersNotValid InvalidCertificateRef: nothing": """
        listener-of-https-without-a-certificate listener-with-a-certificate-that-is-not-there listener-with-a-config-map-for-a-certificate
    """,
    "ListenersNotValid RefNotPermitted: nothing": """
        listener-with-a-certificate-elsewhere
    """,
    "ListenersNotValid ProtocolConflict InvalidCertificateRef: nothing": """
        listeners-of-two-protocols-at-one-port
    """,
    "ListenersNotValid HostnameConflict: nothing": """
        listeners-of-one-host
    """,
    "ListenersNotValid InvalidRouteKinds: nothing": """
        listener-of-routes-that-cannot-be-there listener-of-routes-of-somebody-else
    """,
    "InvalidParameters: nothing": """
        parameters-that-are-not-there parameters-of-somebody-else class-with-parameters-that-are-not-there
    """,
    "ListenersNotValid NoValidCACertificate InvalidCertificateRef: nothing": """
        clients-by-authorities-that-are-not-there
    """,
    "NotAllowed: nothing": """
        listeners-for-a-gateway-that-wants-none
    """,
    "NoValidCACertificate InvalidCACertificateRef: nothing": """
        policy-without-authorities
    """,
    "Invalid: nothing": """
        policy-for-a-wildcard
    """,
    "NoValidCACertificate: nothing": """
        policy-by-an-unknown-platform
    """,
}
"""Why it is not well (``untold``: nothing can be said of it, or not by us), and what its requests get."""
EXPECTED: Mapping[str, str] = {name: said for said, names in _EXPECTED.items() for name in names.split()}

_TAKEN = """
path-that-goes-up-encoded expression-that-is-none expression-with-a-back-reference expression-that-looks-ahead expression-too-large
header-by-a-bad-expression parameter-by-a-bad-expression filter-of-somebody-else rewrite-to-a-line mirror-to-nobody mirror-to-a-secret
mirror-elsewhere-without-a-grant header-to-remove-that-is-none authorization-by-nobody authorization-elsewhere-without-a-grant
authorization-with-a-bad-header session-with-a-bad-name backend-that-is-not-there backend-port-that-is-not-there backend-elsewhere-without-a-grant
backend-that-is-a-name-elsewhere backend-of-a-strange-protocol backend-with-a-redirect no-weight-at-all section-that-is-not-there
port-that-is-not-there gateway-elsewhere-that-lets-nobody-in host-that-is-an-address host-with-a-long-label calls-by-a-bad-expression
bytes-on-a-listener-of-requests datagrams-on-a-listener-of-requests tls-on-a-listener-of-requests listener-of-an-unknown-protocol
listener-with-a-certificate-that-is-not-there listener-with-a-certificate-elsewhere listener-with-a-config-map-for-a-certificate
listeners-of-two-protocols-at-one-port listener-of-routes-that-cannot-be-there listener-of-routes-of-somebody-else
listener-of-namespaces-that-nothing-says listener-with-a-filter-that-guards-it listener-of-an-address-for-a-host parameters-that-are-not-there
parameters-of-somebody-else clients-by-authorities-that-are-not-there listeners-for-a-gateway-that-wants-none listeners-for-no-gateway
policy-without-authorities class-with-parameters-that-are-not-there grant-for-another-kind grant-for-another-name
"""
TAKEN = frozenset(_TAKEN.split())
"""Those that the schema of v1.6.3's experimental channel lets pass: an API server refuses all others."""
