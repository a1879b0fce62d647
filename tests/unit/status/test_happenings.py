"""Findings as events: reasons in the API's words, notes within its limits, names that are the same in every life."""

from datetime import UTC, datetime

import msgspec
import pytest

from weirkeeper.kube.events import LONGEST_NAME, LONGEST_NOTE, Spoken, again, first_event, short, spoken
from weirkeeper.kube.types import AddressStatus
from weirkeeper.model.finding import Effect, Finding, Reason, Severity
from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin
from weirkeeper.status.happenings import camel, happening, live, recovered

REF = Ref(group="networking.k8s.io", kind="Ingress", namespace="d", name="shop")
VERSIONS = {(REF.group, REF.kind): "networking.k8s.io/v1", ("", "Node"): "v1"}
WALL = datetime(2026, 11, 21, tzinfo=UTC)


def finding(says="no Service x", severity=Severity.ERROR, ref=REF, uid="u-1", **fields):
    return Finding(
        severity=severity, reason=Reason.SERVICE_NOT_FOUND, for_user=says, remedy="create it", origin=Origin(ref=ref, uid=uid, path="spec.rules[0]"), **fields
    )  # fmt: skip


def event(one):
    return first_event(one, WALL, reporter="weirkeeper.io/ingress", instance="pod-1")


def test_a_finding_becomes_an_event_on_its_object():
    one = happening(finding(effect=Effect.DEGRADED), VERSIONS)
    assert event(one) == {
        "apiVersion": "events.k8s.io/v1", "kind": "Event",
        "metadata": {"name": one.name, "namespace": "d"},
        "eventTime": "2026-11-21T00:00:00.000000Z",
        "reportingController": "weirkeeper.io/ingress", "reportingInstance": "pod-1",
        "action": "Degraded", "reason": "ServiceNotFound", "type": "Warning",
        "regarding": {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "namespace": "d", "name": "shop", "uid": "u-1"},
        "note": "no Service x. To do: create it [WK201] (spec.rules[0])",
    }  # fmt: skip


def test_what_is_only_worth_knowing_is_no_warning():
    assert [happening(finding("a", severity), VERSIONS).warning for severity in Severity] == [True, True, False]


def test_what_no_object_can_show_is_not_said():
    nowhere = [
        finding(uid=""),
        finding(ref=Ref(kind="File", name="x.yaml:1")),
        finding(ref=Ref(group="x", kind="Odd", name="o")),
    ]
    assert [happening(one, VERSIONS) for one in nowhere] == [None] * 3
    assert live(REF, "", (), VERSIONS) is None


def test_that_a_trouble_is_over_is_said_where_its_owner_waits_for_it():
    one = recovered(msgspec.structs.replace(finding(), reason=Reason.ENGINE_DOWN), VERSIONS)
    assert (one.reason, one.warning, one.uid) == ("EngineServes", False, "u-1")
    assert recovered(finding(), VERSIONS) is None
    assert recovered(msgspec.structs.replace(finding(uid=""), reason=Reason.ENGINE_DOWN), VERSIONS) is None


def test_an_event_about_an_object_without_namespace_is_in_default():
    one = happening(finding(ref=Ref(kind="Node", name="n")), VERSIONS)
    assert (event(one)["metadata"]["namespace"], event(one)["regarding"]["namespace"]) == ("default", "")


def test_names_say_what_is_said():
    one = happening(finding(), VERSIONS)
    same = happening(finding(), VERSIONS)
    text = happening(finding("no Service y"), VERSIONS)
    later = happening(finding(uid="u-2"), VERSIONS)
    assert one.name == same.name
    assert len({one.name, text.name, later.name}) == 3
    long = happening(
        finding(ref=Ref(group=REF.group, kind="Ingress", namespace="d", name="a" * 235 + "." + "b" * 17)), VERSIONS
    )
    assert len(long.name) <= LONGEST_NAME


@pytest.mark.parametrize("text", ["x" * 5000, "ü" * 5000, "é" * 1023 + "x", "\U0001f600" * 400])
def test_notes_fit(text):
    one = happening(finding(text), VERSIONS)
    assert LONGEST_NOTE - 6 < len(event(one)["note"].encode()) <= LONGEST_NOTE
    assert short("short") == "short"


def test_a_series_counts_from_two():
    before = spoken({"metadata": {"resourceVersion": "7"}})
    assert before == Spoken("7", 1)
    patch = again(before, WALL)
    assert patch["series"] == {"count": 2, "lastObservedTime": "2026-11-21T00:00:00.000000Z"}
    assert spoken({"metadata": {"resourceVersion": "8"}, "series": patch["series"]}) == Spoken("8", 2)


def test_what_became_live_is_said_in_words():
    one = live(REF, "u", (AddressStatus(ip="10.0.0.1"), AddressStatus(hostname="lb.example")), VERSIONS)
    assert (one.reason, one.note, one.warning) == ("Programmed", "served at 10.0.0.1, lb.example", False)


def test_every_reason_has_a_name_that_the_api_takes():
    names = {camel(reason) for reason in Reason}
    assert len(names) == len(Reason)
    assert all(name.isascii() and name.isalpha() and len(name) <= 128 for name in names)
