"""What an Ingress's status should say.

Comes in: the Ingress's identity and what was observed of its load balancer. Goes out: the addresses at which it answers, with their ports, in a fixed order
(networking.k8s.io/v1, IngressLoadBalancerStatus); none while no instance has acknowledged: status follows ACKs, never hope.
"""

from weirkeeper.model.ids import Ref
from weirkeeper.model.observation import LoadBalancerObservation
from weirkeeper.providers.base import StatusWish

Entry = dict[str, object]


def ingress_status(ref: Ref, seen: LoadBalancerObservation | None) -> StatusWish:
    """The wished status."""
    if seen is None or seen.instances == 0:
        return StatusWish(ref=ref)
    return StatusWish(
        ref=ref,
        addresses=tuple(sorted((address.ip or "", address.hostname or "") for address in seen.addresses)),
        ports=tuple(sorted({port for address in seen.addresses for port in address.ports})),
    )


def entries(wish: StatusWish) -> tuple[Entry, ...]:
    """``status.loadBalancer.ingress`` as the API writes it."""
    ports = [{"port": port, "protocol": "TCP"} for port in wish.ports]
    places: list[Entry] = [{"ip": ip} if ip else {"hostname": hostname} for ip, hostname in wish.addresses]
    return tuple({**place, "ports": ports} if ports else place for place in places)
