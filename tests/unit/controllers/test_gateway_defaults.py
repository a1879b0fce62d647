"""Default Gateways (GEP-3793): routes that name none, and those that name one besides."""

import pytest
from test_gateway import World, gateway, route

ALL = ", defaultScope: All"
OPEN = "{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}"


def wishing(*, parents="[]", name="r", namespace="d", scope="All", kind="HTTPRoute", rest="hostnames: [a.example], "):
    return (
        f"kind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
        f"spec: {{parentRefs: {parents}, useDefaultGateways: {scope}, {rest}rules: [{{backendRefs: [{{name: shop, port: 80}}]}}]}}"
    )


def parents(world, kind="HTTPRoute"):
    report = world.report(kind)
    return [] if report is None else [dict(one.reference)["name"] for one in report.parents]


def test_a_route_without_parents_hangs_on_all_default_gateways() -> None:
    world = World(
        gateway(OPEN, extra=ALL), gateway(OPEN, name="h", namespace="e", extra=ALL), gateway(OPEN, name="i"), wishing()
    )
    assert parents(world) == ["g", "h"]
    assert [dict(one.reference)["namespace"] for one in world.report("HTTPRoute").parents] == ["d", "e"]
    assert world.said("HTTPRoute") == {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}
    assert len(world.served()) == 2
    assert world.said_of("http")[1] == 1


@pytest.mark.parametrize(
    ("of_gateway", "of_route"), [(ALL, "None"), (ALL, "null"), (", defaultScope: None", "All"), ("", "All")]
)
def test_both_have_to_wish_for_it(of_gateway: str, of_route: str) -> None:
    world = World(gateway(OPEN, extra=of_gateway), wishing(scope=of_route))
    assert parents(world) == []
    assert world.served() == []


def test_what_a_listener_lets_in_holds_as_ever() -> None:
    world = World(gateway(extra=ALL), wishing(namespace="e"))
    assert world.said("HTTPRoute")["Accepted"] == ("False", "NotAllowedByListeners")
    assert world.served() == []


def test_a_gateway_that_is_named_is_no_second_parent() -> None:
    both = (gateway(OPEN, extra=ALL), gateway(OPEN, name="h"))
    assert parents(World(*both, wishing(parents="[{name: g}]"))) == ["g"]
    assert parents(World(*both, wishing(parents="[{name: h}]"))) == ["h", "g"]
    assert parents(World(*both, wishing(parents="[{name: g, sectionName: http}]"))) == ["g", "g"]


def test_a_gateway_may_begin_and_cease_to_be_one() -> None:
    world = World(gateway(OPEN), wishing())
    world.put(gateway(OPEN, extra=ALL))
    assert parents(world) == ["g"]
    world.put(gateway(OPEN))
    assert parents(world) == []
    assert world.served() == []


def test_bytes_have_default_gateways_too() -> None:
    world = World(gateway("{name: tcp, port: 90, protocol: TCP}", extra=ALL), wishing(kind="TCPRoute", rest=""))
    assert parents(world, "TCPRoute") == ["g"]
    assert [one.listener for intent in world.intents().values() for one in intent.l4_routes] != []


def test_the_routes_of_others_are_theirs() -> None:
    world = World(gateway(OPEN, extra=ALL), route(parent="{name: nobody}"))
    assert parents(world) == []
