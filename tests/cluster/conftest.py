"""A namespace for each test in the cluster that KUBECONFIG names; `tests/cluster/run` says which that is."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
CRDS = ROOT / "deploy" / "crds"

sys.path.insert(0, str(Path(__file__).parent))


class Said(NamedTuple):
    """What kubectl said."""

    code: int
    out: str
    error: str


class Kubectl:
    """`kubectl`, in one namespace."""

    def __init__(self, namespace: str = "default") -> None:
        self.namespace = namespace

    def __call__(self, *arguments: str, stdin: str = "") -> Said:
        command = ["kubectl", "--namespace", self.namespace, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, check=False)
        return Said(done.returncode, done.stdout, done.stderr)

    def must(self, *arguments: str, stdin: str = "") -> str:
        said = self(*arguments, stdin=stdin)
        assert said.code == 0, f"kubectl {' '.join(arguments)}: {said.error}"
        return said.out


@pytest.fixture(scope="session")
def crds() -> None:
    """Our kinds, installed as a user would."""
    assert os.environ.get("KUBECONFIG"), "start these tests with `make cluster`"
    kubectl = Kubectl()
    kubectl.must("apply", "-f", str(CRDS))
    kubectl.must("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS))


@pytest.fixture
def kubectl(crds: None) -> Iterator[Kubectl]:
    """kubectl in a new namespace, which goes with the test."""
    one = Kubectl(f"weir-test-{secrets.token_hex(4)}")
    one.must("create", "namespace", one.namespace)
    yield one
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
