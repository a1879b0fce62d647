"""From a reference to a Service port to its endpoints.

Comes in: a Service reference and a port by name or number. Goes out: the Service port, or why there is none; and, in a lane of its own, the endpoint set of a
Service port from its EndpointSlices. Routes never read slices.
"""

import ipaddress
from collections.abc import Iterable, Iterator

import msgspec

from weirkeeper.controllers.base import EndpointSetWish, Inputs
from weirkeeper.flow import Graph, Read, Source, Table
from weirkeeper.kube.types import EndpointSlice, Service, ServiceBackendPort, ServicePort, SliceEndpoint
from weirkeeper.model.endpoint import Endpoint, EndpointSet, EndpointState
from weirkeeper.model.finding import Reason
from weirkeeper.model.ids import Part, Ref
from weirkeeper.model.text import IpAddress, Label

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
"""Names the Service of an EndpointSlice (EndpointSlice API)."""


class PortFound(msgspec.Struct, frozen=True):
    """A Service with the port that was asked for."""

    service: Service
    port: ServicePort


class PortMissing(msgspec.Struct, frozen=True):
    """Why there is no such Service port, and what to do about it."""

    reason: Reason
    why: str
    remedy: str


def service_ref(namespace: str, name: str, cluster: str) -> Ref:
    """The identity of a Service."""
    return Ref(cluster=cluster, kind="Service", namespace=namespace, name=name)


def service_port(
    read: Read, services: Source[Ref, Service], ref: Ref, wanted: ServiceBackendPort
) -> PortFound | PortMissing:
    """The Service port that a reference means, by name or by number."""
    service = read.get(services, ref)
    if service is None:
        return PortMissing(
            Reason.SERVICE_NOT_FOUND,
            f"Service {ref.key} does not exist",
            f"create the Service {ref.name} in namespace {ref.namespace}, or name another one",
        )
    ports = service.spec.ports or ()
    for port in ports:
        if (wanted.name and port.name == wanted.name) or (wanted.number and port.port == wanted.number):
            return PortFound(service, port)
    offered = ", ".join(f"{p.port} ({p.name})" if p.name else str(p.port) for p in ports) or "none"
    return PortMissing(
        Reason.PORT_NOT_FOUND,
        f"Service {ref.key} has no port {wanted.name or wanted.number}; it has {offered}",
        "name one of these ports",
    )


def declare_endpoint_sets(
    graph: Graph, inputs: Inputs, wishes: Table[Part, EndpointSetWish]
) -> Table[Part, EndpointSet]:
    """Declare the endpoint lane: one endpoint set for each Service port that is wished."""
    slices = inputs.of(EndpointSlice)
    by_service = graph.index("slices_by_service", slices, _service_of)

    def endpoint_set(read: Read, _: Part, wish: EndpointSetWish) -> EndpointSet:
        found = {
            (e.address, e.port): e
            for _, piece in read.lookup(by_service, wish.service)
            for e in _endpoints(piece, wish)
        }
        return EndpointSet(id=wish.id, endpoints=tuple(found[key] for key in sorted(found)))

    return graph.derive("endpoint_sets", wishes, endpoint_set)


def _service_of(_: Ref, piece: EndpointSlice) -> Iterable[Ref]:
    name = (piece.metadata.labels or {}).get(SERVICE_NAME_LABEL)
    return (service_ref(piece.metadata.namespace, name, piece.cluster),) if name else ()


def _endpoints(piece: EndpointSlice, wish: EndpointSetWish) -> Iterator[Endpoint]:
    family = {"IPv4": 4, "IPv6": 6}.get(piece.address_type)
    if family not in wish.families:
        return
    numbers = [p.port for p in piece.ports or () if (p.name or "") == wish.port_name and p.port]
    for number in numbers:
        for member in piece.endpoints or ():
            if member.addresses and _is_address(member.addresses[0]):
                yield _endpoint(member, number)


def _endpoint(member: SliceEndpoint, port: int) -> Endpoint:
    return Endpoint(
        address=IpAddress(member.addresses[0]),
        port=port,
        state=_state(member),
        zone=Label(member.zone or ""),
        node=Label(member.node_name or ""),
    )


def _state(member: SliceEndpoint) -> EndpointState:
    """Ready unless it says otherwise; serving while terminating is the fall-back (EndpointSlice API, conditions)."""
    conditions = member.conditions
    if conditions.ready is not False:
        return EndpointState.READY
    return EndpointState.SERVING if conditions.serving else EndpointState.NOT_READY


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
