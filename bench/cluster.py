"""What a cluster benchmark stands on: `weir run` as a process of its own, a real Envoy as its instance, Traefik over the same API server.

Comes in: a kubeconfig and a folder. Goes out: running processes, where they listen, what they have used. The instance gets its certificate from the install's own
authority by hand (`weirkeeper.testing.instance`), as no pod is here to trade a token for it.
"""

import asyncio
import base64
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from bench.kube import CLASS, CONTROLLER, NAMESPACE, Api, Refusal, definitions, isolated, namespace
from bench.stand import WORKERS, child, wait_open
from weirkeeper.distribute.authority import AuthorityKeys, authority_from
from weirkeeper.model.text import Refused
from weirkeeper.providers.envoy.binary import envoy_binary
from weirkeeper.providers.envoy.processes import end, start
from weirkeeper.testing import apiserver_real
from weirkeeper.testing.engines import Admin, Usage, traefik_binary, usage_of
from weirkeeper.testing.instance import certify, instance_bootstrap
from weirkeeper.testing.ports import Ports, free_port

LOAD_BALANCER = f"ingress/{CLASS}"
SERVED = (18080, 18443)
"""Where engines listen inside a network of our own: statuses name these ports, and a state that is kept for the next run has statuses."""
ROOT = Path(__file__).parent.parent
PATIENCE = 120.0


UNLIMITED = ("--max-requests-inflight=0", "--max-mutating-requests-inflight=0", "--enable-priority-and-fairness=false")
"""Neither peers nor the loader are to wait for one another."""

KEPT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "weirkeeper-bench"


@contextlib.contextmanager
def real_api() -> Iterator[apiserver_real.ApiServer]:
    """etcd and kube-apiserver alone, with our kinds and the install's namespace."""
    with apiserver_real.api_server(arguments=UNLIMITED) as server:
        _furnish(server)
        yield server


def _furnish(server: apiserver_real.ApiServer) -> None:
    api = Api(server.kubeconfig())
    for one in (namespace(NAMESPACE), *definitions()):
        api.create(one)
    api.close()


@contextlib.contextmanager
def kept_api(name: str, fill: Callable[[str], None]) -> Iterator[apiserver_real.ApiServer]:
    """The same, filled. What `fill` brings is kept in a cache under this name, as etcd's own files: the next run of any benchmark begins with a copy of them."""
    with tempfile.TemporaryDirectory(prefix="weir-bench-api-", ignore_cleanup_errors=True) as folder, Ports() as ports:
        server = apiserver_real.ApiServer(Path(folder), ports, arguments=UNLIMITED)
        try:
            if (KEPT / name).exists():
                shutil.copytree(KEPT / name, Path(folder) / "etcd")
                server.start()
            else:
                _furnish(server.start())
                fill(server.kubeconfig())
                server.close()
                KEPT.mkdir(parents=True, exist_ok=True)
                shutil.copytree(Path(folder) / "etcd", KEPT / f".{name}.new")
                (KEPT / f".{name}.new").rename(KEPT / name)
                server.start()
            yield server
        finally:
            server.close()


class Weir:
    """`weir run`."""

    def __init__(self, place: Path, name: str) -> None:
        self.name, self.place = name, place
        self.ads, self.desk, self.health = (free_port() for _ in range(3))
        self.http, self.https = SERVED if isolated() else (free_port(), free_port())
        self.log = place / f"{name}.log"
        self.process: subprocess.Popen
        self.started = 0.0

    def command(self, kubeconfig: Path, more: tuple[str, ...]) -> list[str]:
        said = {
            "kubeconfig": kubeconfig, "namespace": NAMESPACE, "identity": self.name, "pod-address": "127.0.0.1", "http-port": self.http,
            "https-port": self.https, "ads-address": f"127.0.0.1:{self.ads}", "exchange-address": f"127.0.0.1:{self.desk}",
            "health-address": f"127.0.0.1:{self.health}", "state-directory": self.place / f"state-{self.name}",
        }  # fmt: skip
        return [sys.executable, "-m", "weirkeeper", "run", *(f"--{key}={value}" for key, value in said.items()), *more]

    @property
    def pid(self) -> int:
        return self.process.pid

    def usage(self) -> Usage:
        return usage_of(self.pid)

    def ask(self, path: str) -> str:
        """What the health server says to this; empty while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health}{path}", timeout=10) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.read().decode()
        except OSError:
            return ""

    def number(self, name: str) -> float:
        """A number of its own, over all labels."""
        found = re.findall(rf"^weirkeeper_{name}(?:\{{[^\n]*\}})? (\S+)$", self.ask("/metrics"), re.MULTILINE)
        return sum(map(float, found))

    def alive(self) -> None:
        if self.process.poll() is not None:
            raise RuntimeError(f"weir ended with {self.process.returncode}: {self.log.read_text()[-3000:]}")

    def ready(self, seconds: float = PATIENCE) -> float:
        """Wait for /readyz; seconds since its start."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.alive()
            if self.ask("/readyz").endswith("ok\n"):
                return time.monotonic() - self.started
            time.sleep(0.02)
        raise TimeoutError(f"weir is not ready: {self.ask('/readyz')}")


