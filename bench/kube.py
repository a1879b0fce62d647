"""Objects of a cluster as JSON, and two ways to bring them to an API server: one request at a time with its moments, and many at once.

Comes in: numbers, names, a kubeconfig. Goes out: objects; answers and when they came (nanoseconds of the monotonic clock).

*Addresses of endpoints.* A real API server refuses loopback addresses there. Inside a network namespace of our own (`isolated`, `__main__` goes there when it is root)
all of 198.18.0.0/15 is this machine, so that every endpoint has an address of its own; elsewhere every endpoint is the machine's own address.
"""

import asyncio
import base64
import http.client
import json
import os
import shutil
import socket
import ssl
import sys
import time
import urllib.parse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import aiohttp
import msgspec
import yaml

CLASS = "weirkeeper"
CONTROLLER = "weirkeeper.io/ingress"
NAMESPACE = "weirkeeper"
INSIDE = "BENCH_ISOLATED"
CRDS = Path(__file__).parent.parent / "deploy" / "crds"


def isolate() -> None:
    """Go on in a network namespace of our own, where that can be had: nothing of the benchmark is seen outside, and no route of the machine is touched."""
    if os.environ.get(INSIDE) or os.geteuid() or not (shutil.which("unshare") and shutil.which("ip")):
        return
    script = 'ip link set lo up && ip route add local 198.18.0.0/15 dev lo && exec "$@"'
    command = ["unshare", "--net", "sh", "-c", script, "sh", sys.executable, "-m", "bench", *sys.argv[1:]]
    os.execvpe("unshare", command, {**os.environ, INSIDE: "1"})


def isolated() -> bool:
    """Whether every address of 198.18.0.0/15 is this machine."""
    with socket.socket() as probe:
        try:
            probe.bind(("198.19.255.254", 0))
        except OSError:
            return False
        return True


def address(number: int) -> str:
    """The address of endpoint number N (below 131,072)."""
    return f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}" if isolated() else own_address()


