"""What this repository shows to users is what a real API server takes, and what comes out of it is what we read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import manifests
import pytest

from weirkeeper.testing.eventually import poll_until
from weirkeeper.testing.ports import free_port

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "examples" / "shop"
GOLDEN = sorted((ROOT / "tests" / "golden").glob("*/in.yaml"))
ECHO_IMAGE = os.environ.get("WEIR_TEST_ECHO_IMAGE", "weirkeeper/echo")
SERVICES = ("web", "cart", "cart-next", "chat", "orders")
CLUSTER_SCOPED = {"IngressClass", "Namespace", "LoadBalancerClassParameters"}
GATEWAY = ("gateway.networking.k8s.io", "gateway.networking.x-k8s.io")  # its channels differ from cluster to cluster: tests/api/test_gateway_schemas.py asks for all of them
# Golden cases that show what an API server would not have let in, and the word by which it refuses.
REFUSED: dict[str, str] = {}

pytestmark = pytest.mark.cluster


def weir(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "weirkeeper", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, check=False)


def shop(namespace: str) -> list[dict]:
    """The example without what a cluster makes by itself: its namespace and its endpoints."""
    found = [one for path in sorted(SHOP.glob("*.yaml")) for one in manifests.documents(path.read_text())]
    kept = [one for one in found if one["kind"] not in ("Namespace", "EndpointSlice", "Secret")]
    return [one if one["kind"] in CLUSTER_SCOPED else manifests.placed(one, namespace) for one in kept]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.parent.name)
def test_golden_inputs_are_taken_unchanged(kubectl, served_kinds, path):
    read = [one for one in manifests.documents(path.read_text()) if not one["apiVersion"].startswith(GATEWAY)]
    known = [one for one in read if (one["apiVersion"], one["kind"]) in served_kinds]
    objects = [one if one["kind"] in CLUSTER_SCOPED else manifests.placed(one, kubectl.namespace) for one in known]
    assert objects, "a case in forms that no API server has any more brings something in a form that it has"
    said = kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=manifests.text(objects))
    if path.parent.name in REFUSED:
        assert REFUSED[path.parent.name] in said.error
    else:
        assert said.code == 0, said.error


def test_the_shop_is_taken_unchanged(kubectl):
    objects = shop(kubectl.namespace)
    assert {one["kind"] for one in objects} == {"Ingress", "IngressClass", "Service"}
    kubectl.must("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=manifests.text(objects))


def deployment(name: str) -> dict:
    labels = {"app": name}
    container = {
        "name": "echo", "image": ECHO_IMAGE, "args": ["--port", "8080", "--name", name],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
    }  # fmt: skip
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 1}},
        },
    }  # fmt: skip


def exported(kubectl) -> str:
    """What a person would type to take a look at a namespace from the outside."""
    kinds = "ingresses,services,endpointslices,secrets"
    classes = kubectl.must("get", "ingressclasses", "-o", "yaml")
    return classes + "---\n" + kubectl.must("get", kinds, "-o", "yaml")


def ready_pods(kubectl) -> int:
    slices = json.loads(kubectl.must("get", "endpointslices", "-o", "json"))["items"]
    return sum(bool(e["conditions"].get("ready")) for one in slices for e in one.get("endpoints") or ())


@pytest.fixture
def shop_in_cluster(kubectl, tmp_path):
    """The shop with real pods behind it, and its certificate made as the tour of any tutorial makes one."""
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90"]
    make += ["-subj", "/CN=api.localhost", "-addext", "subjectAltName=DNS:api.localhost"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    kubectl.must("create", "secret", "tls", "api-tls", f"--cert={certificate}", f"--key={key}")
    objects = shop(kubectl.namespace)
    kubectl.must("apply", "-f", "-", stdin=manifests.text([*objects, *map(deployment, SERVICES)]))
    poll_until(lambda: ready_pods(kubectl) == len(SERVICES), 120, what="a ready endpoint for each Service", pause=0.25)
    yield certificate
    for name in SERVICES:
        kubectl.must("delete", "deployment", name, "--wait=false")


def asked(url: str, *more: str) -> str:
    return subprocess.run(["curl", "-s", "-m", "20", *more, url], capture_output=True, text=True, check=False).stdout


def name(url: str, *more: str) -> str:
    said = asked(url, *more)
    return json.loads(said)["name"] if said.startswith("{") else said


@pytest.mark.engine
def test_what_is_read_back_is_checked_and_served(kubectl, shop_in_cluster, tmp_path):
    """Round trip: defaults, managed fields, statuses, resource versions and real EndpointSlices included."""
    text = exported(kubectl)
    report = json.loads(weir("check", "-", "--output", "json", stdin=text).stdout)
    ours = [one for one in report["findings"] if one["severity"] != "info"]
    assert (report["hosts"], ours) == (2, [])

    folder, log = tmp_path / "in", tmp_path / "log"
    folder.mkdir()
    (folder / "all.yaml").write_text(text)
    http, https = free_port(), free_port()
    command = [sys.executable, "-m", "weirkeeper", "up", folder, "--state-dir", tmp_path / "state"]
    command += ["--http-port", str(http), "--https-port", str(https)]
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            plain, secure = f"http://shop.localhost:{http}", f"https://api.localhost:{https}"
            poll_until(lambda: name(f"{plain}/") == "web", 90, what=f"{plain}/ answered by web")
            assert name(f"{plain}/cart/x", "-H", "x-canary: never") == "cart"
            assert name(f"{plain}/cart/x", "-H", "x-canary: always") == "cart-next"
            assert name(f"{secure}/v1/orders", "--cacert", str(shop_in_cluster)) == "orders"
            follows_a_scale_to_nothing(kubectl, folder / "all.yaml", f"{plain}/live")
        finally:
            process.terminate()
    assert "Traceback" not in log.read_text()


def follows_a_scale_to_nothing(kubectl, path: Path, url: str) -> None:
    assert name(url) == "chat"
    kubectl.must("scale", "deployment", "chat", "--replicas=0")
    poll_until(lambda: ready_pods(kubectl) == len(SERVICES) - 1, 120, what="no endpoint of chat", pause=0.25)
    path.write_text(exported(kubectl))
    status = ("-o", "/dev/null", "-w", "%{http_code}")
    poll_until(lambda: asked(url, *status) == "503", 60, what="503 once there is no pod")
