"""Our kinds in a real API server: they install, take what is right and refuse what is wrong."""

import json
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.cluster

BALANCER = """\
apiVersion: weirkeeper.io/v1alpha1
kind: LoadBalancer
metadata: {name: shop}
spec:
  provider: envoy
  listeners:
  - {name: http, port: 8080}
  - {name: https, port: 8443, protocol: https, secretRefs: [shop-tls]}
  backends:
  - {name: web, addresses: ["10.1.2.3:8080", "[fd00::1]:8080"]}
  - {name: cart, service: {name: cart, port: {number: 80}}, protocol: h2c}
  hosts:
  - hostname: shop.example
    routes:
    - {name: cart, path: {prefix: /cart}, methods: [GET, POST], forward: [{backend: cart, weight: 9}, {backend: web}]}
    - {path: {exact: /old}, redirect: {path: /new, status: 301}}
    - {path: {regex: "/v[0-9]+"}, headers: [{name: x-beta, value: "yes"}], respond: {status: 200, body: hello}}
    - {forward: [{backend: web}], rewrite: {host: inner.example}, requestHeaders: {set: [{name: x-a, value: b}]}}
"""

PARAMETERS = """\
apiVersion: weirkeeper.io/v1alpha1
kind: LoadBalancerClassParameters
metadata: {name: shop}
spec:
  provider: envoy
  ports: {http: 80, https: 0}
  defaultBackend: {namespace: shop, service: web, port: {name: http}}
  defaultCertificate: {namespace: shop, name: shop-tls}
  trustedHops: 1
  trustedRanges: [10.0.0.0/8]
  proxyProtocol: either
  hsts: {maxAgeSeconds: 60}
  timeouts: {requestSeconds: 0, idleSeconds: 30.5}
  tls: {minVersion: "1.3"}
"""

ROUTE = ("spec", "hosts", 0, "routes")
WRONG = [
    (BALANCER, ("spec", "listeners", 0, "port"), 70000, "spec.listeners[0].port"),
    (BALANCER, ("spec", "listeners", 0, "port"), "http", "spec.listeners[0].port"),
    (BALANCER, ("spec", "listeners", 0, "name"), "", "spec.listeners[0].name"),
    (BALANCER, ("spec", "listeners", 1, "protocol"), "sctp", "spec.listeners[1].protocol"),
    (BALANCER, ("spec", "listeners"), None, "spec.listeners"),
    (BALANCER, ("spec", "backends", 1, "protocol"), "h3", "spec.backends[1].protocol"),
    (BALANCER, ("spec", "backends", 1, "service", "port", "number"), 0, "spec.backends[1].service.port.number"),
    (BALANCER, (*ROUTE, 0, "path"), {"prefix": "/a", "exact": "/b"}, "spec.hosts[0].routes[0].path"),
    (BALANCER, (*ROUTE, 0, "path"), {"regex": "a" * 1025}, "spec.hosts[0].routes[0].path.regex"),
    (BALANCER, (*ROUTE, 0, "forward", 0, "weight"), -1, "spec.hosts[0].routes[0].forward[0].weight"),
    (BALANCER, (*ROUTE, 1, "redirect", "status"), 200, "spec.hosts[0].routes[1].redirect.status"),
    (BALANCER, (*ROUTE, 2, "respond", "status"), 99, "spec.hosts[0].routes[2].respond.status"),
    (BALANCER, (*ROUTE, 2, "headers", 0), {"name": "x"}, "spec.hosts[0].routes[2].headers[0].value"),
    (BALANCER, ("spec", "lisners"), [], "spec.lisners"),
    (PARAMETERS, ("spec", "ports", "http"), 65536, "spec.ports.http"),
    (PARAMETERS, ("spec", "defaultBackend"), {"service": "web"}, "spec.defaultBackend.namespace"),
    (PARAMETERS, ("spec", "proxyProtocol"), "v3", "spec.proxyProtocol"),
    (PARAMETERS, ("spec", "trustedHops"), -1, "spec.trustedHops"),
    (PARAMETERS, ("spec", "tls", "minVersion"), "1.4", "spec.tls.minVersion"),
    (PARAMETERS, ("spec", "timeouts", "idleSeconds"), -1, "spec.timeouts.idleSeconds"),
    (PARAMETERS, ("spec", "sslRedirect"), "no", "spec.sslRedirect"),
    (PARAMETERS, ("spec",), None, "spec"),
]


def changed(manifest: str, path: tuple[str | int, ...], value: object) -> str:
    """The manifest with another value at a path; with None the field is taken out."""
    whole = yaml.safe_load(manifest)
    at = whole
    for step in path[:-1]:
        at = at[step]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return yaml.safe_dump(whole)


def test_the_kinds_are_established(kubectl, crds_on_disk):
    listed = json.loads(kubectl.must("get", "crds", "-o", "json"))
    ours = {one["metadata"]["name"]: one for one in listed["items"] if one["spec"]["group"] == "weirkeeper.io"}
    assert set(ours) == crds_on_disk
    for name, one in ours.items():
        conditions = {condition["type"]: condition["status"] for condition in one["status"]["conditions"]}
        assert conditions["Established"] == "True", name
        assert conditions["NamesAccepted"] == "True", name
        assert "NonStructuralSchema" not in conditions, name


@pytest.mark.parametrize("manifest", [BALANCER, PARAMETERS], ids=["LoadBalancer", "LoadBalancerClassParameters"])
def test_what_is_right_is_kept_whole(kubectl, manifest):
    sent = yaml.safe_load(manifest)
    kept = json.loads(
        kubectl.must("create", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-", stdin=manifest)
    )
    assert missing(sent["spec"], kept["spec"]) == []


@pytest.mark.parametrize(
    ("manifest", "path", "value", "named"), WRONG, ids=[f"{n}-{w[3]}" for n, w in enumerate(WRONG)]
)
def test_what_is_wrong_is_refused_by_field(kubectl, manifest, path, value, named):
    said = kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=changed(manifest, path, value))
    assert said.code != 0
    assert named in said.error, said.error


@pytest.fixture
def crds_on_disk():
    return {yaml.safe_load(path.read_text())["metadata"]["name"] for path in (Path(__file__).parents[2] / "deploy" / "crds").glob("*.yaml")}


def missing(sent: object, kept: object, path: str = "spec") -> list[str]:
    """The fields that were sent and did not come back as they were; defaults that were added do not count."""
    if isinstance(sent, dict) and isinstance(kept, dict):
        return [lost for key in sent for lost in missing(sent[key], kept.get(key), f"{path}.{key}")]
    if isinstance(sent, list) and isinstance(kept, list) and len(sent) == len(kept):
        return [lost for n, (a, b) in enumerate(zip(sent, kept, strict=True)) for lost in missing(a, b, f"{path}[{n}]")]
    return [] if sent == kept else [path]
