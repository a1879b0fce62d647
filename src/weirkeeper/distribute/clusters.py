"""What a cluster's item says of the items around it: its assignments, its secrets, and whether it has health checks. Pure.

Comes in: the item of a cluster, as the shelf has it. Goes out: keys of other items. When they are sent, and in which order, is decided in ``stream``.
"""

from weirkeeper.distribute import wire
from weirkeeper.distribute.kinds import EDS, SDS
from weirkeeper.distribute.store import Key
from weirkeeper.providers.base import EngineItem

_HEALTH_CHECKS = 8
"""The number of the field ``health_checks`` (envoy.config.cluster.v3.Cluster)."""


def assignments(cluster: str, item: EngineItem) -> tuple[str, ...]:
    """The names of the assignments of a cluster: those that it needs, else the one of its own name."""
    return tuple(name for kind, name in item.needs if kind == EDS) or (cluster,)


def companions(cluster: str, item: EngineItem | None) -> tuple[Key, ...]:
    """What an engine asks for by name when it gets this cluster: its assignments and secrets."""
    if item is None:
        return ()
    return (*((EDS, name) for name in assignments(cluster, item)), *(need for need in item.needs if need[0] == SDS))


def checked(item: EngineItem) -> bool:
    """Whether a cluster has active health checks, which only the ACK of the cluster itself proves to be over; so if it is unreadable."""
    try:
        return any(number == _HEALTH_CHECKS for number, _ in wire.fields(item.whole))
    except wire.Malformed:
        return True
