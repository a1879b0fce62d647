"""Ports below 1024: the one capability that Envoy has on the network of a node, and none on the network of a pod. A real Envoy in a network namespace of its own."""

import subprocess
import tempfile
import time
from pathlib import Path

import lab
import pytest
import yaml

from weirkeeper.testing.engines.binaries import envoy_binary

pytestmark = [pytest.mark.cluster, pytest.mark.engine]

ROOT = Path(__file__).parents[2]
NODE, POD = 1024, 0
"""`ip_unprivileged_port_start` of a node, and of a pod that asks for it or whose runtime sets it."""
ONE = "net_bind_service"
USER = 65532
CONFIGURATION = """
admin: {address: {pipe: {path: ADMIN}}}
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: 80}}
    filter_chains:
    - filters:
      - name: echo
        typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo}
"""


def started(folder, start, user, capabilities):
    """What became of an Envoy that wants port 80, where ports from `start` on are anybody's: whether it listens, and what it has said."""
    (folder / "envoy.yaml").write_text(CONFIGURATION.replace("ADMIN", str(folder / "admin.sock")))
    (folder / "envoy.yaml").chmod(0o644)
    # that of the machine's programs that an image would have: they may lie where only root reads
    reads = "+dac_read_search"
    kept = ",".join(["-all", *(f"+{name}" for name in capabilities), reads])
    who = [f"--reuid={user}", f"--regid={user}", "--clear-groups", f"--ambient-caps=-all,{reads}"] if user else []
    run = [
        "setpriv", *who, f"--inh-caps=-all,{reads}" if user else "--inh-caps=-all", f"--bounding-set={kept}", "--no-new-privs",
        str(envoy_binary()), "-c", str(folder / "envoy.yaml"), "--disable-hot-restart", "-l", "warn", "--concurrency", "1",
    ]  # fmt: skip
    script = f'ip link set lo up && echo {start} > /proc/sys/net/ipv4/ip_unprivileged_port_start && exec "$@"'
    with (folder / "log").open("wb") as log, subprocess.Popen(["unshare", "--net", "sh", "-c", script, "sh", *run], stdout=log, stderr=log) as envoy:
        try:
            end = time.monotonic() + 30
            while envoy.poll() is None and not (listens := ":0050 " in _listening(envoy.pid)) and time.monotonic() < end:
                time.sleep(0.05)
            return envoy.poll() is None and listens, (folder / "log").read_text()
        finally:
            envoy.kill()


def _listening(pid):
    """The sockets of a process's network, as proc(5) has them: 50 is 80."""
    try:
        lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()
    except OSError:
        return ""
    return "\n".join(line for line in lines if " 0A " in line)


@pytest.fixture
def anybodys():
    """A folder in which every user may write."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.mark.parametrize(
    ("start", "user", "capabilities", "works"),
    [(NODE, 0, [ONE], True), (NODE, 0, [], False), (NODE, USER, [ONE], False), (POD, USER, [], True)],
    ids=["root with the one", "root without", "not root: it is no use", "not root, on a pod's network"],
)
def test_what_a_port_below_1024_takes(anybodys, start, user, capabilities, works):
    lab.home()  # it takes root
    listens, said = started(anybodys, start, user, capabilities)
    assert listens is works, said
    assert works or "Permission denied" in said


def shipped(name):
    """The pod that is shipped for a way to run instances."""
    return yaml.safe_load((ROOT / "deploy/kustomize/instances" / name / "envoy.yaml").read_text())["spec"]["template"]["spec"]


def test_what_is_shipped_has_that_and_nothing_more():
    node, pod = shipped("host-network"), shipped("load-balancer")
    for spec, user, added in ((node, 0, [ONE.upper()]), (pod, USER, [])):
        assert spec["securityContext"]["runAsUser"] == user
        for container in (*spec["initContainers"], *spec["containers"]):
            wished = {"drop": ["ALL"], "add": added} if container["name"] == "envoy" and added else {"drop": ["ALL"]}
            assert container["securityContext"]["capabilities"] == wished
            assert not container["securityContext"]["allowPrivilegeEscalation"]
    assert {"name": "net.ipv4.ip_unprivileged_port_start", "value": str(POD)} in pod["securityContext"]["sysctls"]
