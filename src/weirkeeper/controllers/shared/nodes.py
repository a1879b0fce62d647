"""Nodes as endpoints: a node port answers on every node that is ready, or only on those where a pod of its Service runs.

Comes in: nodes, and a wish for the endpoints of a node port. Goes out: one endpoint for each node. A node that is not ready, or that is labelled to be left out by load
balancers, is none (Kubernetes, staging/src/k8s.io/cloud-provider/controllers/service: the nodes of a LoadBalancer Service).
"""

from collections.abc import Collection, Iterable, Iterator

from weirkeeper.controllers.shared.addresses import refused_address
from weirkeeper.kube.types import Node
from weirkeeper.model.endpoint import Endpoint
from weirkeeper.model.text import IpAddress, Label, Refused, parse
from weirkeeper.model.value import Value

LEFT_OUT = "node.kubernetes.io/exclude-from-external-load-balancers"
ZONE = "topology.kubernetes.io/zone"
INTERNAL = "InternalIP"


class NodePlace(Value, frozen=True, kw_only=True):
    """A node that takes traffic: its name, its zone, and its addresses in the order in which it says them."""

    name: str
    zone: Label = Label("")
    addresses: tuple[IpAddress, ...] = ()


def node_place(node: Node, *, allow_local: bool) -> NodePlace | None:
    """Where the node is reached, or nothing where it takes no traffic."""
    labels = node.metadata.labels or {}
    status = node.status
    if status is None or LEFT_OUT in labels:
        return None
    if not any(one.type == "Ready" and one.status == "True" for one in status.conditions or ()):
        return None
    said = (one.address for one in status.addresses or () if one.type == INTERNAL)
    addresses = tuple(_allowed(said, allow_local=allow_local))
    zone = parse(Label, labels.get(ZONE, ""))
    kept = Label("") if isinstance(zone, Refused) else zone
    return NodePlace(name=node.metadata.name, zone=kept, addresses=addresses) if addresses else None


def node_endpoints(
    places: Iterable[NodePlace], port: int, families: Collection[int], only: Collection[str] | None
) -> Iterator[Endpoint]:
    """One endpoint for each node, on its first address of these families; ``only``: names of nodes, all where nothing is said."""
    for place in places:
        address = next((one for one in place.addresses if (6 if ":" in one else 4) in families), None)
        if address is None or (only is not None and place.name not in only):
            continue
        node = parse(Label, place.name)
        name = Label("") if isinstance(node, Refused) else node
        yield Endpoint(address=address, port=port, zone=place.zone, node=name)


def _allowed(texts: Iterable[str], *, allow_local: bool) -> Iterator[IpAddress]:
    for text in texts:
        typed = parse(IpAddress, text)
        if not isinstance(typed, Refused) and refused_address(text, local=allow_local) is None:
            yield typed
