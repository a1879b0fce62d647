"""What v1.7 of Gateway API's suite asks besides v1.6, by the names of its tests; what is asked of an engine is in the conformance suite of this repository, of a server in ``tests/api``."""

import pytest
from test_gateway import World, gateway, route

from weirkeeper.compose.precedence import precedence_key
from weirkeeper.model.filters import FullPath, PrefixPath, UrlRewrite


def routes(world):
    found = [one.route for intent in world.intents().values() for one in intent.routes if one.route.priority > -2000]
    return sorted(found, key=precedence_key)


def to(*rewrites, extra=""):
    refs = ", ".join(
        f"{{name: shop, port: {port}, filters: [{{type: URLRewrite, urlRewrite: {one}}}]}}"
        for port, one in zip((80, 90), rewrites, strict=False)
    )
    return World(gateway(), route(f"{extra}backendRefs: [{refs}]"))


FULL = "{path: {type: ReplaceFullPath, replaceFullPath: /b}}"


@pytest.mark.parametrize(
    ("wished", "found"),
    [
        ((FULL,), UrlRewrite(path=FullPath(value="/b"))),
        (("{path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}",), UrlRewrite(path=PrefixPath(value="/b"))),
        ((FULL, FULL), UrlRewrite(path=FullPath(value="/b"))),
    ],
)
def test_http_route_backend_url_rewrite(wished: tuple[str, ...], found: UrlRewrite) -> None:
    assert [one.rewrite for one in routes(to(*wished))] == [found]


@pytest.mark.parametrize(
    "world",
    [
        to(FULL, "{hostname: b.example}"),
        to(FULL, extra=f"filters: [{{type: URLRewrite, urlRewrite: {FULL}}}], "),
        World(
            gateway(),
            route(
                f"backendRefs: [{{name: shop, port: 80, filters: [{{type: URLRewrite, urlRewrite: {FULL}}}]}}, {{name: shop, port: 90}}]"
            ),
        ),
    ],
    ids=["different", "at both", "at one"],
)
def test_rewrites_at_backends_that_no_engine_can_tell_apart(world: World) -> None:
    assert [one.action.status for one in routes(world)] == [500]
    assert world.said("HTTPRoute")["Accepted"] == ("False", "UnsupportedValue")


def test_http_route_rule_order() -> None:
    """Of equal matches the first rule's takes the request, whatever stands between; of unequal ones the narrower's."""
    rule = "matches: [{path: {value: %s}}], backendRefs: [{name: shop, port: %d}]"
    rules = "}, {".join((rule % ("/a", 80), rule % ("/a/b", 90), rule % ("/a", 90), rule % ("/", 80)))
    found = [(one.match.path.value, one.action.backends[0].backend) for one in routes(World(gateway(), route(rules)))]
    assert found == [("/a/b", "d/shop/90"), ("/a", "d/shop/80"), ("/a", "d/shop/90"), ("/", "d/shop/80")]


def test_gateway_name_maximum_length() -> None:
    name = ("a" * 61 + ".") * 4 + "b" * 5
    assert len(name) == 253
    world = World(gateway(name=name), route(parent=f"{{name: {name}}}"))
    assert world.said("Gateway", name)["Accepted"] == ("True", "Accepted")
    assert world.report("Gateway", name).generation == 3
    assert world.said("HTTPRoute")["Accepted"] == ("True", "Accepted")
    assert len(routes(world)) == 1


def test_grpc_route_multiple_gateways() -> None:
    world = World(
        gateway(),
        gateway(name="h"),
        route("backendRefs: [{name: shop, port: 90}]", kind="GRPCRoute", parent="{name: g}, {name: h}"),
    )
    assert len(world.report("GRPCRoute").parents) == 2
    assert {
        one.load_balancer for one in world.intents().values() if one.routes and one.routes[0].route.priority > -2000
    } == {"gateway/d/g", "gateway/d/h"}
    assert [world.said_of("http", name=name)[1] for name in ("g", "h")] == [1, 1]


def test_grpc_route_request_header_modifier() -> None:
    edit = "set: [{name: X-Set, value: a}], add: [{name: X-Add, value: b}], remove: [X-Gone]"
    world = World(
        gateway(),
        route(
            f"filters: [{{type: RequestHeaderModifier, requestHeaderModifier: {{{edit}}}}}], backendRefs: [{{name: shop, port: 90}}]",
            kind="GRPCRoute",
        ),
    )
    (found,) = routes(world)
    assert (
        [one.value for one in found.request_headers.set],
        [one.value for one in found.request_headers.add],
        found.request_headers.remove,
    ) == (["a"], ["b"], ("X-Gone",))


@pytest.mark.parametrize("limit", ["request", "backendRequest"])
def test_http_route_retry_with_timeouts(limit: str) -> None:
    """HTTPRouteRetryWithRequestTimeout, HTTPRouteRetryWithBackendTimeout: both wishes stand at the route; engines are asked in the conformance suite."""
    (found,) = routes(
        World(
            gateway(),
            route(
                f"retry: {{codes: [500], attempts: 3}}, timeouts: {{{limit}: 200ms}}, backendRefs: [{{name: shop, port: 80}}]"
            ),
        )
    )
    assert (found.retry.attempts, found.retry.statuses) == (3, (500,))
    assert {found.timeouts.request, found.timeouts.backend_request} == {200, None}


def test_http_route_retry_connection_error() -> None:
    (found,) = routes(World(gateway(), route("retry: {attempts: 3}, backendRefs: [{name: shop, port: 80}]")))
    assert (found.retry.attempts, found.retry.statuses) == (3, ())
    assert {"connect", "reset"} <= set(found.retry.conditions)
    assert found.retry.non_idempotent
