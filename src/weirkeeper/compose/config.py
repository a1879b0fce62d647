"""The whole configuration of one load balancer, put together on demand from the composed tables."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from weirkeeper.compose.composed import Composed
from weirkeeper.flow import Graph, Table
from weirkeeper.model.config import LoadBalancerConfig
from weirkeeper.model.ids import HostKey, Part
from weirkeeper.model.text import Id

K = TypeVar("K", HostKey, Part)
V = TypeVar("V")


def load_balancer_config(graph: Graph, composed: Composed, load_balancer: Id) -> LoadBalancerConfig | None:
    """Everything that this load balancer is to do, in a fixed order; ``None`` when there is no such load balancer."""
    front = graph.get(composed.load_balancers, load_balancer)
    if front is None:
        return None
    of = _parts_of(graph, load_balancer)
    hosts = tuple(
        host for key, host in sorted(graph.rows(composed.virtual_hosts).items()) if key.load_balancer == load_balancer
    )
    return LoadBalancerConfig(
        load_balancer=front,
        listeners=of(composed.listeners),
        virtual_hosts=hosts,
        backends=of(composed.backends),
        endpoint_sets=of(composed.endpoint_sets),
        certificates=of(composed.certificates),
        trust_bundles=of(composed.trust_bundles),
        findings=tuple(sorted((f for host in hosts for f in host.findings), key=lambda f: f.sort_key)),
    )


def _parts_of(graph: Graph, load_balancer: Id) -> "Callable[[Table[Part, V]], tuple[V, ...]]":
    def parts(table: Table[Part, V]) -> tuple[V, ...]:
        rows: Iterable[tuple[Part, V]] = sorted(graph.rows(table).items(), key=lambda row: row[0])
        return tuple(value for key, value in rows if key.load_balancer == load_balancer)

    return parts
