"""The whole configuration of one load balancer, put together on demand from the composed tables.

Comes in: the settled tables. Goes out: one value. Here a certificate's ``names`` are all hosts that it answers for, whoever said so.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from weirkeeper.compose.composed import Composed
from weirkeeper.flow import Graph, Table
from weirkeeper.model.certificate import Certificate
from weirkeeper.model.config import LoadBalancerConfig
from weirkeeper.model.ids import HostKey, Part
from weirkeeper.model.text import Hostname, Id

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
        l4_routes=of(composed.l4_routes),
        backends=of(composed.backends),
        endpoint_sets=of(composed.endpoint_sets),
        certificates=certificates_with_names(graph, composed, load_balancer),
        trust_bundles=of(composed.trust_bundles),
        findings=tuple(sorted((f for host in hosts for f in host.findings), key=lambda f: f.sort_key)),
    )


def certificates_with_names(graph: Graph, composed: Composed, load_balancer: Id) -> tuple[Certificate, ...]:
    """The certificates, each with all names that it answers for. A name that an object claims is nobody else's."""
    claimed = {
        key.hostname: held
        for key, held in graph.rows(composed.server_names).items()
        if key.load_balancer == load_balancer
    }
    by_certificate: dict[Id, list[Hostname]] = {}
    for host, held in claimed.items():
        by_certificate.setdefault(held, []).append(host)
    return tuple(
        msgspec.structs.replace(
            one, names=tuple(sorted({*by_certificate.get(one.id, ()), *(n for n in one.names if n not in claimed)}))
        )
        for one in _parts_of(graph, load_balancer)(composed.certificates)
    )


def _parts_of(graph: Graph, load_balancer: Id) -> "Callable[[Table[Part, V]], tuple[V, ...]]":
    def parts(table: Table[Part, V]) -> tuple[V, ...]:
        rows: Iterable[tuple[Part, V]] = sorted(graph.rows(table).items(), key=lambda row: row[0])
        return tuple(value for key, value in rows if key.load_balancer == load_balancer)

    return parts
