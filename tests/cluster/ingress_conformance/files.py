"""A stage made of a folder: `weir up`, its Envoy, and echo backends in this process. No cluster is needed.

Comes in: a feature and an empty folder. Goes out: a running stage. There is no status in a folder; that an Ingress is live is seen from the read API's table of
changes instead, as the live table of `weir up` does.
"""

import base64
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml
from ingress_conformance.checks import Place, followed
from ingress_conformance.scenarios import TLS_HOST, TLS_SECRET, Feature, classed

from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.echo import EchoServer, echo_thread
from weirkeeper.testing.eventually import poll_until
from weirkeeper.testing.ports import free_port

LIVE = 90
CLASS = {
    "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "weirkeeper"},
    "spec": {"controller": "weirkeeper.io/ingress"},
}  # fmt: skip


def tls_secret() -> dict:
    """A self-signed certificate for the TLS host, as upstream makes one."""
    pair = Authority("ingress conformance").issue(TLS_HOST)
    data = {"tls.crt": pair.certificate, "tls.key": pair.key}
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": TLS_SECRET},
        "type": "kubernetes.io/tls",
        "data": encoded,
    }


def service(name: str) -> dict:
    """A Service as upstream makes one for each backend of an Ingress."""
    port = {"name": "http", "port": 8080, "targetPort": 8080}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [port]},
    }


def slices(name: str, pods: list[EchoServer]) -> list[dict]:
    """The endpoints of a Service: a slice for each pod, because each has a port of its own here."""
    labels = {"kubernetes.io/service-name": name}
    return [
        {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": f"{name}-{number}", "labels": labels},
            "ports": [{"name": "http", "port": pod.port}], "endpoints": [{"addresses": ["127.0.0.1"]}],
        }
        for number, pod in enumerate(pods)
    ]  # fmt: skip


class FolderStage:
    """A `weir up` that serves one feature."""

    def __init__(self, feature: Feature, folder: Path, stack: contextlib.ExitStack) -> None:
        self.feature, self.folder, self._stack = feature, folder, stack
        self.pods: dict[str, list[EchoServer]] = {}
        self.at = Place("127.0.0.1", free_port(), free_port())
        (folder / "in").mkdir()
        for name in feature.services:
            self._start(name)
        written = [
            CLASS,
            classed(feature.ingress, CLASS["metadata"]["name"]),
            *map(service, feature.services),
            *([tls_secret()] if feature.tls else []),
        ]
        self._write("objects", written)

    def scale(self, service: str, pods: int) -> None:
        while len(self.pods[service]) < pods:
            self._start(service)
        poll_until(lambda: self._answering(service) == pods, LIVE, what=f"{pods} pods of {service}")

    def place(self, feature: Feature) -> Place:
        poll_until(lambda: self.said("change live"), LIVE, what="the folder is live")
        return self.at

    def shows_nothing(self, feature: Feature) -> Place:
        return self.place(feature)

    def said(self, words: str) -> bool:
        """Whether the program has written these words to its log."""
        return words in (self.folder / "log").read_text()

    def run(self) -> None:
        """Start the program; it ends with the stack."""
        state, log = self.folder / "state", (self.folder / "log").open("w")
        command = [
            sys.executable,
            "-m",
            "weirkeeper",
            "up",
            self.folder / "in",
            "--state-dir",
            state,
            "--concurrency",
            "1",
        ]
        command += ["--http-port", str(self.at.http), "--https-port", str(self.at.https)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
        self._stack.callback(lambda: (process.terminate(), process.wait(60), log.close()))

    def _start(self, name: str) -> None:
        pods = self.pods.setdefault(name, [])
        pods.append(self._stack.enter_context(echo_thread(name=f"{name}/{len(pods)}")))
        self._write(name, slices(name, pods))

    def _answering(self, service: str) -> int:
        before = [pod.count for pod in self.pods[service]]
        for _ in before * 3:
            followed(self.at, "http://load-balancing/", "GET")
        return sum(pod.count > count for pod, count in zip(self.pods[service], before, strict=True))

    def _write(self, name: str, objects: list[dict]) -> None:
        half = self.folder / "half"
        half.write_text(yaml.safe_dump_all(objects, sort_keys=False))
        half.rename(self.folder / "in" / f"{name}.yaml")


@contextlib.contextmanager
def running(feature: Feature, folder: Path) -> Iterator[FolderStage]:
    """The stage, until the block ends."""
    with contextlib.ExitStack() as stack:
        stage = FolderStage(feature, folder, stack)
        stage.run()
        yield stage
