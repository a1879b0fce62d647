"""Gateways, their listeners and routes: what they come to, and what is said of them."""

import msgspec
import pytest
import yaml
from build import SHOP

from weirkeeper.controllers.base import COMMON_KINDS, Inputs
from weirkeeper.controllers.gateway import GatewayController, GatewaySettings
from weirkeeper.flow import Graph
from weirkeeper.model.ids import LOCAL
from weirkeeper.testing.certificates import Authority

GROUP = "gateway.networking.k8s.io"
CLASS = "kind: GatewayClass\nmetadata: {name: weir}\nspec: {controllerName: weirkeeper.io/gateway}"
BY_LISTENERS = -2000
PLAIN = "{name: http, port: 80, protocol: HTTP}"


def gateway(*listeners, name="g", namespace="d", extra=""):
    return f"kind: Gateway\nmetadata: {{name: {name}, namespace: {namespace}, generation: 3}}\nspec: {{gatewayClassName: weir, listeners: [{', '.join(listeners or (PLAIN,))}]{extra}}}"


def route(
    rules="backendRefs: [{name: shop, port: 80}]",
    *,
    name="r",
    namespace="d",
    parent="{name: g}",
    hosts="[a.example]",
    kind="HTTPRoute",
    created="2026-01-01T00:00:00Z",
):
    return f"kind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}, creationTimestamp: '{created}'}}\nspec: {{parentRefs: [{parent}], hostnames: {hosts}, rules: [{{{rules}}}]}}"


class World:
    def __init__(self, *documents, settings=GatewaySettings()):
        self.graph = Graph()
        controller = GatewayController(settings)
        kinds = (*COMMON_KINDS, *controller.kinds)
        self.kinds = {kind.kind: kind for kind in kinds}
        self.inputs = Inputs(self.graph, kinds)
        self.tables = controller.declare(self.graph, self.inputs)
        for kind in ("Secret", "ConfigMap"):
            self.graph.put(self.inputs.complete, kind, True)
        self.put(CLASS, SHOP, *documents)

    def put(self, *documents):
        for document in documents:
            self._edit(document)
        self.graph.settle()

    def drop(self, *documents):
        for document in documents:
            self._edit(document, gone=True)
        self.graph.settle()

    def _edit(self, text, *, gone=False):
        document = yaml.safe_load(text)
        kind = self.kinds[document["kind"]]
        version = f"{kind.group}/{kind.version}" if kind.group else kind.version
        made = msgspec.convert({**document, "apiVersion": version, "cluster": LOCAL}, kind.type, strict=False)
        self.graph.put(self.inputs.of(kind.type), made.ref, None if gone else made)

    def intents(self):
        return {str(ref): one for table in self.tables for ref, one in self.graph.rows(table).items()}

    def report(self, kind, name="r"):
        rows = {
            (ref.kind, ref.name): one for table in self.inputs.reports for ref, one in self.graph.rows(table).items()
        }
        return rows.get((kind, name))

    def served(self):
        """The routes that are no answers of listeners themselves: group, host and where it leads."""
        found = []
        for one in self.intents().values():
            for hosted in one.routes:
                if hosted.route.priority > BY_LISTENERS:
                    action = hosted.route.action
                    leads = getattr(action, "status", None) or tuple(b.backend for b in action.backends)
                    found.append((hosted.group.removeprefix("gateway/d/"), hosted.hostname, leads))
        return sorted(found, key=str)

    def answers(self):
        """What listeners answer by themselves."""
        return sorted(
            (hosted.group.removeprefix("gateway/d/g/"), hosted.hostname, hosted.route.action.status)
            for one in self.intents().values()
            for hosted in one.routes
            if hosted.route.priority == BY_LISTENERS
        )

    def said(self, kind, name="r", parent=0):
        report = self.report(kind, name)
        conditions = report.parents[parent].conditions if report.parents is not None else report.conditions
        return {c.type: (c.status, c.reason) for c in conditions}

    def said_of(self, listener, kind="Gateway", name="g"):
        one = next(one for one in self.report(kind, name).listeners if one.name == listener)
        return {c.type: (c.status, c.reason) for c in one.conditions}, one.attached


