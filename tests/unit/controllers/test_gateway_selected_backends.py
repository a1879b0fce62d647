"""XBackends that select pods by labels (v1.7): which pods are meant, what keeps clients on one of them, and what nobody is sent to."""

import msgspec
import pytest
from test_gateway import World, gateway, route

from weirkeeper.controllers.base import COMMON_KINDS, Inputs
from weirkeeper.controllers.gateway import GatewaySettings
from weirkeeper.controllers.shared.backends import declare_endpoint_sets
from weirkeeper.controllers.shared.workloads import PODS, declare_selections
from weirkeeper.flow import Graph
from weirkeeper.kube.workloads import Pod, PodSelection
from weirkeeper.model.backend import FromEndpointSet
from weirkeeper.model.endpoint import EndpointSetWish, PodsWith
from weirkeeper.model.filters import CookieAffinity, HeaderSession
from weirkeeper.model.ids import Part, Ref

TO = "backendRefs: [{group: gateway.networking.x-k8s.io, kind: XBackend, name: web%s}]"
WEB = "matchLabels: {app: web}"
SPLIT = TO.replace("]", ", {name: shop, port: 80}]") % ""
GOOD = {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}


def selecting(selector=WEB, more="", *, namespace="d", port="number: 8080"):
    return (
        f"kind: XBackend\nmetadata: {{name: web, namespace: {namespace}, generation: 4}}\n"
        f"spec: {{type: EndpointSelector, endpointSelector: {{{selector}}}, port: {{{port}}}{more}}}"
    )


def world(*documents, rules=TO % "", kind="HTTPRoute", settings=GatewaySettings()):
    return World(gateway(), route(rules, kind=kind), *documents, settings=settings)


def backends(found):
    return [one for intent in found.intents().values() for one in intent.backends]


def affinity(found):
    (made,) = [hosted.route for intent in found.intents().values() for hosted in intent.routes if hosted.route.origin.ref.kind == "HTTPRoute"]  # fmt: skip
    return made.affinity


def test_pods_of_its_own_namespace() -> None:
    found = world(selecting("matchLabels: {tier: front, example.com/app: web}"))
    (backend,) = backends(found)
    (wish,) = [one for intent in found.intents().values() for one in intent.endpoint_sets]
    assert (backend.source, backend.protocol, backend.tls) == (FromEndpointSet(id=wish.id), "http1", None)
    assert (wish.service.kind, wish.service.namespace) == ("XBackend", "d")
    assert wish.pods == PodsWith(labels=(("example.com/app", "web"), ("tier", "front")), port=8080)
    assert found.said("HTTPRoute") == GOOD
    assert found.said("XBackend", "web") == GOOD
    report = found.report("XBackend", "web")
    assert (report.generation, report.of) == (4, "ancestors")


def test_nobody_asks_for_pods_that_no_route_leads_to() -> None:
    found = World(gateway(), route(), selecting())
    assert [one.id for intent in found.intents().values() for one in intent.endpoint_sets] == ["d/shop/80"]


def test_the_list_of_the_status_is_the_one_of_its_version() -> None:
    assert world(selecting(port="port: 8080")).report("XBackend", "web").of == "parents"


@pytest.mark.parametrize(
    ("protocol", "spoken"), [("HTTP11", "http1"), ("H2C", "h2c"), ("GRPC", "grpc")]
)
def test_what_is_spoken(protocol: str, spoken: str) -> None:
    (backend,) = backends(world(selecting(more=f", protocol: {protocol}")))
    assert backend.protocol == spoken


