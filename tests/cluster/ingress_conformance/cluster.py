"""A stage made of a cluster: a namespace for each feature, a Deployment for each Service, requests to the addresses that statuses show.

Comes in: a feature and an install. Goes out: a running stage.
"""

import contextlib
import secrets
from collections.abc import Iterator

from commands import Kubectl
from ingress_conformance.checks import Place, followed
from ingress_conformance.files import tls_secret
from ingress_conformance.scenarios import Feature, classed
from installs import SHOWN, Install, shown
from samples import echo, ingress, service

from weirkeeper.testing.eventually import poll_until

GONE = 90.0


class ClusterStage:
    """A namespace that holds one feature."""

    def __init__(self, feature: Feature, install: Install) -> None:
        self.install, self.name = install, feature.ingress["metadata"]["name"]
        self.kubectl = Kubectl(f"weir-conformance-{secrets.token_hex(4)}")
        self.kubectl.must("create", "namespace", self.kubectl.namespace)
        made = [one for name in feature.services for one in (echo(name, per_pod=True), service(name))]
        self.kubectl.apply(*made, *([tls_secret()] if feature.tls else []))
        for name in feature.services:
            self.scale(name, 1)
        self.kubectl.apply(classed(feature.ingress, install.of_class))

    def scale(self, service: str, pods: int) -> None:
        self.kubectl.must("scale", f"deployment/{service}", f"--replicas={pods}")
        self.kubectl.must("rollout", "status", f"deployment/{service}", "--timeout=120s")
        poll_until(lambda: self._ready(service) == pods, SHOWN, what=f"{pods} endpoints of {service}", pause=0.1)

    def place(self, feature: Feature) -> Place:
        found = poll_until(lambda: shown(self.kubectl, self.name), SHOWN, what="an address in the status", pause=0.1)
        return Place(found[0], *self.install.ports)

    def shows_nothing(self, feature: Feature) -> Place:
        """Another Ingress, made later, shows its address: by then the first one would have."""
        (backend,) = feature.services
        self.kubectl.apply(ingress("later", self.install.of_class, "later.example", backend))
        found = poll_until(lambda: shown(self.kubectl, "later"), SHOWN, what="the later Ingress's address", pause=0.1)
        assert shown(self.kubectl, self.name) == []
        return Place(found[0], *self.install.ports)

    def leave(self) -> None:
        """Take all of it away; a host that nobody has is answered 404 again before the next feature begins."""
        addresses = self.install.addresses
        self.kubectl.must("delete", "ingress", "--all")
        self.kubectl.must("delete", "namespace", self.kubectl.namespace, "--wait=false")
        for address in addresses:
            poll_until(lambda at=address: self._nobody(at), GONE, what=f"404 at {address}", pause=0.1)

    def _nobody(self, address: str) -> bool:
        return followed(Place(address, *self.install.ports), "http://nobody.example/", "GET").status == 404

    def _ready(self, service: str) -> int:
        slices = self.kubectl.items("endpointslices", "-l", f"kubernetes.io/service-name={service}")
        return sum(bool(e["conditions"].get("ready")) for one in slices for e in one.get("endpoints") or ())


@contextlib.contextmanager
def running(feature: Feature, install: Install) -> Iterator[ClusterStage]:
    """The stage, until the block ends."""
    stage = ClusterStage(feature, install)
    try:
        yield stage
    finally:
        stage.leave()
