"""Every annotation of an Ingress that names an object, each in a scene where it is one of another namespace; and the fields that have no namespace, whatever is written."""

import json
from collections.abc import Iterator
from typing import NamedTuple

from reference_rows import CA_MARKS, CLIENTS, FAR_PAIR, FAR_SERVICE, PAIR_MARKS, SERVICE_MARKS, inner, service

HASH = "{SHA}qvTGHdzF6KLavt4PO0gs2a6pQ00="
CLASS = """
kind: IngressClass
metadata: {{name: edge, annotations: {{ingressclass.kubernetes.io/is-default-class: "true"}}}}
spec: {{controller: weirkeeper.io/ingress, parameters: {{apiGroup: weirkeeper.io, kind: LoadBalancerClassParameters, name: edge}}}}
---
kind: LoadBalancerClassParameters
metadata: {{name: edge}}
spec: {{allowCrossNamespace: {allowed}}}
"""
ENDPOINT = SERVICE_MARKS[:1]
SHOP = service("shop", "d", "10.1.0.1")


class Row(NamedTuple):
    """``follows``: whether a class can allow it. ``status``: what requests get while it is refused; none: they are answered as if it did not stand there."""

    name: str
    ingress: str
    there: str
    marks: tuple[bytes, ...]
    follows: bool = True
    status: int | None = 503
    reason: str = "CROSS_NAMESPACE"


def secret(**entries: str) -> str:
    return f"kind: Secret\nmetadata: {{name: far, namespace: e}}\nstringData: {json.dumps(entries)}"


def ingress(annotations: dict[str, str] | None = None, service: str = "shop", more: str = "") -> str:
    notes = json.dumps({f"nginx.ingress.kubernetes.io/{name}": text for name, text in (annotations or {}).items()})
    backend = f"{{service: {{name: {service}, port: {{number: 80}}}}}}"
    return f"""
kind: Ingress
metadata: {{name: i, namespace: d, annotations: {notes}}}
spec: {{rules: [{{host: a.example, http: {{paths: [{{path: /, pathType: Prefix, backend: {backend}}}]}}}}]{more}}}
"""


def rows() -> Iterator[Row]:
    users = secret(auth=f"ann:{HASH}")
    basic = {"auth-type": "basic", "auth-secret": "e/far"}
    yield Row("auth-secret", ingress(basic), users, (HASH.encode(),))
    headers = "kind: ConfigMap\nmetadata: {name: far, namespace: e}\ndata: {x-far: very-secret}"
    asked = {"auth-url": "http://shop.d.svc.cluster.local:80/", "auth-proxy-set-headers": "e/far"}
    yield Row("auth-proxy-set-headers", ingress(asked), headers, (b"very-secret",))
    yield Row("custom-headers", ingress({"custom-headers": "e/far"}), headers, (b"very-secret",), status=None)
    trusted = secret(**{"ca.crt": CLIENTS.pem().decode()})
    yield Row("auth-tls-secret", ingress({"auth-tls-secret": "e/far"}), trusted, CA_MARKS)
    pair = CLIENTS.issue("us.example")
    shown = {"ca.crt": CLIENTS.pem().decode(), "tls.crt": pair.certificate.decode(), "tls.key": pair.key.decode()}
    marks = (*CA_MARKS, inner(pair.certificate), inner(pair.key))
    own = {"backend-protocol": "HTTPS", "proxy-ssl-secret": "e/far", "proxy-ssl-verify": "on"}
    yield Row("proxy-ssl-secret", ingress(own), secret(**shown), marks)
    # Names without a namespace: a slash in them makes none.
    pages = {"default-backend": "e/far", "custom-http-errors": "404"}
    yield Row("default-backend", ingress(pages), FAR_SERVICE, ENDPOINT, False, None, "SERVICE_NOT_FOUND")
    tls = ", tls: [{hosts: [a.example], secretName: e/far}]"
    yield Row("spec.tls[].secretName", ingress(more=tls), FAR_PAIR, PAIR_MARKS, False, 308, "SECRET_NOT_FOUND")
    led = ingress(service="e/far")
    yield Row("spec.rules[].backend", led, FAR_SERVICE, ENDPOINT, False, 503, "SERVICE_NOT_FOUND")
    last = ingress(more=", defaultBackend: {service: {name: e/far, port: {number: 80}}}")
    yield Row("spec.defaultBackend", last, FAR_SERVICE, ENDPOINT, False, None, "SERVICE_NOT_FOUND")


ROWS = tuple(rows())
ADDRESSES = {"auth-url", "mirror-target"}
"""They hold URLs. A Service's name in one is an address like another, which says nothing of an object and shows nothing of it but its answers (docs/ingress.md)."""
ELSEWHERE = {"permanent-redirect", "temporal-redirect"}
"""URLs that clients are sent to: nobody here goes there."""
