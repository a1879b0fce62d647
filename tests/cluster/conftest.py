"""A namespace for each test in the cluster that KUBECONFIG names; `tests/cluster/run` says which that is. An install is made once, when the first test asks."""

import json
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CRDS = ROOT / "deploy" / "crds"

sys.path.insert(0, str(Path(__file__).parent))

from commands import Kubectl  # noqa: E402 - the path above leads to it
from installs import Install, OfAgents  # noqa: E402


@pytest.fixture(scope="session")
def crds() -> None:
    """Our kinds, installed as a user would."""
    assert os.environ.get("KUBECONFIG"), "start these tests with `make cluster`"
    kubectl = Kubectl()
    kubectl.must("apply", "-f", str(CRDS))
    kubectl.must("wait", "--for=condition=Established", "--timeout=150s", "-f", str(CRDS))


@pytest.fixture
def kubectl(crds: None) -> Iterator[Kubectl]:
    """kubectl in a new namespace, which goes with the test."""
    one = Kubectl(f"weir-test-{secrets.token_hex(4)}")
    one.must("create", "namespace", one.namespace)
    yield one
    one("delete", "ingress", "--all", "--wait=true")
    one.must("delete", "namespace", one.namespace, "--wait=false")


@pytest.fixture
def served_kinds(crds: None) -> set[tuple[str, str]]:
    """Every (apiVersion, kind) that this API server knows."""
    kubectl = Kubectl()
    found = set()
    for version in ("v1", *kubectl.must("api-versions").split()):
        path = f"/api/{version}" if version == "v1" else f"/apis/{version}"
        listed = json.loads(kubectl.must("get", "--raw", path))
        found |= {(version, one["kind"]) for one in listed["resources"]}
    return found


@pytest.fixture(scope="session")
def nodes(crds: None) -> list[str]:
    """The names of the nodes; installs share them out, so that no two want the same ports."""
    names = sorted(node["metadata"]["name"] for node in Kubectl().items("nodes"))
    assert len(names) >= 3, f"these tests need three nodes, there are {names}"
    return names


@pytest.fixture(scope="session")
def external(nodes: list[str]) -> Install:
    """The shipped install, with Envoys on two nodes."""
    install = Install("external", "weirkeeper", "external")
    install.apply(nodes[:2])
    return install


@pytest.fixture(scope="session")
def internal(nodes: list[str]) -> Install:
    """The shipped example of a second install, with an Envoy on the third node."""
    install = Install("internal", "internal-weirkeeper", "internal")
    install.apply(nodes[2:3])
    return install


@pytest.fixture(scope="session")
def haproxies(nodes: list[str]) -> Install:
    """An install that starts two HAProxies, on nodes of its choice; and two NGINXes, for another class."""
    install = OfAgents("agents-weirkeeper", (8090, 8490), 5.0)
    install.apply([])
    return install


@pytest.fixture(scope="session")
def nginxes(haproxies: Install) -> Install:
    """The class of that install with NGINXes."""
    return OfAgents("agents-nginx", (8091, 8491), 5.0)