def test_a_route_is_served_where_its_gateway_listens() -> None:
    world = World(gateway(), route())
    assert world.served() == [("g/http/80", "a.example", ("d/shop/80",))]
    assert world.said("HTTPRoute") == {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}
    assert world.said_of("http")[1] == 1
    assert world.report("Gateway", "g").generation == 3


def test_a_class_of_somebody_else_is_none_of_our_business() -> None:
    world = World(gateway(), route())
    world.put(CLASS.replace("weirkeeper.io/gateway", "example.com/other"))
    assert world.intents() == {}
    assert world.report("Gateway", "g") is None
    assert world.report("HTTPRoute") is None


@pytest.mark.parametrize(
    ("listener", "hosts", "served"),
    [
        ("*.example", "[a.example, b.other]", ["a.example"]),
        ("a.example", "['*.example']", ["a.example"]),
        ("*.a.example", "['*.example']", ["*.a.example"]),
        ("*.example", "['*.a.example', x.y.example]", ["*.a.example", "x.y.example"]),
        ("*.example", "[]", ["*.example"]),
        ("", "[]", ["*"]),
    ],
)
def test_hosts_of_listener_and_route_meet(listener: str, hosts: str, served: list[str]) -> None:
    world = World(gateway(f"{{name: http, port: 80, protocol: HTTP, hostname: '{listener}'}}"), route(hosts=hosts))
    assert sorted(host for _, host, _ in world.served()) == sorted(served)


def test_no_common_host_is_said() -> None:
    world = World(gateway("{name: http, port: 80, protocol: HTTP, hostname: b.example}"), route())
    assert world.said("HTTPRoute")["Accepted"] == ("False", "NoMatchingListenerHostname")
    assert world.said_of("http")[1] == 0


@pytest.mark.parametrize(
    ("parent", "reason"),
    [
        ("{name: g, sectionName: other}", "NoMatchingParent"),
        ("{name: g, port: 81}", "NoMatchingParent"),
        ("{name: g, sectionName: http, port: 80}", "Accepted"),
    ],
)
def test_sections_and_ports_of_parents(parent: str, reason: str) -> None:
    assert World(gateway(), route(parent=parent)).said("HTTPRoute")["Accepted"][1] == reason


SELECTED = "{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {a: b}}}}}"


def test_routes_of_other_namespaces_need_to_be_allowed() -> None:
    far = route(namespace="e", parent="{name: g, namespace: d}", rules="")
    world = World(gateway(), far)
    assert world.said("HTTPRoute")["Accepted"] == ("False", "NotAllowedByListeners")
    world.put(gateway(SELECTED))
    assert world.said("HTTPRoute")["Accepted"] == ("False", "NotAllowedByListeners")
    world.put("kind: Namespace\nmetadata: {name: e, labels: {a: b}}")
    assert world.said("HTTPRoute")["Accepted"] == ("True", "Accepted")
    world.put("kind: Namespace\nmetadata: {name: e, labels: {a: c}}")
    assert world.said("HTTPRoute")["Accepted"] == ("False", "NotAllowedByListeners")
    assert world.served() == []


def test_kinds_that_a_listener_does_not_take() -> None:
    only = "{name: http, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: GRPCRoute}, {kind: Teapot}]}}"
    world = World(gateway(only), route())
    assert world.said("HTTPRoute")["Accepted"] == ("False", "NotAllowedByListeners")
    assert world.said_of("http")[0]["ResolvedRefs"] == ("False", "InvalidRouteKinds")
    assert world.report("Gateway", "g").listeners[0].kinds == ((GROUP, "GRPCRoute"),)


def test_the_narrowest_listener_has_a_host_alone() -> None:
    wide, narrow = PLAIN, "{name: narrow, port: 80, protocol: HTTP, hostname: '*.a.example'}"
    world = World(gateway(wide, narrow), route(parent="{name: g, sectionName: http}", hosts="[x.a.example, b.example]"))
    assert [host for _, host, _ in world.served()] == ["b.example"]
    assert world.answers() == [("http/80", "*.a.example", 404)]
    world.put(gateway(wide))
    assert [host for _, host, _ in world.served()] == ["b.example", "x.a.example"]


