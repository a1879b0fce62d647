"""Traefik as a peer: the suite asked of a foreign controller shows that a failure of ours is ours, and not the cluster's or the suite's.

Comes in: the name of the GatewayClass. Goes out: a running Traefik, and its version.
"""

import subprocess
import sys
from pathlib import Path

from commands import Kubectl

NAME = "traefik-peer"
GROUP = "gateway.networking.k8s.io"
PORTS = (80, 443, 8080, 8443)
RULES = [
    {"apiGroups": [""], "resources": ["services", "secrets", "nodes", "namespaces", "configmaps"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [GROUP], "resources": ["*"], "verbs": ["get", "list", "watch", "update", "patch"]},
]  # fmt: skip


def install(of_class: str) -> tuple[str, dict]:
    """A Traefik that is up; it serves all Gateways at one address."""
    kubectl = Kubectl(NAME)
    kubectl.must("create", "namespace", NAME)
    kubectl.apply(*objects(of_class))
    kubectl.must("rollout", "status", "deployment/traefik", "--timeout=60s")
    said = subprocess.run(
        [Path(sys.executable).with_name("traefik"), "version"], check=True, capture_output=True, text=True
    )
    return "v" + said.stdout.split("Version:")[1].split()[0], {}


def objects(of_class: str) -> list[dict]:
    """All that it needs."""
    rbac = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": "traefik", "namespace": NAME}
    arguments = [
        *(f"--entrypoints.port{port}.address=:{port}" for port in PORTS),
        "--providers.kubernetesgateway=true", "--providers.kubernetesgateway.experimentalchannel=true",
        "--providers.kubernetesgateway.statusaddress.ip=$(POD_ADDRESS)", "--serverstransport.insecureskipverify=true",
        "--global.checknewversion=false", "--global.sendanonymoususage=false",
    ]  # fmt: skip
    address = {"name": "POD_ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    container = {
        "name": "traefik", "image": "traefik:v3", "args": arguments, "env": [address],
        "readinessProbe": {"tcpSocket": {"port": PORTS[0]}, "periodSeconds": 1},
    }  # fmt: skip
    labels = {"app": "traefik"}
    pod = {"serviceAccountName": "traefik", "containers": [container], "terminationGracePeriodSeconds": 1}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "traefik"}},
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": NAME}, "rules": RULES},
        {
            "apiVersion": f"{rbac}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": NAME}, "subjects": [subject],
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": NAME},
        },
        {
            "apiVersion": f"{GROUP}/v1", "kind": "GatewayClass", "metadata": {"name": of_class},
            "spec": {"controllerName": "traefik.io/gateway-controller"},
        },
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "traefik"},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        },
    ]  # fmt: skip
