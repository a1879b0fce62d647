"""What is put together from parts that many resources share says what the whole message says."""

import msgspec
import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.route.v3 import route_components_pb2 as rc

from weirkeeper.model.backend import Backend, BackendTls, ConsistentHash, FromDns, FromEndpointSet, HealthCheck, Limits
from weirkeeper.model.endpoint import Endpoint, EndpointSet
from weirkeeper.model.filters import Deny, ExternalAuth, Timeouts
from weirkeeper.model.ids import Ref
from weirkeeper.model.match import ExactPath, RouteMatch, SegmentPrefix
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, Respond, Route, WeightedBackend
from weirkeeper.providers.envoy.translate import clusters, endpoints, routes

AT = Origin(ref=Ref(kind="Ingress", namespace="shop", name="a"))
PLAIN = Route(
    id="shop/a/host/path",
    match=RouteMatch(path=SegmentPrefix(value="/api")),
    action=Forward(backends=(WeightedBackend(backend="shop/cart/80"),)),
    origin=AT,
)


def changed(route: Route, **fields: object) -> Route:
    return msgspec.structs.replace(route, **fields)


@pytest.mark.parametrize(
    "route",
    [
        PLAIN,
        changed(PLAIN, match=RouteMatch(path=ExactPath(value="/é"), scheme="http")),
        changed(PLAIN, timeouts=Timeouts(request=1500, idle=300), protocol="grpc", upgrades=()),
        changed(PLAIN, action=Respond(status=503)),
        changed(PLAIN, auth=(Deny(),)),
        changed(PLAIN, auth=(ExternalAuth(backend="asked", sign_in="https://in.example/"),)),
        changed(PLAIN, action=Forward(backends=(*PLAIN.action.backends, WeightedBackend(backend="b", weight=3)))),
        changed(PLAIN, action=Forward(backends=(WeightedBackend(backend="b", weight=0),))),
        changed(PLAIN, body_limit=1000),
    ],
)
def test_a_route(route: Route) -> None:
    whole = list(routes.routes(route, Timeouts(), "host"))
    for _ in range(2):
        assert [rc.Route.FromString(body) for body in routes.route_bytes(route, Timeouts(), "host")] == whole


def test_two_routes_of_one_manner_keep_their_names_paths_and_backends() -> None:
    other = changed(
        PLAIN,
        id="other",
        match=RouteMatch(path=ExactPath(value="/x")),
        action=Forward(backends=(WeightedBackend(backend="c"),)),
    )
    first, second = (rc.Route.FromString(routes.route_bytes(one, Timeouts(), "h")[0]) for one in (PLAIN, other))
    assert (first.name, first.match.path_separated_prefix, first.route.cluster) == (PLAIN.id, "/api", "shop/cart/80")
    assert (second.name, second.match.path, second.route.cluster) == ("other", "/x", "c")


@pytest.mark.parametrize(
    "backend",
    [
        Backend(id="shop/cart/80", source=FromEndpointSet(id="shop/cart/80/m")),
        Backend(id="b", source=FromEndpointSet(id="m"), protocol="h2c", limits=Limits(connections=3, buffer=9)),
        Backend(id="b", source=FromEndpointSet(id="m"), tls=BackendTls(server_name="x"), stats_name="s"),
        Backend(id="b", source=FromEndpointSet(id="m"), balancing=ConsistentHash(), health=HealthCheck()),
        Backend(id="b", source=FromDns(name="out.example", port=8), origins=(AT,)),
    ],
)
def test_a_cluster(backend: Backend) -> None:
    whole = cluster_pb2.Cluster.FromString(clusters._cluster(backend))
    assert cluster_pb2.Cluster.FromString(clusters.cluster(backend)) == whole
    assert whole.name == backend.id


def test_members() -> None:
    held = (
        Endpoint(address="10.0.0.1", port=80),
        Endpoint(address="2001:db8::1", port=8080, zone="z"),
        Endpoint(address="10.0.0.2", port=65535, weight=0),
        Endpoint(address="10.0.0.3", port=1, weight=7, via="east.example", priority=2),
    )
    made = endpoint_pb2.ClusterLoadAssignment.FromString(endpoints.load_assignment(EndpointSet(id="s", endpoints=held)))
    found = {}
    for place in made.endpoints:
        for one in place.lb_endpoints:
            at = one.endpoint.address.socket_address
            found[at.address] = (
                at.port_value,
                place.locality.zone,
                place.priority,
                one.load_balancing_weight.value,
                one.health_status,
                one.endpoint.hostname,
            )
    assert made.cluster_name == "s"
    assert found == {
        "10.0.0.1": (80, "", 0, 0, 0, ""),
        "2001:db8::1": (8080, "z", 0, 0, 0, ""),
        "10.0.0.2": (65535, "", 0, 1, 3, ""),
        "10.0.0.3": (1, "", 1, 7, 0, "east.example"),
    }
    assert sum(place.load_balancing_weight.value for place in made.endpoints) == 1 + 1 + 7
