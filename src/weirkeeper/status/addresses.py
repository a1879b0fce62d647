"""Where a load balancer answers, as its objects' statuses say it.

Comes in: what its owner chose to publish (``Published``), what was observed of its instances, and the Service in front of it where one is named. Goes out:
``Addresses``, in a fixed order. None at all while no instance has acknowledged a configuration, whichever source is chosen: status follows ACKs, never hope.

The same instance may be seen by two replicas of the control plane for a while (its stream moved); it counts once. Ports are those of the listeners, save
where a Service stands in front, be it one that the owner names or that of a fleet: clients use the Service's.
"""

from collections.abc import Iterable, Sequence

from weirkeeper.kube.types import AddressStatus, Service
from weirkeeper.model.address import PublicAddress, Published
from weirkeeper.model.fleet import FleetExposure
from weirkeeper.model.observation import FleetService, InstanceObservation, LoadBalancerObservation
from weirkeeper.model.text import Hostname, IpAddress, Refused, parse
from weirkeeper.model.value import Value

Place = tuple[str, str]
"""An IP address and a host name, one of which is empty."""


class Addresses(Value, frozen=True, kw_only=True):
    """Places in order, and the ports at which each of them answers."""

    places: tuple[Place, ...] = ()
    ports: tuple[int, ...] = ()


def front_addresses(
    published: Published | None,
    *,
    seen: LoadBalancerObservation | None,
    instances: Sequence[InstanceObservation],
    service: Service | None,
    ports: Sequence[int],
) -> Addresses | None:
    """The addresses of one load balancer, or nothing."""
    local = seen.addresses if seen is not None and seen.instances > 0 else ()
    if not instances and (seen is None or seen.instances == 0):
        return None
    if published is not None and published.service is not None:
        return _addresses(*_of_service(service)) if service is not None else None
    if published is not None and published.addresses:
        return _addresses(_places(published.addresses), ports)
    own = [(str(ip), "") for instance in instances for ip in instance.addresses]
    seen_ports = [port for address in local for port in address.ports]
    return _addresses([*_places(local), *own], [*seen_ports, *(ports if own else ())])


def behind_service(found: Addresses | None, exposure: FleetExposure, service: FleetService | None) -> Addresses | None:
    """What clients use where the instances stand behind a Service of their own: the nodes that have one, at node ports; or what was given to the Service."""
    if found is None or service is None or service.exposure != exposure:
        return None
    places = _places(service.addresses) if exposure in ("loadBalancer", "clusterIP") else found.places
    return _addresses(places, service.ports) if service.ports else None


def given_addresses(service: Service) -> tuple[PublicAddress, ...]:
    """What was given to a Service of type LoadBalancer."""
    found = [_checked(entry) for entry in _given(service)]
    return tuple(_public(one) for one in found if one is not None)


def own_addresses(service: Service) -> tuple[PublicAddress, ...]:
    """The addresses at which the cluster itself takes what is for a Service: its own, and external ones."""
    return tuple(_public(one) for one in _inside(service) if one is not None)


def _inside(service: Service) -> list[Place | None]:
    spec = service.spec
    return [
        _ip(ip) for ip in (*(spec.cluster_i_ps or (spec.cluster_i_p,)), *(spec.external_i_ps or ())) if ip != "None"
    ]


def _public(place: Place) -> PublicAddress:
    ip, hostname = place
    return PublicAddress(ip=IpAddress(ip)) if ip else PublicAddress(hostname=Hostname(hostname))


def _given(service: Service) -> tuple[AddressStatus, ...]:
    return (service.status.load_balancer.ingress or ()) if service.status is not None else ()


def _addresses(places: Iterable[Place], ports: Iterable[int]) -> Addresses | None:
    found = tuple(sorted(set(places)))
    return Addresses(places=found, ports=tuple(sorted(set(ports)))) if found else None


def _places(addresses: Iterable[PublicAddress]) -> list[Place]:
    return [(address.ip or "", address.hostname or "") for address in addresses]


def _of_service(service: Service) -> tuple[list[Place], list[int]]:
    """External addresses first; what only the cluster reaches (cluster addresses) counts for Services that have nothing else to offer."""
    spec = service.spec
    ports = [port.port for port in spec.ports or () if port.protocol == "TCP"]
    outside = [*map(_checked, _given(service)), *(_ip(ip) for ip in spec.external_i_ps or ())]
    if spec.type == "ExternalName":
        outside.append(_host(spec.external_name))
    elif spec.type != "LoadBalancer" and not outside:
        outside += _inside(service)
    return [place for place in outside if place is not None], ports


def _checked(entry: AddressStatus) -> Place | None:
    return _ip(entry.ip) if entry.ip else _host(entry.hostname)


def _ip(text: str) -> Place | None:
    return None if isinstance(parse(IpAddress, text), Refused) else (text, "")


def _host(text: str) -> Place | None:
    return None if isinstance(parse(Hostname, text), Refused) else ("", text)