def test_listeners_of_one_gateway_that_cannot_both_stand_fall_together() -> None:
    world = World(gateway(PLAIN, "{name: tls, port: 80, protocol: HTTPS}", "{name: fine, port: 81, protocol: HTTP}"))
    for name in ("http", "tls"):
        assert world.said_of(name)[0]["Conflicted"] == ("True", "ProtocolConflict")
        assert world.said_of(name)[0]["Accepted"] == ("False", "ProtocolConflict")
    assert world.said_of("fine")[0]["Conflicted"] == ("False", "NoConflicts")
    assert world.said("Gateway", "g")["Accepted"] == ("True", "ListenersNotValid")


def test_an_unknown_protocol_is_not_accepted() -> None:
    world = World(gateway("{name: x, port: 80, protocol: example.com/x}"))
    assert world.said_of("x")[0]["Accepted"] == ("False", "UnsupportedProtocol")
    assert world.said("Gateway", "g")["Accepted"] == ("False", "ListenersNotValid")


SECURE = "{{name: {0}, port: 443, protocol: HTTPS, {1} tls: {{certificateRefs: [{{name: c, namespace: {2}}}]}}}}"
GRANT = """
kind: ReferenceGrant
metadata: {name: x, namespace: %s}
spec: {from: [{group: gateway.networking.k8s.io, kind: %s, namespace: %s}], to: [{group: '', kind: %s}]}
"""


@pytest.fixture(scope="module")
def secret() -> str:
    pair = Authority().issue("*.example")
    data = {"tls.crt": pair.certificate.decode(), "tls.key": pair.key.decode()}
    return yaml.safe_dump({"kind": "Secret", "metadata": {"name": "c", "namespace": "d"}, "stringData": data})


def test_each_https_listener_knows_what_the_others_take(secret: str) -> None:
    world = World(
        gateway(
            SECURE.format("any", "", "d"),
            SECURE.format("one", "hostname: one.example,", "d"),
            SECURE.format("wild", "hostname: '*.wild.example',", "d"),
        ),
        secret,
        route(hosts="[]"),
    )
    assert world.answers() == sorted(
        [
            ("listener/any", "*.wild.example", 421),
            ("listener/any", "one.example", 421),
            ("listener/one", "*", 421),
            ("listener/one", "*.wild.example", 421),
            ("listener/one", "one.example", 404),
            ("listener/wild", "*", 421),
            ("listener/wild", "*.wild.example", 404),
            ("listener/wild", "one.example", 421),
        ]
    )
    listeners = [one for intent in world.intents().values() for one in intent.listeners]
    assert [(one.hostname, one.tls.default_certificate) for one in listeners] == [
        (None, "d/c"),
        ("one.example", None),
        ("*.wild.example", None),
    ]


def test_what_no_listener_takes_is_not_found_and_not_misdirected(secret: str) -> None:
    world = World(gateway(SECURE.format("one", "hostname: one.example,", "d")), secret)
    assert world.answers() == [("listener/one", "*", 404), ("listener/one", "one.example", 404)]


@pytest.mark.parametrize(
    ("ref", "reason"),
    [
        ("{name: c}", "ResolvedRefs"),
        ("{name: gone}", "InvalidCertificateRef"),
        ("{name: c, kind: Teapot}", "InvalidCertificateRef"),
        ("{name: c, group: example.com}", "InvalidCertificateRef"),
        ("{name: c, namespace: e}", "RefNotPermitted"),
    ],
)
def test_certificates_of_listeners(ref: str, reason: str, secret: str) -> None:
    world = World(gateway(f"{{name: s, port: 443, protocol: HTTPS, tls: {{certificateRefs: [{ref}]}}}}"), secret)
    assert world.said_of("s")[0]["ResolvedRefs"][1] == reason
    assert any(one.listeners for one in world.intents().values()) is (reason == "ResolvedRefs")


FAR = "{name: shop, namespace: e, port: 80}"
MIRROR = (
    f"backendRefs: [{{name: shop, port: 80}}], filters: [{{type: RequestMirror, requestMirror: {{backendRef: {FAR}}}}}]"
)


