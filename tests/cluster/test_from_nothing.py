"""In a cluster without an install: what docs/install.md tells a newcomer to type, typed; and every overlay, rolled out from the shipped files until it answers."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

import lab
import pytest
from commands import Kubectl
from installs import HERE, ROOT, Install, shown, until, until_answered, until_shown
from packages import KUSTOMIZE, OVERLAYS
from samples import echo, ingress, service

pytestmark = [pytest.mark.cluster, pytest.mark.engine]

PAGE = ROOT / "docs" / "install.md"
LONGEST = 180.0
"""Seconds after which it hangs. What it takes (goal: a minute) is printed, and stands in docs/benchmarks.md: other tests run beside this one."""
GIVEN = "203.0.113.7"
ON_NODES = ("host-network", "development", "staging", "production")


def blocks(heading, kind):
    """The blocks of code of a section, by their language."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return re.findall(rf"^```{kind}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def typed(commands, folder):
    """The commands, typed one after the other; none may fail."""
    done = subprocess.run(["bash", "-euo", "pipefail"], input=commands, cwd=folder, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def nothing_installed(request, nodes):
    """No install in the cluster while this lasts; those of other tests come back."""
    there = [request.getfixturevalue(name) for name in ("external", "internal") if Kubectl()("get", "ingressclass", class_of(name)).code == 0]
    for install in there:
        install.remove()
    yield
    for install in there:
        install.apply([])


def class_of(name):
    """The class of an install of the other tests."""
    return {"external": "weirkeeper", "internal": "internal-weirkeeper"}[name]


@pytest.fixture
def desk(tmp_path):
    """A folder with the repository's deploy/ in it, and the kustomization of the page: with the lab's probe, and nothing else besides."""
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    mine = tmp_path / "my-install"
    mine.mkdir()
    (text,) = blocks("The image", "yaml")
    probe = os.path.relpath(HERE / "installs" / "lab-probe", mine)
    assert "components: [" in text
    (mine / "kustomization.yaml").write_text(text.replace("components: [", f"components: [{probe}, "))
    yield tmp_path
    typed("kubectl delete --ignore-not-found ingress/hello service/hello deployment/hello secret/hello-tls", tmp_path)
    typed("kubectl delete --ignore-not-found -k my-install", tmp_path)


def test_from_apply_to_the_first_answer_by_https(nothing_installed, desk: Path):
    install, attempt = blocks("Install", "sh")
    began = time.monotonic()
    typed(install, desk)
    answer = typed(attempt, desk)
    took = time.monotonic() - began
    print(f"from apply to the first answer by HTTPS: {took:.1f} s")
    assert '"name": "hello"' in answer or '"name":"hello"' in answer, answer
    assert took <= LONGEST


class Overlay(Install):
    """An overlay of ours, as it is, but for the lab's probe."""

    def __init__(self, name, at):
        super().__init__(name, "weirkeeper", "any")
        up = os.path.relpath(KUSTOMIZE, at)
        probe = os.path.relpath(HERE / "installs" / "lab-probe", at)
        text = f"resources: [{up}/overlays/{name}]\ncomponents: [{probe}]\n"
        (at / "kustomization.yaml").write_text(text)
        self.at = at

    def apply(self, nodes):
        said = Kubectl("")("apply", "-k", str(self.at))
        assert (said.code, said.error) == (0, ""), said.error  # a pod against the level of its namespace would be a warning
        self.rolled_out()

    def remove(self):
        self._removed(self.at)


@pytest.fixture(params=OVERLAYS)
def overlay(request, nothing_installed, tmp_path):
    one = Overlay(request.param, tmp_path)
    yield one
    one.remove()


def test_every_overlay_rolls_out_and_answers(overlay, kubectl, nodes):
    overlay.apply([])
    name, host = overlay.folder, f"{kubectl.namespace}.example"
    kubectl.apply(echo("shop"), service("shop"))
    kubectl.must("rollout", "status", "deployment/shop", "--timeout=150s")
    site = ingress("shop", overlay.of_class, host, "shop")
    site["metadata"]["annotations"] = {"scale": "1"} if name == "started" else {}
    kubectl.apply(site)
    if name in ON_NODES:
        until_shown(kubectl, "shop", overlay.addresses)
        assert len(overlay.addresses) == len(nodes)
        until_answered(overlay.addresses[0], f"http://{host}/", "shop")
    elif name == "load-balancer":
        given = {"status": {"loadBalancer": {"ingress": [{"ip": GIVEN}]}}}
        overlay.instances.must("patch", "service", "weirkeeper-envoy", "--subresource=status", "--type=merge", "-p", json.dumps(given))
        until_shown(kubectl, "shop", [GIVEN])
        for pod in overlay.instances.items("pods"):
            until_answered(pod["status"]["podIP"], f"http://{host}/", "shop")
    elif name == "external":
        assert overlay.instances.must("create", "token", "weirkeeper-envoy", "--audience=weirkeeper").count(".") == 2
        assert overlay.kubectl.read("service", "weirkeeper-outside")["spec"]["type"] == "LoadBalancer"
    else:
        address, port = started(overlay, kubectl, len(nodes) if name in {"node-port", "haproxy", "nginx"} else 1)
        with lab.client_from_outside() as client:
            until_answered(address, f"http://{host}:{port}/", "shop", source=client)


def started(overlay, kubectl, count):
    """Where instances that the control plane started are reached: an address that the status shows, and a port."""
    until(lambda: len(shown(kubectl, "shop")) == count, f"{count} addresses", LONGEST)
    front = overlay.instances.items("services")
    return shown(kubectl, "shop")[0], front[0]["spec"]["ports"][0]["nodePort"] if front else 80

