"""What an Ingress's status should say.

Comes in: the Ingress's identity and the addresses of its load balancer. Goes out: the wished status, and its entries as the API has them
(networking.k8s.io/v1, IngressLoadBalancerStatus).
"""

from weirkeeper.kube.types import AddressStatus, PortStatus
from weirkeeper.model.ids import Ref
from weirkeeper.model.observation import StatusWish
from weirkeeper.status.addresses import Addresses


def ingress_status(ref: Ref, found: Addresses | None) -> StatusWish:
    """The wished status; without addresses where the load balancer answers nowhere."""
    return StatusWish(ref=ref) if found is None else StatusWish(ref=ref, addresses=found.places, ports=found.ports)


def entries(wish: StatusWish) -> tuple[AddressStatus, ...]:
    """``status.loadBalancer.ingress`` as the API writes it."""
    ports = tuple(PortStatus(port=port) for port in wish.ports)
    return tuple(AddressStatus(ip=ip, hostname=hostname, ports=ports) for ip, hostname in wish.addresses)
