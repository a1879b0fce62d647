"""What Ingresses are migrated to is taken by a real API server with the kinds as upstream publishes them; and a cluster is read as a folder is."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from weirkeeper.cli.main import app
from weirkeeper.testing.apiserver_real import ApiServer, api_server

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from gateway_release import release

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("migrate")]

ROOT = Path(__file__).parents[2]
KINDS = ("backendtlspolicies", "gatewayclasses", "gateways", "httproutes", "listenersets", "referencegrants", "tcproutes", "tlsroutes", "udproutes")
FOLDERS = [path.parent for path in (ROOT / "tests" / "golden").glob("*/in.yaml") if "kind: Ingress\n" in path.read_text()]
NOTES = {
    "enable-cors": "true", "cors-allow-headers": "*", "cors-max-age": "0", "upstream-vhost": "inner.example:81", "x-forwarded-prefix": "/outer", "rewrite-target": "/base/$2",
    "affinity": "cookie", "session-cookie-max-age": "90061", "proxy-next-upstream": "error http_503", "auth-url": "http://auth.live.svc:80/ask", "auth-response-headers": "X-User",
    "mirror-target": "http://web.live.svc:80/", "connection-proxy-header": "keep-alive", "custom-headers": "told",
}  # fmt: skip


@pytest.fixture(scope="module")
def kinds() -> Iterator[ApiServer]:
    """An API server of its own with the standard channel."""
    with api_server() as server:
        define(server, "standard", KINDS)
        yield server


def define(server: ApiServer, channel: str, kinds: tuple[str, ...]) -> None:
    files = [str(release() / "config" / "crd" / channel / f"gateway.networking.k8s.io_{kind}.yaml") for kind in kinds]
    server.kubectl("apply", "--server-side", "--force-conflicts", *(part for file in files for part in ("-f", file)))
    server.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{kind}.gateway.networking.k8s.io" for kind in kinds))


def weir(*arguments: object, code: int | None = None) -> dict:
    done = CliRunner().invoke(app, ["migrate", "ingress", *(str(one) for one in arguments), "--json"])
    assert done.exit_code in ({0, 1} if code is None else {code}), done.output
    return json.loads(done.stdout) if done.stdout else {}


def taken(server: ApiServer, manifests: list[dict]) -> int:
    """Applies them all: a field that the kinds do not have is refused."""
    places = sorted({one["metadata"]["namespace"] for one in manifests if "namespace" in one["metadata"]})
    listed = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in places]
    for some in (listed, manifests):
        server.kubectl("apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-", stdin=yaml.safe_dump_all(some))
    return len(manifests)


def noted() -> list[dict]:
    """An Ingress with whatever has an equivalent, paths and hosts of every kind, and more hosts than a Gateway has listeners."""
    hosts = [f"h{number}.example" for number in range(70)]
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    paths = [{"path": f"{path}(/|$)(.*)", "pathType": "ImplementationSpecific", "backend": backend} for path in ("/a", "/a/b", "/A_c~d", "/a-very/long-one")]
    rules = [{"host": host, "http": {"paths": paths}} for host in ("noted.example", "*.noted.example")]
    plain = [{"host": host, "http": {"paths": [{"path": "/x%20y;z=1", "pathType": "Exact", "backend": backend}]}} for host in hosts]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "live"}, "spec": {"ports": [{"name": "web", "port": 80}]}}

    def ingress(name: str, notes: dict[str, str], **spec: object) -> dict:
        annotations = {f"nginx.ingress.kubernetes.io/{key}": text for key, text in notes.items()}
        metadata = {"name": name, "namespace": "live", "annotations": annotations}
        return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": {"ingressClassName": "nginx", **spec}}

    told = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "told", "namespace": "live"}, "data": {"X-Told": "yes"}}
    auth = {**service, "metadata": {"name": "auth", "namespace": "live"}}
    canary = {"canary": "true", "canary-by-header": "X-Next", "canary-by-header-pattern": "a.*", "canary-by-cookie": "next.x", "canary-weight": "10"}
    return [
        ingress("noted", NOTES, rules=rules, tls=[{"hosts": ["noted.example", "*.noted.example"], "secretName": "held"}], defaultBackend=backend),
        ingress("many", {"permanent-redirect": "https://else.example:8443/x?y=1", "permanent-redirect-code": "300"}, rules=plain, tls=[{"hosts": hosts, "secretName": "held"}]),
        ingress("main", {"app-root": "/start", "from-to-www-redirect": "true"}, rules=[{"host": "main.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]),
        ingress("next", canary, rules=[{"host": "main.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]),
        service, auth, told,
    ]  # fmt: skip


def test_the_server_takes_what_folders_become(kinds: ApiServer) -> None:
    made = [one for folder in [*FOLDERS, ROOT / "examples" / "shop"] for one in weir(folder)["manifests"]]
    assert taken(kinds, made) >= 70


def test_a_cluster_is_read_as_a_folder_is(kinds: ApiServer, tmp_path: Path) -> None:
    written = tmp_path / "noted.yaml"
    written.write_text(yaml.safe_dump_all(noted()))
    of_class = {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}}
    taken(kinds, [{**of_class, "metadata": {"name": "nginx"}}, *noted()])
    live, folder = weir("--live", "--kubeconfig", kinds.kubeconfig_file()), weir(written)
    assert live["manifests"] == folder["manifests"]
    assert live["report"] == folder["report"]
    assert taken(kinds, live["manifests"]) >= 10


def test_who_may_not_read_ingresses_is_told_so(kinds: ApiServer) -> None:
    assert weir("--live", "--kubeconfig", kinds.kubeconfig_file("user"), code=2) == {}


def test_the_server_takes_the_experimental_channel(kinds: ApiServer, tmp_path: Path) -> None:
    written = tmp_path / "noted.yaml"
    written.write_text(yaml.safe_dump_all(noted()))
    define(kinds, "experimental", ("httproutes",))
    manifests = weir(written, "--channel", "experimental")["manifests"]
    rules = [rule for one in manifests if one["kind"] == "HTTPRoute" for rule in one["spec"]["rules"]]
    filters = {one["type"] for rule in rules for one in rule.get("filters", ())}
    assert filters == {"CORS", "ExternalAuth", "RequestHeaderModifier", "RequestMirror", "RequestRedirect", "ResponseHeaderModifier", "URLRewrite"}
    assert any("retry" in rule and "sessionPersistence" in rule for rule in rules)
    taken(kinds, manifests)
