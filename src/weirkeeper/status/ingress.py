"""The ``status.loadBalancer`` of an Ingress.

Comes in: what was observed of its load balancer. Goes out: the entries as the API writes them, in a fixed order; none while no instance has acknowledged.
"""

from weirkeeper.model.address import PublicAddress
from weirkeeper.model.observation import LoadBalancerObservation

Entry = dict[str, object]


def ingress_status(seen: LoadBalancerObservation | None) -> tuple[Entry, ...]:
    """The entries of ``status.loadBalancer.ingress``."""
    if seen is None or seen.instances == 0:
        return ()
    return tuple(_entry(address) for address in sorted(seen.addresses, key=_order))


def _order(address: PublicAddress) -> tuple[str, str]:
    return (address.ip or "", address.hostname or "")


def _entry(address: PublicAddress) -> Entry:
    where: Entry = {"ip": address.ip} if address.ip is not None else {"hostname": address.hostname or ""}
    ports = [{"port": port, "protocol": "TCP"} for port in sorted(address.ports)]
    return {**where, "ports": ports} if ports else where
