"""Gateway API for benchmarks: its kinds as upstream publishes them, objects as JSON, and entries that a second controller writes into statuses.

Comes in: names, ports, a kubeconfig. Goes out: objects; an API server that knows their kinds (Go reads the published release, as for the tests of the cluster).
"""

import sys
import time
from collections.abc import Iterable
from pathlib import Path

import yaml

from bench import kube

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from gateway_release import release

GROUP = "gateway.networking.k8s.io"
CONTROLLER = "weirkeeper.io/gateway"
FRONT = "front"
LOAD_BALANCER = f"gateway/default/{FRONT}"
FLAGS = ("--gateway=true",)
"""Of `weir run`."""


def install_kinds(kubeconfig: str, channel: str = "experimental", seconds: float = 30.0) -> None:
    """Create the published kinds and wait until they are served."""
    files = sorted((release() / "config" / "crd" / channel).glob("gateway.networking.*.yaml"))
    held = [one for path in files for one in yaml.load_all(path.read_text(), yaml.CSafeLoader) if one and one["kind"] in kube.PLURALS]
    api, deadline = kube.Api(kubeconfig), time.monotonic() + seconds
    try:
        for one in held:
            api.create(one)
        for one in held:
            while not _served(api.get(kube.path_of(one, one["metadata"]["name"]))):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{one['metadata']['name']} is not served")
                time.sleep(0.05)
    finally:
        api.close()


def _served(definition: dict) -> bool:
    return any((c["type"], c["status"]) == ("Established", "True") for c in definition.get("status", {}).get("conditions", ()))


# Objects


def gateway_class(name: str = kube.CLASS, controller: str = CONTROLLER) -> dict:
    return {"apiVersion": f"{GROUP}/v1", "kind": "GatewayClass", "metadata": {"name": name}, "spec": {"controllerName": controller}}


def gateway(listeners: Iterable[dict], *, name: str = FRONT, of_class: str = kube.CLASS) -> dict:
    """A Gateway that lets everybody's routes and ListenerSets in."""
    spec = {"gatewayClassName": of_class, "listeners": list(listeners), "allowedListeners": {"namespaces": {"from": "All"}}}
    return {"apiVersion": f"{GROUP}/v1", "kind": "Gateway", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def listener(port: int, *, name: str = "http", host: str = "", secret: str = "") -> dict:
    """A listener for routes of every namespace, with TLS where a Secret is named."""
    made: dict = {"name": name, "port": port, "protocol": "HTTPS" if secret else "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    if host:
        made["hostname"] = host
    if secret:
        made["tls"] = {"mode": "Terminate", "certificateRefs": [{"name": secret}]}
    return made


def listener_set(name: str, where: str, listeners: Iterable[dict], *, of: str = FRONT) -> dict:
    spec = {"parentRef": {"name": of, "namespace": "default"}, "listeners": list(listeners)}
    return {"apiVersion": f"{GROUP}/v1", "kind": "ListenerSet", "metadata": {"name": name, "namespace": where}, "spec": spec}


def parent(name: str = FRONT, *, where: str = "default", kind: str = "Gateway") -> dict:
    return {"group": GROUP, "kind": kind, "namespace": where, "name": name}


def route(name: str, host: str, service: str, parents: Iterable[dict], *, where: str = "default", paths: Iterable[str] = ("/", "/api")) -> dict:
    """An HTTPRoute with a rule for each path."""
    rules = [{"matches": [{"path": {"type": "PathPrefix", "value": path}}], "backendRefs": [{"name": service, "port": 80}]} for path in paths]
    spec = {"parentRefs": list(parents), "hostnames": [host], "rules": rules}
    return {"apiVersion": f"{GROUP}/v1", "kind": "HTTPRoute", "metadata": {"name": name, "namespace": where}, "spec": spec}
