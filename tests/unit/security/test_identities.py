"""No two places have one name: not in the neutral configuration, not at the engine, not among the objects of a fleet; whatever names tenants choose."""

from itertools import product

from reference_rows import service
from ring import Ring

from weirkeeper.controllers.gateway.attachment import Home
from weirkeeper.controllers.gateway.classes import OurClass, our_gateway
from weirkeeper.controllers.gateway.listeners import Entry, EntryKey, group_of
from weirkeeper.controllers.gateway.routes import _named
from weirkeeper.fleet.place import FleetPlace, fleet_name, marks
from weirkeeper.kube.gateway_types import Gateway, GatewayMetadata, ListenerSpec
from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Respond, Route
from weirkeeper.model.text import Id

WORDS = (
    "a",
    "b",
    "a-b",
    "a.b",
    "b-a",
    "a-b-a",
    "http",
    "listener",
    "rest",
    "gateway",
    "x",
    "80",
    "main",
    "canary",
    "0",
    "00",
    "000",
)
LONG = "n" * 250
NAMES = tuple(
    dict.fromkeys(
        (*WORDS, LONG, f"{LONG}-a", f"{LONG}-b", *(f"{a}{j}{b}" for a, b in product("abc", repeat=2) for j in ".-"))
    )
)
SPACES = tuple(
    dict.fromkeys(
        (
            *(one for one in WORDS if "." not in one),
            *("s" * 60 + i for i in "12"),
            *(f"{a}-{b}" for a, b in product("abc", repeat=2)),
        )
    )
)
SECTIONS = ("http", "a", "a.http.80", "listener", "https", "80", "x-a", "clients", "ListenerSet", "a-b")
RULES = tuple(f"{rule:03}/{match:03}" for rule in range(8) for match in range(8))[:57]
CLASS = OurClass(name="weir", origin=Origin(ref=Ref(kind="GatewayClass", name="weir")))


def groups():
    """The route groups of listeners that end TLS, each of its own Gateway or of a set of the same names."""
    for namespace, name in product(SPACES, NAMES):
        made = Gateway(kind="Gateway", metadata=GatewayMetadata(namespace=namespace, name=name))
        front = our_gateway(None, None, made, CLASS).load_balancer
        others = Ref(kind="ListenerSet", namespace=namespace, name=name)
        for section, owner in product(SECTIONS, (made.ref, others)):
            spec = ListenerSpec(name=section, port=443, protocol="HTTPS")
            entry = Entry(load_balancer=front, spec=spec, hostname="*", rank=(0, "", "", 0), origin=made.origin())
            yield namespace, name, group_of(entry, EntryKey(made.ref, owner, section))


def test_a_million_places_have_a_million_names() -> None:
    seen, count = set[int](), 0
    plain = Route(id=Id("0"), action=Respond(status=200), origin=CLASS.origin)
    rules = [Route(id=Id(one), action=plain.action, origin=plain.origin) for one in RULES]
    for namespace, name, group in groups():
        route = Ref(kind="HTTPRoute", namespace=namespace, name=name)
        home = Home(group, group, "a.example", 443, "https")
        for one in rules:
            seen.add(hash(_named(route, home, one)))
            count += 1
        seen.add(hash(group))
        count += 1
    assert count >= 1_000_000
    assert len(seen) == count


def test_fleets_share_no_name_and_no_label() -> None:
    """Services choose pods by the label, so one that somebody could find twice would lead to another's pods: it is too long to be searched for."""
    place = FleetPlace(
        install="weir",
        namespace="weir",
        control_plane="weir",
        image="i",
        envoy_image="e",
        audience="a",
        streams_port=1,
        exchange_port=2,
    )
    fronts = [f"gateway/{namespace}/{name}" for namespace, name in product(SPACES, NAMES)]
    assert len({fleet_name(place, Id(one)) for one in fronts}) == len(fronts)
    labels = {marks(place, Id(one))["weirkeeper.io/load-balancer"] for one in fronts}
    assert len(labels) == len(fronts)
    assert {4 * len(one) for one in labels} == {80}


def scene(namespace: str, name: str) -> str:
    """A Gateway with a set, a Service and a route, all of one name."""
    meta = f"metadata: {{name: {name}, namespace: {namespace}}}"
    return f"""
kind: Gateway
{meta}
spec: {{gatewayClassName: weir, allowedListeners: {{namespaces: {{from: Same}}}}, listeners: [{{name: http, port: 80, protocol: HTTP}}]}}
---
kind: ListenerSet
{meta}
spec: {{parentRef: {{name: {name}}}, listeners: [{{name: http, port: 80, protocol: HTTP, hostname: set.example}}]}}
---
kind: HTTPRoute
{meta}
spec: {{parentRefs: [{{name: {name}}}, {{kind: ListenerSet, name: {name}}}], hostnames: [set.example, a.example], rules: [{{backendRefs: [{{name: {name}, port: 80}}]}}]}}
---
{service(name, namespace, "10.1.0.1")}"""


def test_no_item_of_an_engine_is_of_two_tenants() -> None:
    places = [
        (namespace, name)
        for namespace, name in product(("a", "b", "a-b", "gateway"), ("a", "b", "a-b", "http", "listener"))
    ]
    base = "kind: GatewayClass\nmetadata: {name: weir}\nspec: {controllerName: weirkeeper.io/gateway}"
    ring = Ring(base, *(scene(*place) for place in places))
    items = ring.heart.graph.rows(ring.heart.program.items["envoy"])
    found: dict[str, set[tuple[str, str]]] = {}
    for key, item in items.items():
        found.setdefault(key.load_balancer, set()).update((one.ref.namespace, one.ref.name) for one in item.origins)
    assert found.pop("ingress/weirkeeper") == {("", "weirkeeper")}
    assert found == {f"gateway/{namespace}/{name}": {(namespace, name)} for namespace, name in places}
    one_alone = Ring(base, scene(*places[0]))
    alone = one_alone.heart.graph.rows(one_alone.heart.program.items["envoy"])
    of_class = [key for key in items if key.load_balancer == "ingress/weirkeeper"]
    assert len(items) - len(of_class) == (len(alone) - len(of_class)) * len(places)
