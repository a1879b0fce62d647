"""The packages under deploy/, as the tools that people use make objects of them: kustomize (in kubectl) and Helm.

Comes in: folders. Goes out: objects by kind, namespace and name. `run` sees to it that there is a Helm.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import manifests
import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUSTOMIZE, CHART = DEPLOY / "kustomize", DEPLOY / "helm" / "weirkeeper"
OVERLAYS = sorted(path.parent.name for path in (KUSTOMIZE / "overlays").glob("*/kustomization.yaml"))
COMPONENTS = sorted(path.parent.name for path in (KUSTOMIZE / "components").glob("*/kustomization.yaml"))
KUBERNETES = "1.30.0"
"""The oldest that the documentation promises."""


class Key(NamedTuple):
    """What no two objects share."""

    kind: str
    namespace: str
    name: str


Objects = dict[Key, dict]


def kustomized(folder: Path) -> Objects:
    """What `kubectl apply -k` would send."""
    return keyed(output("kubectl", "kustomize", str(folder)))


def charted(*arguments: str, release: str = "weirkeeper") -> Objects:
    """What `helm install` would send, with the namespace among it."""
    more = ("--namespace", release, "--kube-version", KUBERNETES, "--set", "namespace.create=true")
    return keyed(output(helm(), "template", release, str(CHART), *more, *arguments))


def helm() -> str:
    """The program."""
    found = os.environ.get("WEIR_TEST_HELM") or shutil.which("helm")
    if not found:
        pytest.skip("there is no helm")
    return found


def output(*command: str) -> str:
    """What a command printed; it has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def keyed(text: str) -> Objects:
    """The objects of a text; none is there twice."""
    found: Objects = {}
    for one in manifests.documents(text):
        key = Key(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"])
        assert key not in found, f"{key} is there twice"
        found[key] = with_settings_read(one)
    return found


def with_settings_read(one: dict) -> dict:
    """The object; a settings file in it is read, so that its spelling does not count."""
    file = one.get("data", {}).get("settings.yaml") if one["kind"] == "ConfigMap" else None
    return one if file is None else {**one, "data": {"settings.yaml": yaml.safe_load(file)}}
