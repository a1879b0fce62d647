"""Propagation of HTTPRoutes: what `propagation` says of Ingresses, said of them, in the same words and by the same clock.

Every host is an HTTPRoute with two rules. It hangs on two Gateways, one of each system's class, so that each system has entries of its own in every status, and what one
wrote does not have to be written anew by the next. The peer is Traefik's provider for Gateway API over those very objects.
"""

from collections.abc import Iterator

from bench import gateway
from bench.cluster import SERVED
from bench.kube import isolated
from bench.propagation import Language, published
from weirkeeper.testing.ports import free_port

PEER, PEERS_CONTROLLER = "peer", "traefik.io/gateway-controller"
"""Traefik serves classes of this controller and can be told no other."""


def routes() -> Language:
    """The language, with a port for each system's Gateway."""
    ports = dict(zip(("weir", "traefik"), SERVED if isolated() else (free_port(), free_port()), strict=True))
    parents = (gateway.parent(), gateway.parent(PEER))

    def frame() -> Iterator[dict]:
        yield gateway.gateway_class()
        yield gateway.gateway_class(PEER, PEERS_CONTROLLER)
        yield gateway.gateway([gateway.listener(ports["weir"])])
        yield gateway.gateway([gateway.listener(ports["traefik"])], name=PEER, of_class=PEER)

    return Language(
        lead=lambda name, host, service: gateway.route(name, host, service, parents), frame=frame, kinds=gateway.install_kinds, flags=gateway.FLAGS,
        load_balancer=gateway.LOAD_BALANCER, provider="kubernetesGateway", ports=ports,
    )  # fmt: skip


def run(*, quick: bool) -> str:
    return published("propagation_gateway", routes(), quick=quick)
