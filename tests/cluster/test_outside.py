"""An instance that somebody else runs, outside of the cluster: it registers by connecting, with a certificate for a token; its address comes with it and goes with it."""

import contextlib
import subprocess
import sys
from pathlib import Path

import lab
import pytest
from installs import Install, shown, until, until_answered, until_shown
from samples import echo, ingress, service

pytestmark = [pytest.mark.cluster, pytest.mark.engine]

PORT = 8088
BIN = Path(sys.executable).parent


@pytest.fixture(scope="session")
def install(nodes):
    """An install whose class has no instance in the cluster."""
    one = Install("fleet", "fleet-weirkeeper", "fleet")
    one.apply([])
    return one


def test_an_instance_outside_of_the_cluster_registers_by_connecting(install, kubectl, tmp_path):
    lab.home()  # elsewhere this machine need not reach pods
    kubectl.apply(echo("shop"), service("shop"), ingress("shop", install.of_class, "outside.example", "shop"))
    kubectl.must("rollout", "status", "deployment/shop", "--timeout=150s")
    own = own_address(install)
    with running(install, tmp_path, own):
        until_shown(kubectl, "shop", [own])
        until_answered(own, f"http://outside.example:{PORT}/", "shop")
    until(lambda: shown(kubectl, "shop") == [], "its address is gone")


def test_a_token_for_another_audience_gets_no_certificate(install, tmp_path):
    lab.home()
    done = subprocess.run(
        sidecar(install, tmp_path, "--once", audience="another"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert not (tmp_path / "certificate.json").exists()


def own_address(install):
    """The address of this machine that pods see."""
    (pod, *_) = install.control_plane()
    found = subprocess.run(["ip", "route", "get", pod["status"]["podIP"]], check=True, capture_output=True, text=True)
    words = found.stdout.split()
    return words[words.index("src") + 1]


@contextlib.contextmanager
def running(install, folder, own):
    """An Envoy here, while this lasts, with what `docs/fleet.md` says to start it with."""
    subprocess.run(sidecar(install, folder, "--once"), check=True, timeout=60)
    made = [
        "--control-plane",
        f"{service_address(install)}:18000",
        "--address",
        own,
        "--output",
        f"{folder}/bootstrap.json",
    ]
    subprocess.run([BIN / "weir", "bootstrap", *instance(install, folder), *made], check=True, timeout=60)
    with subprocess.Popen(
        [BIN / "envoy", "-c", f"{folder}/bootstrap.json", "--disable-hot-restart", "-l", "warn"]
    ) as envoy:
        try:
            yield
        finally:
            envoy.terminate()


def sidecar(install, folder, *more, audience="weirkeeper"):
    """The command that trades a token for a certificate."""
    token, roots = folder / "token", folder / "ca.crt"
    token.write_text(install.instances.must("create", "token", f"{install.name}-envoy", "--audience", audience))
    roots.write_text(install.instances.read("configmap", f"{install.name}-authority")["data"]["ca.crt"])
    files = ["--token-file", token, "--authority-file", roots]
    exchange = ["--control-plane", f"{service_address(install)}:18001"]
    return [BIN / "weir", "sidecar", *instance(install, folder), *exchange, *files, *more]


def instance(install, folder):
    """Which instance of which load balancer, and where its files are."""
    of = ["--load-balancer", f"ingress/{install.of_class}", "--instance", "outside"]
    return [*of, "--folder", folder, "--admin-socket", f"{folder}/admin.sock"]


def service_address(install):
    """The address of the control plane's Service."""
    return install.kubectl.read("service", install.name)["spec"]["clusterIP"]
