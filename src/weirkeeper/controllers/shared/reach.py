"""How a class reaches the backends of its objects: pods, a Service's own address, or node ports.

Comes in: a Service, one of its ports and the mode. Goes out: where its members are and the wish for them, or why the mode cannot serve it. Engines that have no
route to pods need one of the other two modes.
"""

import msgspec

from weirkeeper.kube.types import Service, ServicePort
from weirkeeper.model.backend import FromEndpointSet, FromServiceAddress
from weirkeeper.model.endpoint import EndpointSetWish
from weirkeeper.model.finding import Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import Id, Label, shown
from weirkeeper.model.value import Value
from weirkeeper.model.words import EndpointMode


class Reach(Value, frozen=True, kw_only=True):
    """The mode, and whether nodes are read here: without them there is nobody to send to for a node port."""

    mode: EndpointMode = "pods"
    nodes: bool = True


PODS = Reach()


class NoBackend(Value, frozen=True, kw_only=True):
    """Why there is no backend, as a reason, a sentence and a remedy."""

    reason: Reason
    why: str
    remedy: str


class Members(Value, frozen=True, kw_only=True):
    """Where the members of a backend come from."""

    source: FromEndpointSet | FromServiceAddress
    wish: EndpointSetWish


def members(service: Service, ref: Ref, port: ServicePort, name: Id, reach: Reach) -> Members | NoBackend:
    """The members of a Service port; ``name`` is the id of its backend."""
    wish = EndpointSetWish(id=name, service=ref, port_name=Label(port.name))
    if reach.mode == "clusterIP":
        if service.spec.cluster_i_p in ("", "None"):
            return _cannot(ref, "has no address of its own", "make it a Service of type ClusterIP that is not headless")
        at = address_id(name)
        return Members(
            source=FromServiceAddress(id=at), wish=msgspec.structs.replace(wish, id=at, service_port=port.port)
        )
    if reach.mode == "nodePort":
        if not reach.nodes:
            return no_nodes(ref)
        if not port.node_port:
            return _cannot(ref, f"has no node port for its port {port.port}", "make it a Service of type NodePort")
        local = service.spec.external_traffic_policy == "Local"
        wish = msgspec.structs.replace(wish, families=_families(service), node_port=port.node_port, on_node=local)
    return Members(source=FromEndpointSet(id=name), wish=wish)


def address_id(name: Id) -> Id:
    """The id of the endpoint set that is a Service's own address."""
    return Id(f"{name}/address")


def no_nodes(ref: Ref) -> NoBackend:
    """Node ports are wished for, and nodes are not read."""
    return NoBackend(
        reason=Reason.BACKENDS_NOT_READ,
        why=f"the class sends requests for the {ref.kind} {shown(ref.name)} to node ports, but this install reads no nodes; "
        "they are answered 503",
        remedy="add the component node-ports to the install (docs/backends.md), or use a class that sends requests to pods",
    )


def _cannot(ref: Ref, why: str, remedy: str) -> NoBackend:
    return NoBackend(
        reason=Reason.MODE_CANNOT_SERVE,
        why=f"the Service {shown(ref.name)} {why}, which its class sends requests to (endpointMode); they are answered 503",
        remedy=f"{remedy}, or use a class that sends requests to pods",
    )


def _families(service: Service) -> tuple[int, ...]:
    """Node ports listen in the families of the Service's own addresses (core/v1, ServiceSpec.ipFamilies)."""
    own = [text for text in service.spec.cluster_i_ps or (service.spec.cluster_i_p,) if text not in ("", "None")]
    return tuple(family for family in (4, 6) if any((6 if ":" in text else 4) == family for text in own)) or (4, 6)