@contextlib.contextmanager
def weir(place: Path, kubeconfig: str, *, name: str = "bench", controller: str = CONTROLLER, like: Weir | None = None, more: tuple[str, ...] = ()) -> Iterator[Weir]:
    """A control plane with the product's defaults while the block runs; `like` another: at the same ports."""
    made = like or Weir(place, name)
    file = place / f"{name}.kubeconfig"
    file.write_text(kubeconfig)
    command = made.command(file, (f"--class-controllers={controller}", *more))
    made.started = time.monotonic()
    with child(command, made.log, cwd=ROOT) as made.process:
        yield made


def at_rest(plane: Weir, seconds: float = 300.0, share: float = 0.06) -> None:
    """Wait until it watches everything and has used less than that share of a core for some seconds: every status is written, every answer heard."""

    def watches() -> bool:
        plane.alive()
        return plane.number("feed_lost") == 0

    calm(plane.pid, watches, seconds=seconds, share=share)


def calm(pid: int, also: Callable[[], bool] = lambda: True, *, seconds: float, share: float) -> None:
    """Wait until a process has used less than that share of a core for some seconds, and the other thing holds."""
    deadline, calmly = time.monotonic() + seconds, 0
    while calmly < 2:
        before = usage_of(pid).cpu
        time.sleep(2.0)
        calmly = calmly + 1 if also() and usage_of(pid).cpu - before < 2 * share else 0
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {pid} does not come to rest: {usage_of(pid)}")


def keys_of(kubeconfig: str, plane: Weir, name: str = "weirkeeper", seconds: float = PATIENCE) -> AuthorityKeys:
    """The install's authority, once its leader has made it."""
    api, deadline = Api(kubeconfig), time.monotonic() + seconds
    try:
        while True:
            plane.alive()
            with contextlib.suppress(Refusal):
                found = api.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}-authority")
                keys = authority_from({key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()})
                if not isinstance(keys, Refused):
                    return keys
            if time.monotonic() > deadline:
                raise TimeoutError(f"the leader has made no authority: {plane.log.read_text()[-3000:]}")
            time.sleep(0.05)
    finally:
        api.close()


class Engine:
    """A real Envoy; `http` and `https` are where it listens once it was told."""

    def __init__(self, pid: int, admin: Path, http: int, https: int) -> None:
        self.pid, self._admin, self.http, self.https = pid, admin, http, https

    def admin(self, path: str) -> str:
        return asyncio.run(Admin(socket=self._admin, limit=60.0).ask(path))

    def usage(self) -> Usage:
        return usage_of(self.pid)

    def listens(self) -> bool:
        """Whether somebody takes connections where HTTP is to be served."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.http)) == 0


@contextlib.contextmanager
def envoy(
    place: Path, keys: AuthorityKeys, plane: Weir, *, name: str = "e0", address: str = "192.0.2.7", load_balancer: str = LOAD_BALANCER, port: int = 0
) -> Iterator[Engine]:
    """An instance of the install: it dials the control plane, whether that is there yet or not. `port`: where it is to serve HTTP, if not where classes of the install do."""
    folder = place / name
    certify(folder / "tls", keys, load_balancer, name)
    process, document = instance_bootstrap(folder, load_balancer, name, [f"127.0.0.1:{plane.ads}"], [address])
    binary = envoy_binary()
    assert binary is not None, "there is no Envoy on this machine"
    running = start(process, binary, document, WORKERS)
    try:
        yield Engine(running.pid, process.admin, port or plane.http, plane.https)
    finally:
        asyncio.run(end(process, running))


class Traefik(NamedTuple):
    """A running Traefik, and where it serves."""

    pid: int
    port: int


@contextlib.contextmanager
def traefik(place: Path, kubeconfig: str, *, name: str, throttle: str, provider: str = "kubernetesIngress", port: int = 0) -> Iterator[Traefik]:
    """A provider of Traefik over the same API server. An empty throttle is its default of two seconds; `port`: of the Gateway, whose listeners must name an entry point."""
    said, port = json.loads(kubeconfig), port or free_port()
    cluster, user = said["clusters"][0]["cluster"], said["users"][0]["user"]
    (place / "authority.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    wanted = f"{{endpoint: {json.dumps(cluster['server'])}, token: {json.dumps(user['token'])}, certAuthFilePath: {json.dumps(str(place / 'authority.crt'))}}}"
    (place / f"{name}.yml").write_text(
        "global: {checkNewVersion: false, sendAnonymousUsage: false}\n"
        f'entryPoints: {{web: {{address: "127.0.0.1:{port}", transport: {{keepAliveMaxRequests: 0}}}}}}\n'
        f"providers: {{{f'providersThrottleDuration: {throttle}, ' if throttle else ''}{provider}: {wanted}}}\nlog: {{level: ERROR}}\n"
    )
    with child([str(traefik_binary()), f"--configfile={place / name}.yml"], place / f"{name}.log", env={**os.environ, "HOME": str(place)}) as process:
        wait_open(port)
        yield Traefik(process.pid, port)
