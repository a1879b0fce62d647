"""What somebody got wrong has the right condition, takes what it should not give to others, and changes nothing of anybody else's."""

import sys
from pathlib import Path

import pytest
import yaml
from test_gateway import World, gateway, route

from weirkeeper.model.filters import Deny

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

from gateway_mistakes import EXPECTED, MISTAKES

OTHER = "backendRefs: [{name: other, port: 80}]"
AROUND = (
    "kind: Service\nmetadata: {name: other, namespace: d}\nspec: {ports: [{port: 80}]}",
    "kind: Service\nmetadata: {name: outside, namespace: d}\nspec: {type: ExternalName, externalName: x.example, ports: [{port: 80}]}",
    "kind: Service\nmetadata: {name: strange, namespace: d}\nspec: {ports: [{port: 80, appProtocol: example.com/magic}]}",
    "kind: Service\nmetadata: {name: shop, namespace: e}\nspec: {ports: [{port: 80}]}",
    "kind: Service\nmetadata: {name: guarded, namespace: d}\nspec: {ports: [{port: 80}]}",
    gateway(),
    route(OTHER),
    route("backendRefs: [{name: guarded, port: 80}]", name="x-guarded", hosts="[guarded.example]"),
    gateway(namespace="e"),
    route(name="r2", namespace="e", hosts="[e.example]"),
    route("backendRefs: [{name: shop, namespace: d, port: 80}]", name="r3", namespace="e", hosts="[f.example]"),
)
"""Others: a Gateway with a route in the same namespace and in another one, and a route that may not refer to where it does. What policies are about is of the object itself."""


def answers(world: World) -> str:
    """What requests, or connections, of the object get."""
    intents = [one for one in world.intents().values() for one in (*one.routes, *one.l4_routes)]
    found = [
        one.route
        for one in intents
        if hasattr(one, "route") and one.route.origin.ref.name == "x" and one.route.priority == 0
    ]
    if not found:
        return "nothing"
    (one,) = found
    return (
        "500"
        if Deny(status=500) in one.auth
        else str(getattr(one.action, "status", "") or one.action.backends[0].backend)
    )


def wrong(world: World, kind: str) -> str:
    """The reasons of all that is not well with the object, and with its listeners."""
    report = world.report(kind, "x")
    if report is None:
        return "untold"
    told = [
        *report.conditions,
        *(c for one in report.parents or () for c in one.conditions),
        *(c for one in report.listeners or () for c in one.conditions),
    ]
    bad = [
        c.reason
        for c in told
        if c.status == ("True" if c.type == "Conflicted" else "False") or c.reason == "ListenersNotValid"
    ]
    return " ".join(dict.fromkeys(bad)) or "well"


def others(world: World) -> object:
    """All that is served and said, but of the object; a listener may count one route more."""
    reports = {
        ref: one
        for table in world.inputs.reports
        for ref, one in world.graph.rows(table).items()
        if not ref.name.startswith("x")
    }
    counted = {
        ref: [(one.name, one.conditions, one.serves) for one in report.listeners or ()]
        for ref, report in reports.items()
    }
    said = {ref: (report.conditions, report.parents, counted[ref]) for ref, report in reports.items()}
    return {name: one for name, one in world.intents().items() if not name.split("/")[-1].startswith("x")}, said


@pytest.fixture(scope="module")
def world() -> World:
    return World(*AROUND)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_and_hurts_nobody_else(world: World, name: str) -> None:
    document = MISTAKES[name]
    before = others(world)
    text = yaml.safe_dump(dict(document))
    world.put(text)
    found = f"{wrong(world, document['kind'])}: {answers(world)}"
    after = others(world)
    world.drop(text)
    assert found == EXPECTED[name]
    assert after == before
    assert world.report(document["kind"], "x") is None


def test_what_is_said_is_gateway_apis() -> None:
    """Reasons of Gateway API's own (v1.6 and v1.7, apis/v1)."""
    words = {word for one in EXPECTED.values() for word in one.partition(":")[0].split()} - {"well", "untold"}
    assert words <= set(
        ["UnsupportedValue", "BackendNotFound", "InvalidKind", "RefNotPermitted", "UnsupportedProtocol", "NoMatchingParent", "NotAllowedByListeners", "NoMatchingListenerHostname", "ListenersNotValid", "PortUnavailable", "UnsupportedAddress", "InvalidCertificateRef", "ProtocolConflict", "HostnameConflict", "InvalidRouteKinds", "InvalidParameters", "NoValidCACertificate", "InvalidCACertificateRef", "NotAllowed", "Invalid"]
    )