def test_web_sockets_by_tls() -> None:
    tls = ", tls: {mode: ServerOnly, validation: {hostname: a.example, wellKnownCACertificates: System}}"
    (backend,) = backends(world(selecting(more=f", protocol: WSS{tls}")))
    assert (backend.protocol, backend.tls.server_name) == ("http1", "a.example")
    assert backends(world(selecting(more=", protocol: WSS, tls: {mode: None}"))) == []


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (selecting(""), "Invalid"),
        (selecting("matchLabels: {}"), "Invalid"),
        (selecting("matchLabels: {app: web}, matchExpressions: [{key: tier, operator: Exists}]"), "Invalid"),
        (selecting("matchLabels: {app: 'web,tier=back'}"), "Invalid"),
        (selecting('matchLabels: {app: "web\\n"}'), "Invalid"),
        (selecting("matchLabels: {'app in (a)': web}"), "Invalid"),
        (selecting("matchLabels: {'': web}"), "Invalid"),
        (selecting("matchLabels: {'/app': web}"), "Invalid"),
        (selecting("matchLabels: {Example.com/app: web}"), "Invalid"),
        (selecting("matchLabels: {-app: web}"), "Invalid"),
        (selecting(f"matchLabels: {{{'a' * 64}: web}}"), "Invalid"),
        (selecting(f"matchLabels: {{{'a' * 254}/app: web}}"), "Invalid"),
        (selecting(f"matchLabels: {{app: {'a' * 64}}}"), "Invalid"),
        (selecting(f"matchLabels: {{{', '.join(f'l{i}: x' for i in range(65))}}}"), "Invalid"),
        (selecting(port="number: 0"), "Invalid"),
        (selecting(port="number: 70000"), "Invalid"),
        (selecting(more=", externalHostname: {hostname: a.example.com}"), "Invalid"),
        (selecting(more=", protocol: TCP"), "UnsupportedProtocol"),
        (selecting(more=", protocol: MCP"), "UnsupportedProtocol"),
        (selecting(more=", sessionPersistence: {type: Magic}"), "Invalid"),
        (selecting(more=", sessionPersistence: {cookie: {path: 'shop'}}"), "Invalid"),
        (selecting(more=", sessionPersistence: {cookie: {path: '/;x'}}"), "Invalid"),
        (selecting(more=", sessionPersistence: {cookie: {name: 'a b'}}"), "Invalid"),
        (selecting(more=", sessionPersistence: {cookie: {lifetimeType: Permanent}}"), "Invalid"),
    ],
)  # fmt: skip
def test_what_nobody_is_sent_to(document: str, reason: str) -> None:
    found = world(document)
    assert found.said("XBackend", "web")["Accepted"] == ("False", reason)
    assert found.said("HTTPRoute")["ResolvedRefs"][0] == "False"
    assert backends(found) == []
    assert found.served() == [("g/http/80", "a.example", 500)]


def test_a_label_may_have_no_value() -> None:
    assert len(backends(world(selecting("matchLabels: {app: ''}")))) == 1


def test_an_install_that_reads_no_pods_says_so() -> None:
    found = world(selecting(), settings=GatewaySettings(pods=False))
    assert found.said("XBackend", "web")["Accepted"] == ("False", "UnsupportedValue")
    assert found.served() == [("g/http/80", "a.example", 500)]


def test_a_route_of_another_namespace_never_leads_there() -> None:
    grant = """kind: ReferenceGrant
metadata: {name: x, namespace: e}
spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: d}], to: [{group: gateway.networking.x-k8s.io, kind: XBackend}]}"""
    session = ", sessionPersistence: {}"
    found = world(selecting(namespace="e", more=session), grant, rules=TO % ", namespace: e")
    assert found.said("HTTPRoute")["ResolvedRefs"] == ("False", "RefNotPermitted")
    assert found.said("HTTPRoute")["Accepted"] == ("True", "Accepted")
    assert backends(found) == []
    assert found.report("XBackend", "web") is None


@pytest.mark.parametrize(
    ("wished", "kept"),
    [
        ("{cookie: {name: stay}}", CookieAffinity(name="stay", path="/", same_site="Strict", persistent=True)),
        ("{cookie: {name: stay, path: /shop}}", CookieAffinity(name="stay", path="/shop", same_site="Strict", persistent=True)),
        ("{absoluteTimeout: 60s, cookie: {name: stay, lifetimeType: Permanent}}", CookieAffinity(name="stay", path="/", ttl=60_000, same_site="Strict", persistent=True)),
        ("{type: Header, header: {name: x-stay}}", HeaderSession(name="x-stay")),
    ],
)  # fmt: skip
def test_clients_stay_on_one_pod(wished: str, kept: object) -> None:
    found = world(selecting(more=f", sessionPersistence: {wished}"))
    assert affinity(found) == kept


