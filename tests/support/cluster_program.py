"""The control plane of a cluster over the fake API server, in the test's own loop, and the objects that tests put there.

In: nothing. Out: `Install`s that share one API server, and builders of objects.
"""

import asyncio
import base64
import io
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from weirkeeper.app.cluster import ClusterApplication
from weirkeeper.model.finding import Finding, Reason
from weirkeeper.runtime.logging import Log
from weirkeeper.settings import RunSettings
from weirkeeper.testing.apiserver import ApiServer
from weirkeeper.testing.certificates import PemPair
from weirkeeper.testing.client import fetch
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.ports import free_port

CLASS = "weirkeeper"
LOAD_BALANCER = "ingress/weirkeeper"
NAMESPACE = "weirkeeper"


def ingress_class(name: str = CLASS, controller: str = "weirkeeper.io/ingress") -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": name}, "spec": {"controller": controller},
    }  # fmt: skip


def service(name: str, namespace: str = "default", port: int = 80) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
        "spec": {"ports": [{"name": "http", "port": port, "targetPort": port}], "clusterIP": "10.96.0.10"},
    }  # fmt: skip


def endpoint_slice(name: str, address: str, port: int, namespace: str = "default") -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": f"{name}-1", "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }  # fmt: skip


def ingress(name: str, host: str, backend: str, namespace: str = "default", *, secret: str = "", class_name: str = CLASS,
            annotations: Mapping[str, str] | None = None) -> dict[str, Any]:  # fmt: skip
    paths = [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": backend, "port": {"number": 80}}}}]
    spec: dict[str, Any] = {"ingressClassName": class_name, "rules": [{"host": host, "http": {"paths": paths}}]}
    if secret:
        spec["tls"] = [{"hosts": [host], "secretName": secret}]
    meta = {"name": name, "namespace": namespace, "annotations": dict(annotations or {})}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta, "spec": spec}


def tls_secret(name: str, pair: PemPair, namespace: str = "default") -> dict[str, Any]:
    texts = {"tls.crt": pair.certificate, "tls.key": pair.key}
    return {
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": name, "namespace": namespace},
        "data": {key: base64.b64encode(value).decode() for key, value in texts.items()},
    }  # fmt: skip


class Install:
    """One replica of an install."""

    def __init__(self, root: Path, server: str, name: str = "replica-0", **settings: Any) -> None:
        self.root = root / name
        self.root.mkdir(parents=True, exist_ok=True)
        kubeconfig = self.root / "kubeconfig"
        kubeconfig.write_text(server)
        self.http_port, self.https_port = free_port(), free_port()
        self.ads_port, self.desk_port = free_port(), free_port()
        self.settings = RunSettings(
            **{
                "kubeconfig": str(kubeconfig), "namespace": NAMESPACE, "identity": name, "pod_address": "127.0.0.1",
                "http_port": self.http_port, "https_port": self.https_port, "ads_address": f"127.0.0.1:{self.ads_port}",
                "exchange_address": f"127.0.0.1:{self.desk_port}", "health_address": "127.0.0.1:0",
                "state_directory": str(self.root / "state"), "loopback_endpoints": True, "grace_seconds": 0.5,
                "drain_seconds": 0.3, "lease_seconds": 2.0, "renew_seconds": 1.4, "retry_seconds": 0.3, "log_format": "text", **settings,
            }
        )  # fmt: skip
        self.log = io.StringIO()
        self.stop = asyncio.Event()

    @property
    def server(self) -> str:
        return f"127.0.0.1:{self.ads_port}"

    async def start(self) -> None:
        self.app = await ClusterApplication.connected(self.settings, Log(self.log))
        self.task = asyncio.create_task(self.app.run(self.stop), name=self.settings.identity)

    async def ready(self) -> None:
        async def look() -> bool:
            assert not self.task.done(), self.task
            return not self.app.unready()

        await eventually(look, 60, what=f"{self.settings.identity} is ready")

    async def end(self) -> None:
        self.stop.set()
        await asyncio.wait_for(self.task, 60)


@asynccontextmanager
async def running(*installs: Install) -> AsyncIterator[None]:
    """These replicas, ready, until the block ends."""
    try:
        for one in installs:
            await one.start()
        for one in installs:
            await one.ready()
        yield
    finally:
        for one in installs:
            one.stop.set()
        await asyncio.gather(*(one.task for one in installs if hasattr(one, "task")))


@asynccontextmanager
async def api_server(*objects: Mapping[str, Any]) -> AsyncIterator[ApiServer]:
    """The fake API server with these objects, and the install's namespace."""
    async with ApiServer() as server:
        for one in ({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, *objects):
            server.put(dict(one))
        yield server


def own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


async def answers(install: Install, host: str, status: int = 200, path: str = "/") -> None:
    """Waits until the load balancer answers so."""

    async def look() -> bool:
        try:
            found = await fetch(f"http://{host}{path}", via=install.http_port)
        except OSError:
            return False
        return found.status == status

    await eventually(look, 60, what=f"{host} answers {status}")


async def status_of(server: ApiServer, name: str) -> list[str | None]:
    """The addresses that an Ingress's status shows."""
    found = server.get("Ingress", name, "default")
    return [one.get("ip") for one in found.get("status", {}).get("loadBalancer", {}).get("ingress", ())]


def refusals(install: Install) -> list[Finding]:
    """What engines refused, as findings."""
    graph, program = install.app.reconciler.graph, install.app.reconciler.program
    return [one for found in graph.rows(program.findings).values() for one in found if one.reason is Reason.ENGINE_REJECTED]
