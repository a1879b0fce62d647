"""Traefik beside our installs: a foreign controller with a class of its own, as its users install it.

Comes in: nothing. Goes out: a running Traefik with the address that its statuses show.
"""

import contextlib
import secrets
from collections.abc import Iterator

from commands import Kubectl
from installs import until

IMAGE = "traefik:v3"
RULES = [
    {"apiGroups": [""], "resources": ["services", "secrets", "nodes"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    {
        "apiGroups": ["networking.k8s.io"],
        "resources": ["ingresses", "ingressclasses"],
        "verbs": ["get", "list", "watch"],
    },
    {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses/status"], "verbs": ["update"]},
]


class Traefik:
    """A running Traefik."""

    def __init__(self, kubectl: Kubectl, of_class: str) -> None:
        self.kubectl, self.of_class = kubectl, of_class

    @property
    def address(self) -> str:
        """Its pod's address, which its statuses show."""
        pods = self.kubectl.items("pods", "-l", "app=traefik")
        return next((pod["status"]["podIP"] for pod in pods if pod["status"].get("podIP")), "")


def objects(name: str) -> list[dict]:
    """All that it needs, under one name."""
    rbac = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": "traefik", "namespace": name}
    arguments = [
        "--entrypoints.web.address=:80",
        "--providers.kubernetesingress=true",
        f"--providers.kubernetesingress.ingressclass={name}",
        "--providers.kubernetesingress.ingressendpoint.ip=$(POD_ADDRESS)",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
    ]
    address = {"name": "POD_ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    container = {
        "name": "traefik", "image": IMAGE, "args": arguments, "env": [address],
        "readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 1},
    }  # fmt: skip
    labels = {"app": "traefik"}
    pod = {"serviceAccountName": "traefik", "containers": [container], "terminationGracePeriodSeconds": 1}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "traefik"}},
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": RULES},
        {
            "apiVersion": f"{rbac}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name}, "subjects": [subject],
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": name},
        },
        {
            "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": name},
            "spec": {"controller": "traefik.io/ingress-controller"},
        },
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "traefik"},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        },
    ]  # fmt: skip


@contextlib.contextmanager
def running() -> Iterator[Traefik]:
    """A Traefik that is up, until the block ends."""
    name = f"traefik-{secrets.token_hex(4)}"
    kubectl = Kubectl(name)
    kubectl.must("create", "namespace", name)
    try:
        kubectl.apply(*objects(name))
        kubectl.must("rollout", "status", "deployment/traefik", "--timeout=150s")
        one = Traefik(kubectl, name)
        until(lambda: one.address, "an address of Traefik's pod")
        yield one
    finally:
        for kind in ("clusterrole", "clusterrolebinding", "ingressclass"):
            kubectl("delete", kind, name)
        kubectl.must("delete", "namespace", name, "--wait=false")