def test_a_session_without_a_name_has_one_for_all_paths() -> None:
    kept = affinity(world(selecting(more=", sessionPersistence: {type: Cookie}")))
    assert (kept.name.startswith("weir-"), kept.path) == (True, "/")


def test_a_rules_own_session_goes_first() -> None:
    rules = f"sessionPersistence: {{type: Header, header: {{name: x-own}}}}, {TO % ''}"
    assert affinity(world(selecting(more=", sessionPersistence: {}"), rules=rules)) == HeaderSession(name="x-own")


def test_a_session_never_says_which_of_several_backends_answers() -> None:
    found = world(selecting(more=", sessionPersistence: {}"), rules=SPLIT)
    assert found.said("HTTPRoute")["Accepted"][0] == "False"
    assert found.served() == [("g/http/80", "a.example", 500)]
    (_, _, leads) = world(selecting(), rules=SPLIT).served()[0]
    assert len(leads) == 2


def test_names_outside_have_no_sessions() -> None:
    outside = "kind: XBackend\nmetadata: {name: web, namespace: d}\nspec: {type: ExternalHostname, externalHostname: {hostname: a.example.com}, port: {number: 80}, sessionPersistence: {}}"
    assert world(outside).said("XBackend", "web")["Accepted"] == ("False", "Invalid")


def pod(name, address="10.0.0.1", *, namespace="d", ready="True", **labels):
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "status": {"phase": "Running", "podIP": address, "conditions": [{"type": "Ready", "status": ready}]},
    }
    return msgspec.convert(body, Pod)


class Sets:
    """The members of one wish, as pods come and go."""

    def __init__(self, *labels):
        self.graph = Graph()
        self.inputs = Inputs(self.graph, (*COMMON_KINDS, PODS))
        wishes = self.graph.source("wishes")
        self.sets = declare_endpoint_sets(self.graph, self.inputs, wishes, allow_local=False)
        self.selections = declare_selections(self.graph, self.inputs, wishes)
        home = Ref(group="gateway.networking.x-k8s.io", kind="XBackend", namespace="d", name="web")
        wish = EndpointSetWish(id="x", service=home, port_name="", pods=PodsWith(labels=labels, port=8080))
        self.graph.put(wishes, Part("lb", "x"), wish)

    def members(self, *pods, gone=()):
        for one in pods:
            self.graph.put(self.inputs.of(Pod), one.ref, one)
        for one in gone:
            self.graph.put(self.inputs.of(Pod), one.ref, None)
        self.graph.settle()
        return [(e.address, e.port, e.state.value) for e in self.graph.get(self.sets, Part("lb", "x")).endpoints]


def test_pods_with_all_the_labels_are_members() -> None:
    sets = Sets(("app", "web"), ("tier", "front"))
    assert sets.members() == []
    first = pod("a", app="web", tier="front", more="x")
    assert sets.members(
        first,
        pod("b", "10.0.0.2", app="web", tier="front", ready="False"),
        pod("c", "10.0.0.3", app="web"),
        pod("d", "10.0.0.4", app="web", tier="back"),
        pod("e", "10.0.0.5", namespace="other", app="web", tier="front"),
        pod("f", "127.0.0.1", app="web", tier="front"),
    ) == [("10.0.0.1", 8080, "ready"), ("10.0.0.2", 8080, "not-ready")]
    assert sets.members(pod("c", "10.0.0.3", app="web", tier="front"), gone=[first]) == [
        ("10.0.0.2", 8080, "not-ready"),
        ("10.0.0.3", 8080, "ready"),
    ]


def test_only_pods_with_these_labels_are_asked_for() -> None:
    sets = Sets(("app", "web"), ("tier", "front"))
    sets.members()
    assert list(sets.graph.rows(sets.selections)) == [PodSelection("local", "d", "app=web,tier=front")]
