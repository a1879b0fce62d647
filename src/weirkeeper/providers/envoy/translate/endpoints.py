"""Members of backends: the lane that is hot while pods come and go."""

from collections.abc import Sequence
from functools import lru_cache

from envoy.config.core.v3 import health_check_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2 as components
from envoy.config.endpoint.v3 import endpoint_pb2

from weirkeeper.model.endpoint import Endpoint, EndpointSet
from weirkeeper.model.text import IpAddress
from weirkeeper.providers.envoy.translate.wire import fields, nested

DISCARD = Endpoint(address=IpAddress("127.0.0.1"), port=9)
"""Where nothing comes from (RFC 863)."""
SET_NAME, SET_PLACES = fields(endpoint_pb2.ClusterLoadAssignment, "cluster_name", "endpoints")


def load_assignment(wished: EndpointSet) -> bytes:
    """The bytes of the set's assignment: localities by priority and zone, in a fixed order."""
    places: dict[tuple[int, str], list[Endpoint]] = {}
    for endpoint in wished.usable:
        places.setdefault((endpoint.priority, endpoint.zone), []).append(endpoint)
    ranks = {priority: rank for rank, priority in enumerate(sorted({priority for priority, _ in places}))}
    made = [nested(SET_NAME, wished.id.encode())]
    for (priority, zone), members in sorted(places.items()):
        head = _place(ranks[priority], zone, max(1, sum(m.weight for m in members)))
        made.append(nested(SET_PLACES, head + b"".join([_member(one) for one in members])))
    return b"".join(made)


def shared_assignment(name: str, shares: Sequence[tuple[int, EndpointSet | None]]) -> bytes:
    """One assignment for the members of several sets, each set a locality with its weight. The share of a set that is not there is thrown away."""
    made = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    for position, (weight, members) in enumerate(shares):
        place = made.endpoints.add(load_balancing_weight={"value": weight})
        place.locality.sub_zone = f"{position}"
        for member in (DISCARD,) if members is None else members.usable:
            place.MergeFromString(_member(member))
    body: bytes = made.SerializeToString(deterministic=True)
    return body


@lru_cache(maxsize=1024)
def _place(rank: int, zone: str, weight: int) -> bytes:
    """A locality without its members."""
    made = components.LocalityLbEndpoints(priority=rank, load_balancing_weight={"value": weight})
    if zone:
        made.locality.zone = zone
    body: bytes = made.SerializeToString(deterministic=True)
    return body


def _member(member: Endpoint) -> bytes:
    """A member as a field of its locality. Nearly all are nothing but an address: what stands around it is made once."""
    address = member.address.encode()
    if member.via or member.weight != 1:
        return _unusual(member)
    before, after = _around(len(address), member.port)
    return before + address + after


@lru_cache(maxsize=1024)
def _around(length: int, port: int) -> tuple[bytes, bytes]:
    """What comes before and after an address of that length."""
    blank = "\0" * length
    before, _, after = _serialised(blank, port, None).partition(blank.encode())
    return before, after


def _unusual(member: Endpoint) -> bytes:
    return _serialised(member.address, member.port, member)


def _serialised(address: str, port: int, member: Endpoint | None) -> bytes:
    place = components.LocalityLbEndpoints()
    one = place.lb_endpoints.add()
    at = one.endpoint.address.socket_address
    at.address, at.port_value = address, port
    if member is not None and member.via:
        one.endpoint.hostname = member.via
    if member is not None and member.weight != 1:
        one.load_balancing_weight.value = max(member.weight, 1)
    if member is not None and member.weight == 0:
        one.health_status = health_check_pb2.DRAINING
    body: bytes = place.SerializeToString(deterministic=True)
    return body
