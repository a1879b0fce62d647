"""`weir explain` for Gateway API: which listener, route and rule, what objects say of it, consents, what is not attached, and connections of bytes."""

from pathlib import Path

import pytest

GROUP = "gateway.networking.k8s.io"
SERVED = """\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: weir}
spec: {controllerName: weirkeeper.io/gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: infra}
spec:
  gatewayClassName: weir
  listeners:
  - {name: every, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
  - {name: own, port: 80, protocol: HTTP, hostname: shop.example}
  - {name: sealed, port: 443, protocol: HTTPS, hostname: "*.example", tls: {certificateRefs: [{name: absent}]}}
  - {name: tls, port: 8443, protocol: TLS, hostname: "*.vault.example", tls: {mode: Passthrough}, allowedRoutes: {namespaces: {from: All}}}
  - {name: tcp, port: 5353, protocol: TCP, allowedRoutes: {namespaces: {from: All}}}
  - {name: udp, port: 5353, protocol: UDP, allowedRoutes: {namespaces: {from: All}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: blog, namespace: blog}
spec:
  parentRefs: [{name: front, namespace: infra, sectionName: every}]
  hostnames: [blog.example]
  rules:
  - name: pictures
    matches: [{path: {value: /pictures}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
    backendRefs: [{name: web, namespace: data, port: 80}]
  - matches: [{path: {value: /}, headers: [{name: X-Next, value: "yes"}]}, {path: {value: /}}]
    backendRefs: [{name: nobody, namespace: data, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: shop}
spec:
  parentRefs: [{name: front, namespace: infra, sectionName: own}]
  hostnames: [shop.example]
  rules: [{backendRefs: [{name: web, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: every, namespace: data}
spec: {parentRefs: [{name: front, namespace: infra, sectionName: tls}], rules: [{backendRefs: [{name: web, port: 80}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: one, namespace: data}
spec: {parentRefs: [{name: front, namespace: infra, sectionName: tls}], hostnames: [one.vault.example], rules: [{backendRefs: [{name: web, port: 80}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: names, namespace: data}
spec: {parentRefs: [{name: front, namespace: infra, sectionName: tcp}], rules: [{backendRefs: [{name: web, port: 80}]}]}
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: blogs, namespace: data}
spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: blog}], to: [{group: "", kind: Service, name: web}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: data}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: nobody, namespace: data}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web, namespace: data, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.0.0.1]}]
"""


@pytest.fixture
def served(tmp_path: Path) -> Path:
    (tmp_path / "all.yaml").write_text(SERVED)
    return tmp_path / "all.yaml"


@pytest.fixture
def explained(weir, served: Path):
    """The only answer to a URL, with the exit code."""

    def ask(url: str, *more: str) -> tuple[int, dict]:
        said = weir("explain", url, served, "--output", "json", *more)
        (one,) = said.json["answers"]
        return said.code, one

    return ask


def words(one: dict) -> set[str]:
    return {" ".join((word["object"]["kind"], word["object"]["name"], word.get("part", ""), word["type"], word.get("status", ""), word.get("reason", ""))) for word in one["objects"]}


def test_a_rule_is_named_with_its_route_listener_conditions_and_consent(weir, served: Path, explained) -> None:
    code, one = explained("http://blog.example/pictures/x")
    assert (code, one["rule"], one["decided_by"]["ref"]["name"], one["backend_path"]) == (0, "pictures", "blog", "/x")
    assert {
        "Gateway front listener every Accepted True Accepted", "HTTPRoute blog parent every Accepted True Accepted", "HTTPRoute blog parent every ResolvedRefs False RefNotPermitted", "ReferenceGrant blogs  Grant  ",
    } <= words(one)  # fmt: skip
    text = weir("explain", "http://blog.example/pictures/x", served).out
    assert "decided by  HTTPRoute blog/blog spec.rules[0], the rule pictures (all.yaml:" in text
    assert "conditions  Gateway infra/front listener every: Accepted, not Conflicted, ResolvedRefs\n" in text
    assert "consent     ReferenceGrant data/blogs lets every HTTPRoute of blog refer to the Service web\n" in text
    assert "2. ✗ / or below, header X-Next = yes: header X-Next = yes is wanted, it is absent" in text


def test_a_reference_without_consent_is_500_and_says_so(explained) -> None:
    code, one = explained("http://blog.example/", "--header", "X-Next: yes")
    assert (code, one["status"]) == (0, 500)
    assert not any(word["type"] == "Grant" for word in one["objects"])
    (wrong,) = [word for word in one["objects"] if word["type"] == "ResolvedRefs" and word["status"] == "False" and word["object"]["kind"] == "HTTPRoute"]
    assert "nobody" in wrong["message"]


def test_a_route_that_is_not_attached_is_named_with_the_reason(explained) -> None:
    code, one = explained("http://shop.example/")
    assert (code, one["status"]) == (1, 404)
    assert "HTTPRoute shop parent own Accepted False NotAllowedByListeners" in words(one)
    assert "Gateway front listener own Accepted True Accepted" in words(one)


def test_a_listener_without_its_certificate_says_so(explained) -> None:
    code, one = explained("https://shop.example/")
    assert code == 1
    assert any(word.startswith("Gateway front listener sealed ResolvedRefs False InvalidCertificateRef") for word in words(one))


@pytest.mark.parametrize(
    ("url", "code", "decided", "summary"),
    [
        ("tls://one.vault.example", 0, "one", "TLS goes unopened to data/web/80~tcp"),
        ("tls://x.vault.example:8443", 0, "every", "TLS goes unopened to data/web/80~tcp"),
        ("https://one.vault.example:8443/x", 0, "one", "TLS goes unopened to data/web/80~tcp"),
        ("tls://elsewhere.example", 1, None, "the connection is closed: no route takes it"),
        ("tcp://any:5353", 0, "names", "bytes go to data/web/80~tcp"),
        ("udp://any:5353", 1, None, "datagrams are dropped: no route takes it"),
        ("tcp://any:5354", 1, None, "nothing listens for tcp at port 5354 here"),
    ],
)
def test_connections_of_bytes(explained, url: str, code: int, decided: str | None, summary: str) -> None:
    said, one = explained(url)
    assert (said, one["summary"]) == (code, summary)
    assert (one["decided_by"]["ref"]["name"] if one.get("decided_by") else None) == decided


def test_a_narrower_name_goes_first_and_the_other_is_told(explained) -> None:
    _, one = explained("tls://one.vault.example")
    told = {verdict["origin"]["ref"]["name"]: verdict["why"] for verdict in one["considered"]}
    assert told == {"one": "the narrowest name that fits", "every": "fits too, but another route has a narrower name"}


def test_a_connection_without_a_port_is_refused(weir, served: Path) -> None:
    said = weir("explain", "tcp://any", served)
    assert said.code == 2
    assert "names no port" in said.err