@pytest.mark.parametrize("kind", ["HTTPRoute", "GRPCRoute"])
@pytest.mark.parametrize("rules", [f"backendRefs: [{FAR}]", MIRROR])
def test_no_reference_leads_into_another_namespace_without_a_grant_for_just_that(kind: str, rules: str) -> None:
    world = World(gateway(), SHOP.replace("namespace: d", "namespace: e"), route(rules, kind=kind))

    def leads_there() -> bool:
        return any("e/shop/80" in b.id for one in world.intents().values() for b in one.backends)

    wrong = [
        GRANT % ("d", kind, "d", "Service"),
        GRANT % ("e", kind, "x", "Service"),
        GRANT % ("e", "TLSRoute", "d", "Service"),
        GRANT % ("e", kind, "d", "Secret"),
        (GRANT % ("e", kind, "d", "Service")).replace("kind: Service}", "kind: Service, name: other}"),
    ]
    for grant in ["", *wrong]:
        world.put(*filter(None, [grant]))
        assert not leads_there()
        assert world.said(kind)["ResolvedRefs"] == ("False", "RefNotPermitted")
        world.drop(*filter(None, [grant]))
    right = GRANT % ("e", kind, "d", "Service")
    world.put(right)
    assert leads_there()
    assert world.said(kind)["ResolvedRefs"] == ("True", "ResolvedRefs")
    world.drop(right)
    assert not leads_there()


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ("backendRefs: [{name: gone, port: 80}]", "BackendNotFound"),
        ("backendRefs: [{name: shop, port: 81}]", "BackendNotFound"),
        ("backendRefs: [{name: shop, kind: Teapot, group: x}]", "InvalidKind"),
        ("backendRefs: []", "ResolvedRefs"),
        ("backendRefs: [{name: shop, port: 80, weight: 0}]", "ResolvedRefs"),
    ],
)
def test_what_leads_nowhere_is_answered_500(rules: str, reason: str) -> None:
    world = World(gateway(), route(rules))
    assert world.served() == [("g/http/80", "a.example", 500)]
    assert world.said("HTTPRoute")["ResolvedRefs"][1] == reason
    assert world.said("HTTPRoute")["Accepted"] == ("True", "Accepted")


@pytest.mark.parametrize(
    "rules",
    [
        "filters: [{type: ExtensionRef}]",
        "filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: 'a b', value: c}]}}]",
        "timeouts: {request: soon}",
        "backendRefs: [{name: shop, port: 80, filters: [{type: CORS, cors: {}}]}]",
    ],
)
def test_a_rule_that_cannot_be_used_is_answered_500_and_never_skipped(rules: str) -> None:
    more = rules if "backendRefs" in rules else f"backendRefs: [{{name: shop, port: 80}}], {rules}"
    world = World(gateway(), route(more))
    assert world.served() == [("g/http/80", "a.example", 500)]
    assert world.said("HTTPRoute")["Accepted"] == ("False", "UnsupportedValue")


def test_one_route_of_two_gateways() -> None:
    world = World(gateway(), gateway(name="h"), route(parent="{name: g}, {name: h}"))
    assert [group for group, _, _ in world.served()] == ["g/http/80", "h/http/80"]
    assert [parent.load_balancer for parent in world.report("HTTPRoute").parents] == ["gateway/d/g", "gateway/d/h"]


def test_grpc_methods_are_paths() -> None:
    rules = "matches: [{method: {service: a.B, method: C}}, {method: {service: a.B}}, {method: {method: C}}], backendRefs: [{name: shop, port: 80}]"
    world = World(gateway(), route(rules, kind="GRPCRoute"))
    routes = [hosted.route for one in world.intents().values() for hosted in one.routes if hosted.route.priority == 0]
    assert [(type(one.match.path).__name__, one.match.path.value) for one in routes] == [
        ("ExactPath", "/a.B/C"),
        ("SegmentPrefix", "/a.B"),
        ("RegexPath", "/[^/]+/C"),
    ]
    assert {backend.protocol for one in world.intents().values() for backend in one.backends} == {"grpc"}


SET = """
kind: ListenerSet
metadata: {name: %s, namespace: %s, creationTimestamp: '%s'}
spec: {parentRef: {name: g, namespace: d}, listeners: [%s]}
"""
OPEN = ", allowedListeners: {namespaces: {from: All}}"


