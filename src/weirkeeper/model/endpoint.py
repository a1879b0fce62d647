"""Members of backends. They travel in their own lane: routes and virtual hosts never read them."""

from enum import StrEnum

from weirkeeper.model.ids import Ref
from weirkeeper.model.text import Hostname, Id, IpAddress, Label
from weirkeeper.model.value import Value
from weirkeeper.model.words import Transport


class EndpointState(StrEnum):
    """Ready, still serving while it terminates, or not ready (kept for display, never used)."""

    READY = "ready"
    SERVING = "serving"
    NOT_READY = "not-ready"


class Endpoint(Value, frozen=True, kw_only=True, array_like=True):
    """One member. ``via`` is the server name at an east-west address, where the pod network cannot be reached."""

    address: IpAddress
    port: int
    state: EndpointState = EndpointState.READY
    zone: Label = Label("")
    node: Label = Label("")
    weight: int = 1
    priority: int = 0
    cluster: Label = Label("")
    via: Hostname | None = None


class EndpointSet(Value, frozen=True, kw_only=True):
    """The members of one Service port, in a fixed order (address, port)."""

    id: Id
    endpoints: tuple[Endpoint, ...] = ()

    @property
    def usable(self) -> tuple[Endpoint, ...]:
        """The ready ones; where there is none, those that still serve while they terminate."""
        ready = tuple(e for e in self.endpoints if e.state == EndpointState.READY)
        return ready or tuple(e for e in self.endpoints if e.state == EndpointState.SERVING)


class PodsOf(Value, frozen=True, kw_only=True):
    """The pods of a workload with one of their ports, by name or by number; neither: the only one that its containers name."""

    workload: Ref
    port_name: Label = Label("")
    port: int = 0


class PodsWith(Value, frozen=True, kw_only=True):
    """The pods of a namespace that have all these labels (at least one, by their names), with a port by number."""

    labels: tuple[tuple[Label, Label], ...]
    port: int


class EndpointSetWish(Value, frozen=True, kw_only=True):
    """The endpoints of one Service port are wanted. ``port_name`` is the Service port's name, by which slices name it.

    With ``service_port`` the one endpoint is the Service's own address with that port; with ``node_port`` it is every node with that port, with ``on_node`` only
    those where an endpoint of the Service runs. With ``workloads`` they are the pods of all these, with ``pods`` those of ``service``'s
    namespace with these labels. ``static`` are endpoints that the object itself lists.
    """

    id: Id
    service: Ref
    port_name: Label
    families: tuple[int, ...] = (4, 6)
    service_port: int = 0
    node_port: int = 0
    on_node: bool = False
    workloads: tuple[PodsOf, ...] = ()
    pods: PodsWith | None = None
    static: tuple[Endpoint, ...] = ()
    transport: Transport = "TCP"
