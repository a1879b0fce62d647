"""What a controller is: something that reads kinds of objects and says what each object means.

Comes in: input tables, one for each kind. Goes out: a table of ``Intent``, one for each object that means something. A controller
declares pure derivations on the graph; it holds no state, does no IO and never hears of a provider.
"""

from collections.abc import Hashable, Iterator
from typing import Protocol, TypeVar

from weirkeeper.flow import Graph, Read, Source, Table
from weirkeeper.kube.conditions import Report
from weirkeeper.kube.types import ConfigMap, EndpointSlice, KubeObject, Secret, Service
from weirkeeper.model.backend import Backend
from weirkeeper.model.certificate import CertificateWish as CertificateWish
from weirkeeper.model.certificate import TrustBundle
from weirkeeper.model.config import LoadBalancer
from weirkeeper.model.endpoint import EndpointSetWish as EndpointSetWish
from weirkeeper.model.finding import Finding, Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.listener import Listener
from weirkeeper.model.packed import Packed
from weirkeeper.model.route import HostedRoute as HostedRoute
from weirkeeper.model.route import L4Route
from weirkeeper.model.text import Id
from weirkeeper.model.value import Value

K = TypeVar("K", bound=KubeObject)


class Kind(Value, frozen=True, kw_only=True):
    """A kind of object that a controller reads: its API group, version, name, whether it lives in namespaces, and its struct.

    ``packed``: there are many, and each is read by few; they are kept as bytes. ``also``: other versions that have the same fields. ``only_with``: it is read only
    where the cluster serves this kind; where not, nothing is amiss.
    """

    group: str
    version: str
    kind: str
    namespaced: bool = True
    type: type[KubeObject]
    packed: bool = False
    also: tuple[str, ...] = ()
    only_with: tuple[str, str] | None = None


class Intent(Value, frozen=True, kw_only=True):
    """What one object means: its part of one load balancer, and what its owner should know. Ids inside are unique across objects, save
    backends, endpoint sets and certificates, where the same id always means the same value.
    """

    load_balancer: Id
    defines: LoadBalancer | None = None
    listeners: tuple[Listener, ...] = ()
    routes: tuple[HostedRoute, ...] = ()
    l4_routes: tuple[L4Route, ...] = ()
    backends: tuple[Backend, ...] = ()
    endpoint_sets: tuple[EndpointSetWish, ...] = ()
    certificates: tuple[CertificateWish, ...] = ()
    trust_bundles: tuple[TrustBundle, ...] = ()
    findings: tuple[Finding, ...] = ()


class Inputs:
    """The input tables: one source for each kind, keyed by ``Ref``, and what is known to be absent."""

    def __init__(self, graph: Graph, kinds: tuple[Kind, ...]) -> None:
        self.kinds: dict[tuple[str, str], Kind] = {(k.group, k.kind): k for k in kinds}
        self._by_type: dict[type[KubeObject], Source[Ref, KubeObject]] = {
            k.type: graph.source(f"{k.kind}.{k.group or 'core'}", packing=Packed(k.type) if k.packed else None)
            for k in self.kinds.values()
        }
        self.complete: Source[Hashable, bool] = graph.source("complete")
        """Keys are kinds (``"Secret"``) whose absences are known, or single refs that were asked for and are not there."""
        self.problems: Source[Ref, tuple[Finding, ...]] = graph.source("problems")
        """What feeds have to say, by what they say it of."""
        self.unread: Table[Ref, Finding] = graph.spread("unread", self.problems, _unread)
        """Objects that are read by name and cannot be read now, and why."""
        self.reports: list[Table[Ref, Report]] = []
        """What controllers say in the conditions of statuses: each adds its tables as it declares them, with keys of its own."""

    def reads(self, kind: type[KubeObject]) -> bool:
        """Whether objects of the kind are read at all."""
        return kind in self._by_type

    def of(self, kind: type[K]) -> Source[Ref, K]:
        """The table of a kind."""
        return self._by_type[kind]  # type: ignore[return-value]


def _unread(_: Read, said_of: Ref, problems: tuple[Finding, ...]) -> Iterator[tuple[Ref, Finding]]:
    return ((one.origin.ref, one) for one in problems if one.reason is Reason.NOT_LISTED and one.origin.ref != said_of)


COMMON_KINDS = (
    Kind(group="", version="v1", kind="Service", type=Service, packed=True),
    Kind(group="discovery.k8s.io", version="v1", kind="EndpointSlice", type=EndpointSlice, packed=True),
    Kind(group="", version="v1", kind="Secret", type=Secret),
    Kind(group="", version="v1", kind="ConfigMap", type=ConfigMap),
)
"""Kinds that every controller may read; they are always there."""


class Controller(Protocol):
    """A source of intent."""

    name: str
    kinds: tuple[Kind, ...]

    def declare(self, graph: Graph, inputs: Inputs) -> tuple[Table[Ref, Intent], ...]:
        """Declare the derivations from the input tables to intents; the returned tables have disjoint keys."""
        ...
