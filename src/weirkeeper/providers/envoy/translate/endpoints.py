"""Members of backends: the lane that is hot while pods come and go."""

from envoy.config.core.v3 import health_check_pb2
from envoy.config.endpoint.v3 import endpoint_pb2

from weirkeeper.model.endpoint import Endpoint, EndpointSet


def load_assignment(wished: EndpointSet) -> bytes:
    """The bytes of the set's assignment: localities by priority and zone, in a fixed order."""
    places: dict[tuple[int, str], list[Endpoint]] = {}
    for endpoint in wished.usable:
        places.setdefault((endpoint.priority, endpoint.zone), []).append(endpoint)
    ranks = {priority: rank for rank, priority in enumerate(sorted({priority for priority, _ in places}))}
    made = endpoint_pb2.ClusterLoadAssignment(cluster_name=wished.id)
    for (priority, zone), members in sorted(places.items()):
        place = made.endpoints.add(
            priority=ranks[priority], load_balancing_weight={"value": max(1, sum(m.weight for m in members))}
        )
        if zone:
            place.locality.zone = zone
        for member in members:
            one = place.lb_endpoints.add()
            at = one.endpoint.address.socket_address
            at.address, at.port_value = member.address, member.port
            if member.via:
                one.endpoint.hostname = member.via
            if member.weight != 1:
                one.load_balancing_weight.value = max(member.weight, 1)
            if member.weight == 0:
                one.health_status = health_check_pb2.DRAINING
    body: bytes = made.SerializeToString(deterministic=True)
    return body
