"""What derivations of several providers read: the listeners of a port together, and whether authorities come with revocations. Pure.

Comes in: composed tables. Goes out: a table of ports, and look-ups that are recorded as reads.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from weirkeeper.flow import Graph, Read, Table
from weirkeeper.model.ids import Part
from weirkeeper.model.listener import Listener
from weirkeeper.model.text import Id
from weirkeeper.providers.base import Composed

Place = tuple[Id, int]
"""A load balancer and a number of a port."""


class PortListeners(NamedTuple):
    """The listeners of one port, sorted by id."""

    listeners: tuple[Listener, ...]


def by_port(graph: Graph, composed: Composed, provider: str) -> Table[Place, PortListeners]:
    """The listeners by port."""
    index = graph.index(f"{provider}/by-port", composed.listeners, lambda key, one: [(key.load_balancer, one.port)])
    return graph.group(f"{provider}/ports", index, _port)


def revoked(read: Read, composed: Composed, load_balancer: Id) -> Callable[[Id], bool]:
    """Whether authorities of a load balancer come with revocations."""

    def looked_up(trust: Id) -> bool:
        found = read.get(composed.trust_bundles, Part(load_balancer, trust))
        return found is not None and found.revocations is not None

    return looked_up


def _port(_: Read, __: Place, members: Sequence[tuple[Part, Listener]]) -> PortListeners:
    return PortListeners(tuple(one for _, one in members))
