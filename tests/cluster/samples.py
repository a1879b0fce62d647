"""The objects that tests put into a cluster: echo backends, Services, Ingresses, TLS Secrets. Values only."""

import base64
import os

from weirkeeper.testing.certificates import PemPair

ECHO_IMAGE = os.environ.get("WEIR_TEST_ECHO_IMAGE", "weirkeeper/echo")
PORT = 8080


def echo(name: str, replicas: int = 1, *, per_pod: bool = False) -> dict:
    """A Deployment whose pods answer with `name`, or with `name/POD`."""
    labels = {"app": name}
    container = {
        "name": "echo", "image": ECHO_IMAGE,
        "args": ["--port", str(PORT), "--name", f"{name}/$(POD)" if per_pod else name],
        "env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    }  # fmt: skip
    pod = {"containers": [container], "terminationGracePeriodSeconds": 1}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def service(name: str) -> dict:
    """The Service of an echo backend."""
    ports = [{"name": "http", "port": PORT, "targetPort": PORT}]
    spec = {"selector": {"app": name}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def ingress(name: str, of_class: str, host: str, backend: str, secret: str = "", **annotations: str) -> dict:
    """An Ingress of one host; with a Secret it has TLS. Annotations are nginx's, written with underscores."""
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": backend, "port": {"number": PORT}}}}
    spec = {"ingressClassName": of_class, "rules": [{"host": host, "http": {"paths": [path]}}]}
    if secret:
        spec["tls"] = [{"hosts": [host], "secretName": secret}]
    noted = {f"nginx.ingress.kubernetes.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
    metadata = {"name": name, "annotations": noted}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}


def tls(name: str, pair: PemPair) -> dict:
    """A Secret with a certificate."""
    pems = {"tls.crt": pair.certificate, "tls.key": pair.key}
    data = {key: base64.b64encode(value).decode() for key, value in pems.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "kubernetes.io/tls", "data": data}