def test_listener_sets_come_in_where_the_gateway_lets_them() -> None:
    extra = SET % ("s", "e", "2026-01-01T00:00:00Z", "{name: more, port: 81, protocol: HTTP}")
    mine = route(rules="", namespace="e", parent="{name: s, kind: ListenerSet}")
    world = World(gateway(), extra, mine)
    assert world.said("ListenerSet", "s")["Accepted"] == ("False", "NotAllowed")
    assert world.served() == []
    world.put(gateway(extra=OPEN))
    assert world.said("ListenerSet", "s")["Accepted"] == ("True", "Accepted")
    assert world.served() == [("g/http/81", "a.example", 500)]
    assert world.said_of("more", "ListenerSet", "s")[1] == 1
    assert world.report("Gateway", "g").sets == 1


def test_the_older_listener_set_has_a_host_and_the_gateway_before_all() -> None:
    listener = "{name: x, port: 80, protocol: HTTP, hostname: %s}"
    world = World(
        gateway("{name: own, port: 80, protocol: HTTP, hostname: g.example}", extra=OPEN),
        SET % ("a", "d", "2026-02-01T00:00:00Z", listener % "s.example"),
        SET % ("b", "d", "2026-01-01T00:00:00Z", listener % "s.example"),
        SET % ("c", "d", "2020-01-01T00:00:00Z", listener % "g.example"),
    )
    reasons = {name: world.said_of("x", "ListenerSet", name)[0]["Accepted"][1] for name in "abc"}
    assert reasons == {"a": "HostnameConflict", "b": "Accepted", "c": "HostnameConflict"}
    assert world.report("Gateway", "g").sets == 1
    assert world.said("ListenerSet", "a")["Accepted"] == ("False", "ListenersNotValid")
    assert world.said_of("own")[0]["Accepted"] == ("True", "Accepted")


def test_the_share_of_a_backend_that_is_not_there_is_refused() -> None:
    rules = "backendRefs: [{name: shop, port: 80, weight: 3}, {name: gone, port: 80, weight: 2}, {name: shop, namespace: e, port: 80}]"
    world = World(gateway(), route(rules))
    (forward,) = [
        hosted.route.action for one in world.intents().values() for hosted in one.routes if hosted.route.priority == 0
    ]
    assert ([(one.backend, one.weight) for one in forward.backends], forward.refused) == ([("d/shop/80", 3)], 3)
    assert world.said("HTTPRoute")["ResolvedRefs"] == ("False", "BackendNotFound")


def test_host_names_of_tls_that_overlap_are_told(secret: str) -> None:
    def secure(name: str, host: str) -> str:
        tls = "tls: {certificateRefs: [{name: c}]}"
        return f"{{name: {name}, port: 443, protocol: HTTPS, hostname: '{host}', {tls}}}"

    hosts = {"a": "foo.example.com", "b": "foo.example.org", "c": "*.example.com", "d": "*.foo.example.org"}
    world = World(secret, gateway(*(secure(*one) for one in hosts.items()), PLAIN))
    over = ("True", "OverlappingHostnames")
    told = {name: world.said_of(name)[0].get("OverlappingTLSConfig") for name in (*hosts, "http")}
    assert told == {"a": over, "b": None, "c": over, "d": None, "http": None}


def test_a_listener_set_without_a_listener_that_can_be_served_is_not_accepted(secret: str) -> None:
    wished = "{name: %s, port: %d, protocol: HTTPS, tls: {certificateRefs: [{name: c, namespace: %s}]}}"
    listeners = [wished % ("mine", 443, "d"), wished % ("theirs", 444, "e")]
    world = World(secret, gateway(extra=OPEN), SET % ("s", "d", "2026-01-01T00:00:00Z", ", ".join(listeners)))
    assert world.said("ListenerSet", "s")["Accepted"] == ("True", "ListenersNotValid")
    world.put(SET % ("s", "d", "2026-01-01T00:00:00Z", listeners[1]))
    assert world.said("ListenerSet", "s")["Accepted"] == ("False", "ListenersNotValid")
    assert world.said_of("theirs", "ListenerSet", "s")[0]["ResolvedRefs"] == ("False", "RefNotPermitted")
