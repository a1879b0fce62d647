"""Members of backends, from EndpointSlices; the lane of their own that routes never read.

Comes in: wishes for the endpoints of Service ports, by pods, by the Service's own address or by node ports. Goes out: an ``EndpointSet`` for each. Addresses that traffic may not be sent to are left
out, and the owner of the slice is told (``declare_slice_findings``).
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TypeVar

from weirkeeper.controllers.base import EndpointSetWish, Inputs
from weirkeeper.controllers.shared.addresses import ordinary, refused_address
from weirkeeper.controllers.shared.nodes import NodePlace, node_endpoints, node_place
from weirkeeper.controllers.shared.report import error, field
from weirkeeper.controllers.shared.workloads import declare_pods, pod_endpoints
from weirkeeper.flow import Graph, Index, Read, Table
from weirkeeper.kube.types import EndpointConditions, EndpointSlice, Node, Service, SliceEndpoint
from weirkeeper.model.endpoint import Endpoint, EndpointSet, EndpointState
from weirkeeper.model.finding import Effect, Finding, Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.packed import Packed
from weirkeeper.model.text import IpAddress, Label, Refused, parse, shown

K = TypeVar("K")
Slices = Index[Ref, Ref, EndpointSlice]

EVERY = "every"
SERVICE_LABEL = "kubernetes.io/service-name"
FAMILIES = {"IPv4": 4, "IPv6": 6}
_BEST = {EndpointState.READY: 0, EndpointState.SERVING: 1, EndpointState.NOT_READY: 2}


def declare_endpoint_sets(
    graph: Graph, inputs: Inputs, wishes: Table[K, EndpointSetWish], *, allow_local: bool = True
) -> Table[K, EndpointSet]:
    """The table of endpoint sets. ``allow_local`` lets loopback addresses through: right for files on a developer's machine, wrong in a cluster."""
    slices: Slices = graph.index("slices_by_service", inputs.of(EndpointSlice), _service_of)
    services = inputs.of(Service)
    pods = declare_pods(graph, inputs)
    nodes = _declare_nodes(graph, inputs, allow_local=allow_local)

    def endpoints(read: Read, _: K, wish: EndpointSetWish) -> EndpointSet:
        if wish.static:
            return EndpointSet(id=wish.id, endpoints=_ordered(_allowed(wish.static, allow_local=allow_local)))
        if wish.service_port:
            return EndpointSet(
                id=wish.id, endpoints=_service_address(read.get(services, wish.service), wish, allow_local=allow_local)
            )
        if wish.workloads or wish.pods is not None:
            return EndpointSet(id=wish.id, endpoints=_ordered(pod_endpoints(read, pods, wish, allow_local=allow_local)))
        if wish.node_port:
            places = () if nodes is None else (found for _, found in read.lookup(nodes, EVERY))
            only = (
                _nodes_with_members(found for _, found in read.lookup(slices, wish.service)) if wish.on_node else None
            )
            return EndpointSet(
                id=wish.id, endpoints=_ordered(node_endpoints(places, wish.node_port, wish.families, only))
            )
        return endpoint_set(wish, (s for _, s in read.lookup(slices, wish.service)), allow_local=allow_local)

    return graph.derive("endpoint_sets", wishes, endpoints, packing=Packed(EndpointSet))


def declare_slice_findings(
    graph: Graph, inputs: Inputs, *, allow_local: bool = True
) -> Table[Ref, tuple[Finding, ...]]:
    """The table of what owners of EndpointSlices should know."""
    return graph.derive(
        "slice_findings",
        inputs.of(EndpointSlice),
        lambda _, __, found: slice_findings(found, allow_local=allow_local) or None,
    )


def endpoint_set(wish: EndpointSetWish, slices: Iterable[EndpointSlice], *, allow_local: bool = True) -> EndpointSet:
    """The members of one Service port over all its slices, each address and port once, in a fixed order."""
    members: dict[tuple[str, int], Endpoint] = {}
    for found in slices:
        if FAMILIES.get(found.address_type, 0) in wish.families:
            for endpoint in _members(found, wish, allow_local=allow_local):
                key = (endpoint.address, endpoint.port)
                known = members.get(key)
                if known is None or _BEST[endpoint.state] < _BEST[known.state]:
                    members[key] = endpoint
    return EndpointSet(id=wish.id, endpoints=_ordered(members.values()))


