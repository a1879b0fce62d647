"""Routes that meet a listener in the same host: whoever names more of it goes first, whatever its age and its paths.

Upstream: HTTPRoute-, GRPCRoute- and TLSRouteMultipleRoutesAttachmentSameHostnameIntersection (v1.7).
"""

import pytest
from test_gateway import World, gateway, route

from weirkeeper.compose.l4 import claims, winner
from weirkeeper.compose.precedence import precedence_key

OLD, YOUNG = "2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z"


def order(listener, *rows, kind="HTTPRoute"):
    """The routes in the order of matching, by name; each comes as a name, its hosts and its age."""
    routes = [route(name=name, hosts=hosts, created=created, kind=kind) for name, hosts, created in rows]
    world = World(gateway(f"{{name: http, port: 80, protocol: HTTP, hostname: '{listener}'}}"), *routes)
    found = [one.route for intent in world.intents().values() for one in intent.routes if one.route.priority > -2000]
    return [one.origin.ref.name for one in sorted(found, key=precedence_key)]


@pytest.mark.parametrize("kind", ["HTTPRoute", "GRPCRoute"])
@pytest.mark.parametrize(
    ("listener", "first", "second"),
    [
        ("a.b.example", "[a.b.example]", "['*.b.example']"),
        ("a.b.example", "['*.b.example']", "['*.example']"),
        ("*.b.example", "['*.b.example']", "['*.example']"),
        ("a.b.example", "['*.example']", "[]"),
        ("a.b.example", "[other.example, a.b.example]", "['*.example', '*.b.example']"),
        ("a.b.example", "['*.example', '*.b.example']", "['*.example']"),
    ],
)
def test_the_narrower_name_goes_first(listener: str, first: str, second: str, kind: str) -> None:
    assert order(listener, ("old", second, OLD), ("young", first, YOUNG), kind=kind) == ["young", "old"]


def test_a_longer_path_does_not_outrank_a_narrower_name() -> None:
    long = route(
        "matches: [{path: {type: Exact, value: /a/long/path}}], backendRefs: [{name: shop, port: 80}]",
        name="long",
        hosts="['*.example']",
    )
    world = World(gateway("{name: http, port: 80, protocol: HTTP, hostname: a.example}"), long, route(name="short"))
    found = [one.route for intent in world.intents().values() for one in intent.routes if one.route.priority > -2000]
    assert [one.origin.ref.name for one in sorted(found, key=precedence_key)] == ["short", "long"]


def test_of_equal_names_the_older_goes_first() -> None:
    assert order("a.example", ("young", "['*.example']", YOUNG), ("old", "['*.example']", OLD)) == ["old", "young"]
    assert order("*.example", ("young", "[a.example]", YOUNG), ("old", "[a.example]", OLD)) == ["old", "young"]


def test_connections_of_tls_too() -> None:
    listener = "{name: tls, port: 443, protocol: TLS, hostname: '*.b.example', tls: {mode: Passthrough}}"
    rows = [("old", "['*.example', x.b.example]", OLD), ("young", "['*.b.example']", YOUNG)]
    world = World(
        gateway(listener),
        *(route(name=name, hosts=hosts, created=created, kind="TLSRoute") for name, hosts, created in rows),
    )
    routes = [one for intent in world.intents().values() for one in intent.l4_routes]
    (at,) = [one for intent in world.intents().values() for one in intent.listeners]
    wanted = [claim for one in routes for claim in claims(one, at)]
    won = {
        name: winner([row for row in wanted if row[0].place.name == name]) for name in ("*.b.example", "x.b.example")
    }
    assert {name: one.partition("@")[0].rpartition("/")[2] for name, one in won.items()} == {
        "*.b.example": "young",
        "x.b.example": "old",
    }
