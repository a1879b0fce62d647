"""What v1.7 of Gateway API's suite asks besides v1.6, by the names of its tests; what is asked of an engine is in the conformance suite of this repository, of a server in ``tests/api``."""

import base64

import pytest
from test_gateway import World, gateway, route

from weirkeeper.compose.precedence import precedence_key
from weirkeeper.kube.conditions import ConditionsWish
from weirkeeper.model.filters import FullPath, HeaderSession, PrefixPath, UrlRewrite
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import Timestamp
from weirkeeper.status.conditions import cleared_status, merged_status
from weirkeeper.testing.certificates import Authority


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


POLICY = """kind: BackendTLSPolicy
metadata: {name: p, namespace: d}
spec:
  targetRefs: [{group: "", kind: Service, name: shop}]
  validation: {hostname: shop.example, wellKnownCACertificates: System}"""
GOOD = {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}


def test_backend_tls_policy_grpc_route() -> None:
    world = World(gateway(), POLICY, route("backendRefs: [{name: shop, port: 80}]", kind="GRPCRoute"))
    (backend,) = [one for intent in world.intents().values() for one in intent.backends]
    assert (backend.protocol, backend.tls.server_name, backend.tls.verify) == ("grpc", "shop.example", True)
    assert world.said("BackendTLSPolicy", "p") == GOOD


@pytest.mark.parametrize(("mode", "secured"), [("Terminate", True), ("Passthrough", False)])
def test_backend_tls_policy_tls_route_terminate(mode: str, secured: bool) -> None:
    pair = Authority("test").issue("a.example")
    data = {"tls.crt": base64.b64encode(pair.certificate).decode(), "tls.key": base64.b64encode(pair.key).decode()}
    secret = f"kind: Secret\nmetadata: {{name: c, namespace: d}}\ntype: kubernetes.io/tls\ndata: {data}"
    refs = ", certificateRefs: [{name: c}]" if secured else ""
    listener = f"{{name: tls, port: 443, protocol: TLS, tls: {{mode: {mode}{refs}}}}}"
    world = World(gateway(listener), secret, POLICY, route(kind="TLSRoute"))
    (backend,) = [one for intent in world.intents().values() for one in intent.backends]
    (led,) = [one for intent in world.intents().values() for one in intent.l4_routes]
    assert led.forward.backends[0].backend == backend.id
    assert backend.protocol == "tcp"
    assert (backend.tls is not None and backend.tls.server_name == "shop.example") is secured
    assert world.said("BackendTLSPolicy", "p") == GOOD


def test_a_policy_without_authorities_leaves_tls_alone_that_goes_through() -> None:
    bad = POLICY.replace(
        "wellKnownCACertificates: System", 'caCertificateRefs: [{group: "", kind: ConfigMap, name: nothing}]'
    )
    listener = "{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}"
    world = World(gateway(listener), bad, route(kind="TLSRoute"))
    assert [one.id for intent in world.intents().values() for one in intent.backends] == ["d/shop/80~tcp"]
    assert world.said("BackendTLSPolicy", "p")["Accepted"] == ("False", "NoValidCACertificate")


@pytest.mark.parametrize(("kind", "of"), [("HTTPRoute", "parents"), ("BackendTLSPolicy", "ancestors")])
def test_preserve_foreign_status(kind: str, of: str) -> None:
    """HTTPRoutePreserveForeignStatus, BackendTLSPolicyPreserveForeignStatus; on a server, with GatewayPreserveForeignConditions: tests/api/test_condition_writer.py."""
    world = World(gateway(), POLICY, route())
    name = "p" if kind == "BackendTLSPolicy" else "r"
    wish = ConditionsWish(ref=Ref(group="g", kind=kind, namespace="d", name=name), report=world.report(kind, name))
    foreign = {
        "controllerName": "x.io/y",
        "parentRef": {"name": "f"},
        "ancestorRef": {"name": "f"},
        "conditions": [{"type": "Odd"}],
    }
    made = merged_status({of: [foreign]}, wish, Timestamp("2026-01-01T00:00:00Z"))
    assert made is not None
    assert made[of][0] == foreign
    assert [one["controllerName"] for one in made[of]] == ["x.io/y", "weirkeeper.io/gateway"]
    assert cleared_status(made, "weirkeeper.io/gateway") == {of: [foreign]}


GUARD = "{type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: {name: shop, port: 80}}}"
EXTENSION = "{type: ExtensionRef, extensionRef: {group: example.com, kind: Claims, name: x}}"


@pytest.mark.parametrize(("one", "said"), [(GUARD, "ExternalAuth"), (EXTENSION, "ExtensionRef")])
def test_gateway_listener_filters_unsupported(one: str, said: str) -> None:
    """Whatever cannot be done before routing is refused with its name, for its listener alone (GEP-5224, Filter Ordering)."""
    guarded = f"{{name: guarded, port: 81, protocol: HTTP, filters: {{requests: [{one}]}}}}"
    world = World(gateway("{name: http, port: 80, protocol: HTTP}", guarded), route())
    told = {one.name: one for one in world.report("Gateway", "g").listeners}
    (why,) = [c for c in told["guarded"].conditions if c.type == "Accepted"]
    assert (why.status, why.reason) == ("False", "UnsupportedValue")
    assert why.message.startswith(f'filters.requests[0]: no "{said}"')
    assert world.said_of("http")[0]["Accepted"] == ("True", "Accepted")
    assert [group for group, _, _ in world.served()] == ["g/http/80"]


@pytest.mark.parametrize("filters", ["{}", "{requests: []}"])
def test_gateway_listener_without_filters(filters: str) -> None:
    world = World(gateway(f"{{name: http, port: 80, protocol: HTTP, filters: {filters}}}"), route())
    assert world.said_of("http")[0]["Accepted"] == ("True", "Accepted")


@pytest.mark.parametrize(
    ("wished", "kept"),
    [
        ("{cookie: {name: stay}}", ("stay", "/", None)),
        ("{cookie: {name: stay, path: /a}}", ("stay", "/a", None)),
        ("{absoluteTimeout: 5s, cookie: {name: stay, lifetimeType: Permanent}}", ("stay", "/", 5000)),
        ("{sessionName: stay, cookieConfig: {lifetimeType: Session}}", ("stay", "/shop", None)),
    ],
)
def test_sessions_of_rules_as_either_version_has_them(wished: str, kept: tuple[object, ...]) -> None:
    backend = "matches: [{path: {value: /shop}}], backendRefs: [{name: shop, port: 80}]"
    (made,) = routes(World(gateway(), route(f"sessionPersistence: {wished}, {backend}")))
    assert (made.affinity.name, made.affinity.path, made.affinity.ttl) == kept


def test_sessions_by_a_header_of_v1_7() -> None:
    backend = "backendRefs: [{name: shop, port: 80}]"
    (made,) = routes(
        World(gateway(), route(f"sessionPersistence: {{type: Header, header: {{name: x-stay}}}}, {backend}"))
    )
    assert made.affinity == HeaderSession(name="x-stay")