def own_address() -> str:
    """The machine's own address; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


# Objects


def namespace(name: str) -> dict:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def ingress_class(name: str = CLASS, controller: str = CONTROLLER) -> dict:
    return {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": name}, "spec": {"controller": controller}}


def ingress(name: str, host: str, service: str, *, where: str = "default", secret: str = "", paths: Iterable[str] = ("/", "/api"), notes: dict | None = None) -> dict:
    listed = [{"path": path, "pathType": "Prefix", "backend": {"service": {"name": service, "port": {"number": 80}}}} for path in paths]
    spec: dict = {"ingressClassName": CLASS, "rules": [{"host": host, "http": {"paths": listed}}]}
    if secret:
        spec["tls"] = [{"hosts": [host], "secretName": secret}]
    meta = {"name": name, "namespace": where, "annotations": notes or {}}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta, "spec": spec}


def service(name: str, where: str = "default") -> dict:
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": where}, "spec": {"ports": ports, "selector": {"app": name}}}


def endpoint_slice(name: str, addresses: Iterable[str], port: int, where: str = "default") -> dict:
    """As the endpoint controller writes it, with pods and nodes."""
    held = [
        {"addresses": [one], "conditions": {"ready": True, "serving": True, "terminating": False}, "nodeName": f"node-{n % 100}",
         "targetRef": {"kind": "Pod", "name": f"{name}-{n}", "namespace": where, "uid": f"00000000-0000-0000-0000-{n:012}"}}
        for n, one in enumerate(addresses)
    ]  # fmt: skip
    labels = {"kubernetes.io/service-name": name, "app": name, "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": f"{name}-1", "namespace": where, "labels": labels},
        "addressType": "IPv4", "ports": [{"name": "http", "port": port, "protocol": "TCP"}], "endpoints": held,
    }  # fmt: skip


def tls_secret(name: str, certificate: bytes, key: bytes, where: str = "default") -> dict:
    crt, private = (base64.b64encode(value).decode("ascii") for value in (certificate, key))
    return {
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": name, "namespace": where},
        "data": {"tls.crt": crt, "tls.key": private},
    }  # fmt: skip


def definitions() -> list[dict]:
    """The kinds of ours."""
    return [yaml.safe_load(path.read_text()) for path in sorted(CRDS.glob("*.yaml"))]


PLURALS = {
    "Ingress": "ingresses", "IngressClass": "ingressclasses", "Service": "services", "EndpointSlice": "endpointslices", "Secret": "secrets",
    "ConfigMap": "configmaps", "Namespace": "namespaces", "CustomResourceDefinition": "customresourcedefinitions",
    "GatewayClass": "gatewayclasses", "Gateway": "gateways", "ListenerSet": "listenersets", "HTTPRoute": "httproutes",
}  # fmt: skip


def path_of(held: dict, name: str = "") -> str:
    """Where an object is created, or (with its name) changed."""
    version, where = held["apiVersion"], held["metadata"].get("namespace", "")
    parts = ["/api" if "/" not in version else "/apis", version, *(["namespaces", where] if where else []), PLURALS[held["kind"]], *([name] if name else [])]
    return "/".join(parts)


# An API server


class Entrance(NamedTuple):
    """What a kubeconfig says."""

    url: str
    token: str
    context: ssl.SSLContext | None

    @classmethod
    def of(cls, kubeconfig: str) -> "Entrance":
        said = json.loads(kubeconfig)
        cluster, user = said["clusters"][0]["cluster"], said["users"][0]["user"]
        authority = cluster.get("certificate-authority-data")
        context = ssl.create_default_context(cadata=base64.b64decode(authority).decode()) if authority else None
        return cls(cluster["server"], user.get("token", ""), context)

    @property
    def headers(self) -> dict[str, str]:
        return {"Content-Type": "application/json", **({"Authorization": f"Bearer {self.token}"} if self.token else {})}


class Refusal(RuntimeError):
    """The server said no."""


class Moments(NamedTuple):
    """When a request was sent and when its whole answer was there, and what it was."""

    sent: int
    answered: int
    body: dict


class Api:
    """One connection that blocks: what is asked has been answered when a call returns."""

    def __init__(self, kubeconfig: str) -> None:
        self.entrance = Entrance.of(kubeconfig)
        where = urllib.parse.urlsplit(self.entrance.url)
        if self.entrance.context is not None:
            self._line: http.client.HTTPConnection = http.client.HTTPSConnection(where.hostname, where.port, context=self.entrance.context, timeout=60)
        else:
            self._line = http.client.HTTPConnection(where.hostname, where.port, timeout=60)

    def ask(self, method: str, path: str, body: object = None, content: str = "application/json") -> Moments:
        """The answer; raises where the server says no."""
        encoded = None if body is None else msgspec.json.encode(body)
        sent = time.monotonic_ns()
        self._line.request(method, path, encoded, {**self.entrance.headers, "Content-Type": content})
        answer = self._line.getresponse()
        said = answer.read()
        answered = time.monotonic_ns()
        if answer.status >= 400:
            raise Refusal(f"{method} {path}: {answer.status} {said[:500]!r}")
        return Moments(sent, answered, msgspec.json.decode(said) if said else {})

    def create(self, held: dict) -> Moments:
        return self.ask("POST", path_of(held), held)

    def replace(self, held: dict) -> Moments:
        """Whatever is there: no resource version is named."""
        return self.ask("PUT", path_of(held, held["metadata"]["name"]), held)

    def merge(self, held: dict, patch: dict) -> Moments:
        return self.ask("PATCH", path_of(held, held["metadata"]["name"]), patch, "application/merge-patch+json")

    def delete(self, held: dict) -> Moments:
        return self.ask("DELETE", path_of(held, held["metadata"]["name"]))

    def get(self, path: str) -> dict:
        return self.ask("GET", path).body

    def close(self) -> None:
        self._line.close()


def bulk(kubeconfig: str, objects: Iterable[dict], parallel: int = 32) -> float:
    """Create all of them, `parallel` at a time in their order; the seconds it took. Any refusal raises."""
    began = time.monotonic()
    asyncio.run(_bulk(Entrance.of(kubeconfig), iter(objects), parallel))
    return time.monotonic() - began


def bulk_delete(kubeconfig: str, objects: Iterable[dict], parallel: int = 1) -> None:
    """Delete all of them. Any refusal raises."""
    asyncio.run(_bulk(Entrance.of(kubeconfig), iter(objects), parallel, "DELETE"))


async def _bulk(entrance: Entrance, objects: Iterator[dict], parallel: int, method: str = "POST") -> None:
    connector = aiohttp.TCPConnector(limit=parallel, ssl=entrance.context if entrance.context is not None else False)
    async with aiohttp.ClientSession(entrance.url, connector=connector, headers=entrance.headers) as session, asyncio.TaskGroup() as group:
        for _ in range(parallel):
            group.create_task(_in_turn(session, objects, method))


async def _in_turn(session: aiohttp.ClientSession, objects: Iterator[dict], method: str) -> None:
    for held in objects:
        creates = method == "POST"
        path = path_of(held) if creates else path_of(held, held["metadata"]["name"])
        async with session.request(method, path, data=msgspec.json.encode(held) if creates else None) as answer:
            said = await answer.read()
            if answer.status >= 400:
                raise Refusal(f"{held['kind']} {held['metadata']['name']}: {answer.status} {said[:500]!r}")
