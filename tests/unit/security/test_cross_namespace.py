"""No field leads into another namespace without consent: every reference that the types have, with every grant that is not quite the right one."""

import pytest
from handshake_rows import CONSENTS, EVERY_GRANT, NOWHERE, OF_NO_NAMESPACE, PARENTS, POLICIES, Parent
from ingress_rows import ADDRESSES, CLASS, ELSEWHERE, SHOP
from ingress_rows import ROWS as ANNOTATIONS
from ingress_rows import Row as Annotation
from reference_fields import reference_fields
from reference_rows import ALONE, BASE, FAR_SERVICE, NEAR, ROWS, Row, gateway, grant, route, wrong_grants
from ring import Ring

from weirkeeper.controllers.ingress.annotations import parsers
from weirkeeper.controllers.ingress.annotations.table import ROWS as TABLE

SITE = "http://a.example/"


def unseen(ring: Ring, row: Row | Annotation, url: str) -> None:
    """Nothing of what is referred to leaves the program, nor is it even read."""
    everything = ring.seen(url)
    assert not [mark for mark in row.marks if mark in everything]
    assert not {"e"} & {*ring.reads("Secret"), *ring.reads("ConfigMap")}


def refused(ring: Ring, row: Row) -> None:
    unseen(ring, row, row.url)
    assert ("ResolvedRefs", "False", "RefNotPermitted") in ring.conditions(*row.told)
    assert row.status is None or ring.statuses(row.url) == {row.status}


def followed(ring: Ring, row: Row) -> None:
    items = ring.items()
    assert [mark for mark in row.marks if mark not in items] == []
    assert not [one for one in ring.conditions(*row.told) if one[2] == "RefNotPermitted"]


def test_every_field_that_refers_to_something_is_tried() -> None:
    tried = {row.field for row in (*ROWS, *NOWHERE, *PARENTS)}
    assert tried | set(POLICIES) | OF_NO_NAMESPACE | CONSENTS == reference_fields()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.field} to {row.to[1]}")
def test_a_reference_needs_the_very_consent_that_it_asks_for(row: Row) -> None:
    ring = Ring(*BASE, *row.scene)
    for consent in wrong_grants(row).values():
        ring.put(consent)
        refused(ring, row)
        ring.drop(consent)
    for right in (grant(row.owner, row.to), grant(row.owner, row.to, name="far")):
        ring.put(right)
        followed(ring, row)
        ring.drop(right)
        refused(ring, row)


@pytest.mark.parametrize("row", ALONE, ids=lambda row: row.field)
def test_a_backend_is_its_own_namespaces_alone_whatever_is_granted(row: Row) -> None:
    ring = Ring(*BASE, *row.scene)
    for consent in (*wrong_grants(row).values(), grant(row.owner, row.to)):
        ring.put(consent)
        refused(ring, row)
        ring.drop(consent)
    followed(Ring(*BASE, *(one.replace("namespace: e", "namespace: d") for one in row.scene)), row)


@pytest.mark.parametrize("row", NOWHERE, ids=lambda row: row.field)
def test_a_filter_where_none_can_stand_is_refused_whatever_is_granted(row: Row) -> None:
    ring = Ring(*BASE, *row.scene)
    for consent in ("", grant(row.owner, row.to)):
        ring.put(consent)
        unseen(ring, row, row.url)
        assert ring.statuses(row.url) == {500}


@pytest.mark.parametrize("row", PARENTS, ids=lambda row: row.field)
def test_a_child_needs_to_be_let_in_and_no_grant_helps(row: Parent) -> None:
    ring = Ring(*BASE, FAR_SERVICE, *EVERY_GRANT, row.child)
    kind = row.field.partition(".")[0]
    for closed in row.closed:
        ring.put(closed)
        assert row.mark not in ring.items()
        assert ("Accepted", "False", row.reason) in ring.conditions(kind, "r", "e")
        for opened in row.opened:
            ring.put(opened)
            assert row.mark in ring.items()
            assert ("Accepted", "True", "Accepted") in ring.conditions(kind, "r", "e")


@pytest.mark.parametrize("field", POLICIES)
def test_a_policy_is_about_its_own_namespace_whatever_it_says(field: str) -> None:
    ring = Ring(*BASE, gateway(), route(f"backendRefs: [{NEAR}]"), *EVERY_GRANT)
    before, policy = ring.items(), POLICIES[field]
    ring.put(policy % "e")
    assert ring.items() == before
    assert ring.conditions(field.partition(".")[0], "p", "e") == set()
    ring.put(policy % "d")
    assert b"far.example" in ring.items()


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap", "LoadBalancerClassParameters"])
@pytest.mark.parametrize("place", ["of a Gateway", "of a class"])
def test_parameters_are_of_no_namespace(kind: str, place: str) -> None:
    there = f"kind: {kind}\nmetadata: {{name: far, namespace: e}}\n{'spec: {}' if kind[0] == 'L' else 'data: {provider: aGFwcm94eQ==}'}"
    ref = f"parametersRef: {{group: '{'weirkeeper.io' if kind[0] == 'L' else ''}', kind: {kind}, name: far, namespace: e}}"
    made = gateway(more=f", infrastructure: {{{ref}}}") if place == "of a Gateway" else gateway()
    ring = Ring(*BASE, made, there)
    if place == "of a class":
        ring.put(BASE[0].replace("weirkeeper.io/gateway", f"weirkeeper.io/gateway, {ref}"))
    (owner, name, namespace) = ("Gateway", "g", "d") if place == "of a Gateway" else ("GatewayClass", "weir", "")
    assert ("Accepted", "False", "InvalidParameters") in ring.conditions(owner, name, namespace)
    assert not {"e"} & {*ring.reads("Secret"), *ring.reads("ConfigMap")}


def test_every_annotation_that_names_an_object_is_tried() -> None:
    named = {row.name for row in TABLE if row.read in (parsers.text_name, parsers.url)}
    assert named - ADDRESSES - ELSEWHERE <= {row.name for row in ANNOTATIONS}
    objects = {row.name for row in TABLE if row.target and ("Secret" in row.about or "ConfigMap" in row.about)}
    assert objects <= {row.name for row in ANNOTATIONS}


@pytest.mark.parametrize("row", ANNOTATIONS, ids=lambda row: row.name)
def test_an_ingress_needs_a_class_that_lets_it_and_no_grant_helps(row: Annotation) -> None:
    consents = [grant(("networking.k8s.io", "Ingress"), ("", kind)) for kind in ("Secret", "ConfigMap", "Service")]
    ring = Ring(SHOP, CLASS.format(allowed="false"), row.ingress, row.there, *consents)
    for _ in range(2):
        unseen(ring, row, SITE)
        assert row.reason in {one.reason.name for one in ring.findings("Ingress", "i")}
        assert ring.statuses(SITE) == {row.status}
        ring.put(CLASS.format(allowed="true"))
        if row.follows:
            items = ring.items()
            assert [mark for mark in row.marks if mark not in items] == []
        else:
            unseen(ring, row, SITE)
        ring.put(CLASS.format(allowed="false"))