def slice_findings(found: EndpointSlice, *, allow_local: bool = True) -> tuple[Finding, ...]:
    """What its owner should know: addresses that are left out."""
    bad = [
        (i, address, why)
        for i, endpoint in enumerate(found.endpoints or ())
        for address in endpoint.addresses[:1]
        if found.address_type in FAMILIES and (why := refused_address(address, local=allow_local))
    ]
    return tuple(
        error(
            Reason.ADDRESS_REFUSED,
            found.origin(field(f"endpoints[{i}].addresses[0]")),
            f"{shown(address)} {why}; no traffic is sent there",
            "list an address of a pod or server",
            Effect.IGNORED,
        )
        for i, address, why in bad[:20]
    )


def _declare_nodes(graph: Graph, inputs: Inputs, *, allow_local: bool) -> Index[str, Ref, NodePlace] | None:
    """The nodes that take traffic, where nodes are read."""
    if not inputs.reads(Node):
        return None
    places = graph.derive(
        "nodes_reached", inputs.of(Node), lambda _, __, node: node_place(node, allow_local=allow_local)
    )
    return graph.index("every_node_reached", places, lambda _, __: (EVERY,))


def _nodes_with_members(found: Iterable[EndpointSlice]) -> frozenset[str]:
    """The nodes on which a ready endpoint runs."""
    return frozenset(
        member.node_name
        for one in found
        for member in one.endpoints or ()
        if member.node_name and state_of(member.conditions) is EndpointState.READY
    )


def _service_of(ref: Ref, found: EndpointSlice) -> tuple[Ref, ...]:
    name = (found.metadata.labels or {}).get(SERVICE_LABEL)
    if not name:
        return ()
    return (Ref(cluster=ref.cluster, kind="Service", namespace=ref.namespace, name=name),)


def _members(found: EndpointSlice, wish: EndpointSetWish, *, allow_local: bool) -> Iterator[Endpoint]:
    ports = [
        port.port
        for port in found.ports or ()
        if port.port and (port.name or "") == wish.port_name and (port.protocol or "TCP") == wish.transport
    ]
    for member in (found.endpoints or ()) if ports else ():
        # "Consumers should only use the first address" (EndpointSlice API, endpoints.addresses).
        address = member.addresses[0] if member.addresses else ""
        if not ordinary(address) and (
            refused_address(address, local=allow_local) or isinstance(parse(IpAddress, address), Refused)
        ):
            continue
        for port in ports:
            yield _endpoint(member, IpAddress(address), port)


def _endpoint(member: SliceEndpoint, address: IpAddress, port: int) -> Endpoint:
    return Endpoint(
        address=address,
        port=port,
        state=state_of(member.conditions),
        zone=_label(member.zone),
        node=_label(member.node_name),
    )


def state_of(conditions: EndpointConditions) -> EndpointState:
    """Whether it takes traffic; an unknown readiness counts as ready (EndpointSlice API)."""
    if conditions.ready is not False:
        return EndpointState.READY
    return EndpointState.SERVING if conditions.serving and conditions.terminating else EndpointState.NOT_READY


@lru_cache(maxsize=1024)
def _label(text: str | None) -> Label:
    """Nodes and zones: few, and named by every endpoint."""
    typed = parse(Label, text or "")
    return Label("") if isinstance(typed, Refused) else typed


def _allowed(endpoints: Iterable[Endpoint], *, allow_local: bool) -> Iterator[Endpoint]:
    return (e for e in endpoints if refused_address(e.address, local=allow_local) is None)


def _ordered(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    return tuple(sorted(endpoints, key=lambda e: (e.address, e.port)))


def _service_address(service: Service | None, wish: EndpointSetWish, *, allow_local: bool) -> tuple[Endpoint, ...]:
    if service is None:
        return ()
    texts = service.spec.cluster_i_ps or (service.spec.cluster_i_p,)
    for text in texts:
        typed = parse(IpAddress, text)
        if not isinstance(typed, Refused) and (allow_local or refused_address(text) is None):
            return (Endpoint(address=typed, port=wish.service_port),)
    return ()
