"""Findings by object: one rule is many routes, and what is wrong with it is said once."""

import msgspec
import pytest
import yaml

from weirkeeper.controllers.gateway import GatewayController, GatewaySettings
from weirkeeper.feeds.base import Seen
from weirkeeper.model.finding import Effect, Finding, Reason, Severity
from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin
from weirkeeper.providers.memory import CAPABILITIES, MemoryProvider
from weirkeeper.reconcile import Reconciler
from weirkeeper.status.findings import merged, rows_by_object

AROUND = """
{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: weir}, spec: {controllerName: weirkeeper.io/gateway}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g, namespace: d}
spec: {gatewayClassName: weir, listeners: [{name: http, port: 80, protocol: HTTP}, {name: more, port: 81, protocol: HTTP}]}
---
{apiVersion: v1, kind: Service, metadata: {name: shop, namespace: d}, spec: {ports: [{port: 80}]}}
"""
CORS = "{type: CORS, cors: {allowOrigins: ['https://a.example']}}"
RULE = "{matches: [%s], filters: [%s], backendRefs: [{name: shop, port: 80}]}"
REF = Ref(group="gateway.networking.k8s.io", kind="HTTPRoute", namespace="d", name="r")


class WithoutCors(MemoryProvider):
    capabilities = msgspec.structs.replace(CAPABILITIES, supported=CAPABILITIES.supported - {"HTTPRouteCORS"})


def route(*rules, hosts="[a.example, b.example]"):
    return f"""
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r, namespace: d}}
spec: {{parentRefs: [{{name: g}}], hostnames: {hosts}, rules: [{", ".join(rules)}]}}
"""


def paths(*names):
    return ", ".join(f"{{path: {{value: /{name}}}}}" for name in names)


def settled(program, *texts):
    for document in (one for text in texts for one in yaml.safe_load_all(text)):
        kind = program.kinds[document["apiVersion"].rpartition("/")[0], document["kind"]]
        thing = msgspec.convert(document, kind.type, strict=False)
        program.receive([Seen(ref=thing.ref, object=thing)])
    return program.settle().findings


@pytest.fixture
def program():
    return Reconciler([GatewayController(GatewaySettings())], [WithoutCors()])


def test_what_a_rule_cannot_have_is_said_once_whatever_it_matches(program) -> None:
    found = settled(program, AROUND, route(RULE % (paths("a", "b", "c"), CORS), RULE % (paths("d"), CORS)))[REF]
    assert [(one.feature, one.origin.path) for one in found] == [("HTTPRouteCORS", f"spec.rules[{i}]") for i in range(2)]
    assert [len(one.affected) for one in found] == [3 * 2 * 2, 1 * 2 * 2], "matches, hosts and listeners"


def test_what_is_no_longer_affected_is_no_longer_named(program) -> None:
    before = settled(program, AROUND, route(RULE % (paths("a", "b"), CORS)))[REF]
    after = settled(program, route(RULE % (paths("a"), CORS), hosts="[a.example]"))[REF]
    assert len(before[0].affected) == 8
    (one,) = after
    assert len(one.affected) == 2
    assert set(one.affected) < set(before[0].affected)


def finding(text="it is not so", path="spec.rules[0]", *affected, **more) -> Finding:
    origin = Origin(ref=REF, path=path)
    return Finding(
        severity=Severity.ERROR, reason=Reason.UNSUPPORTED, for_user=text, origin=origin, affected=affected, **more
    )


@pytest.mark.parametrize(
    "other",
    [
        finding("it is otherwise"),
        finding(path="spec.rules[1]"),
        finding(effect=Effect.FAILS_CLOSED),
        finding(for_operator="it is needed elsewhere"),
    ],
)
def test_what_differs_in_anything_else_is_said_apart(other) -> None:
    rows = [*rows_by_object("host", "a", [finding()]), *rows_by_object("host", "b", [other])]
    assert set(merged(rows)) == {finding(), other}


def test_rows_in_any_order_come_to_the_same() -> None:
    one, two = finding("x", "spec", "b", "a"), finding("x", "spec", "c", "a")
    rows = [*rows_by_object("host", "a", [one, two]), *rows_by_object("host", "b", [finding()])]
    assert merged(rows) == merged(rows[::-1]) == (finding("x", "spec", "a", "b", "c"), finding())
