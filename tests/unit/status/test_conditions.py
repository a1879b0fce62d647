"""Conditions merged into statuses: our own entries, and nothing else."""

import msgspec
import pytest

from weirkeeper.kube.conditions import Condition, ConditionsWish, ListenerReport, ParentReport, Report
from weirkeeper.model.finding import Finding, Reason, Severity
from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Id, Sentence, Timestamp
from weirkeeper.status.addresses import Addresses
from weirkeeper.status.conditions import cleared_status, merged_status, premature
from weirkeeper.status.gateway import conditions_wish

OURS, NOW, LATER = "weirkeeper.io/gateway", Timestamp("2026-01-01T00:00:00Z"), Timestamp("2026-01-02T00:00:00Z")
ROUTE = Ref(group="g", kind="HTTPRoute", namespace="d", name="r")
GATEWAY = Ref(group="g", kind="Gateway", namespace="d", name="g")
GOOD = Condition(type="Accepted", status="True", reason="Accepted")
REFERENCE = (("group", "g"), ("kind", "Gateway"), ("name", "g"))
FOREIGN = {
    "parentRef": {"name": "f"},
    "controllerName": "x.io/y",
    "conditions": [{"type": "Odd", "strange": 1}],
    "more": [2],
}


def route_wish(*references, condition=GOOD, generation=1):
    parents = tuple(ParentReport(reference=one, conditions=(condition,)) for one in references)
    return ConditionsWish(ref=ROUTE, report=Report(controller=OURS, generation=generation, parents=parents))


def gateway_report(*listeners, load_balancer="gateway/d/g", asked=()):
    return Report(
        controller=OURS,
        generation=2,
        load_balancer=Id(load_balancer),
        conditions=(GOOD,),
        listeners=listeners,
        addresses=asked,
    )


def test_foreign_entries_keep_their_places_and_their_words() -> None:
    ours = merged_status({"parents": [FOREIGN]}, route_wish(REFERENCE), NOW)
    assert ours is not None
    assert ours["parents"][0] == FOREIGN
    assert ours["parents"][1]["controllerName"] == OURS
    assert merged_status(ours, route_wish(REFERENCE), LATER) is None
    gone = merged_status({"parents": [ours["parents"][1], FOREIGN]}, route_wish(), NOW)
    assert gone == {"parents": [FOREIGN]}
    assert cleared_status({"parents": [FOREIGN, ours["parents"][1]]}, OURS) == {"parents": [FOREIGN]}
    assert cleared_status({"parents": [FOREIGN]}, OURS) is None
    assert cleared_status(None, OURS) is None


def test_a_transition_is_one_of_the_status_alone() -> None:
    first = merged_status(None, route_wish(REFERENCE), NOW)
    assert first is not None
    newer = merged_status(first, route_wish(REFERENCE, generation=2), LATER)
    assert newer is not None
    assert newer["parents"][0]["conditions"][0] == {
        "type": "Accepted", "status": "True", "observedGeneration": 2, "lastTransitionTime": NOW, "reason": "Accepted", "message": "",
    }  # fmt: skip
    bad = msgspec.structs.replace(GOOD, status="False")
    turned = merged_status(first, route_wish(REFERENCE, condition=bad), LATER)
    assert turned is not None
    assert turned["parents"][0]["conditions"][0]["lastTransitionTime"] == LATER


def test_foreign_conditions_of_a_gateway_stay() -> None:
    wish = conditions_wish(
        GATEWAY, gateway_report(ListenerReport(name="a")), lambda _: Addresses(places=(("10.0.0.1", ""),)), ()
    )
    foreign = {"type": "example.com/Odd", "status": "True"}
    made = merged_status({"conditions": [foreign], "attachedListenerSets": 1}, wish, NOW)
    assert made is not None
    assert made["conditions"][0] == foreign
    assert [one["type"] for one in made["conditions"]] == ["example.com/Odd", "Accepted", "Programmed"]
    assert made["addresses"] == [{"type": "IPAddress", "value": "10.0.0.1"}]
    assert merged_status({**made, "conditions": made["conditions"]}, wish, LATER) is None


def programmed(wish: ConditionsWish) -> tuple[str, str]:
    return next((one.status, one.reason) for one in wish.report.conditions if one.type == "Programmed")


def test_nothing_is_programmed_before_an_engine_says_so() -> None:
    report = gateway_report(ListenerReport(name="a"))
    assert programmed(conditions_wish(GATEWAY, report, lambda _: None, ())) == ("False", "AddressNotAssigned")
    refused = Finding(
        severity=Severity.ERROR, reason=Reason.ENGINE_REJECTED, for_user=Sentence("no"), origin=Origin(ref=GATEWAY)
    )
    there = Addresses(places=(("10.0.0.1", ""),))
    assert programmed(conditions_wish(GATEWAY, report, lambda _: there, (refused,))) == ("False", "Invalid")
    assert programmed(conditions_wish(GATEWAY, report, lambda _: there, ())) == ("True", "Programmed")
    broken = gateway_report(ListenerReport(name="a", serves=False))
    assert programmed(conditions_wish(GATEWAY, broken, lambda _: there, ())) == ("False", "Invalid")


@pytest.mark.parametrize(("generation", "early"), [(2, True), (1, False)])
def test_a_new_leader_takes_nothing_back_that_it_has_not_heard_of(generation: int, early: bool) -> None:
    wish = conditions_wish(GATEWAY, gateway_report(), lambda _: None, ())
    status = {"conditions": [{"type": "Programmed", "status": "True", "observedGeneration": generation}]}
    assert premature(status, wish) is early
    assert not premature(None, wish)


@pytest.mark.parametrize(
    ("asked", "shown", "said"),
    [
        ((), ["10.0.0.1", "10.0.0.2", "lb.example"], "Programmed"),
        ((("IPAddress", "10.0.0.2"),), ["10.0.0.2"], "Programmed"),
        ((("IPAddress", "10.0.0.2"), ("IPAddress", "192.0.2.1")), ["10.0.0.2"], "AddressNotUsable"),
        ((("IPAddress", ""),), ["10.0.0.1", "10.0.0.2"], "Programmed"),
        ((("Hostname", ""), ("IPAddress", "10.0.0.1")), ["10.0.0.1", "lb.example"], "Programmed"),
        ((("Hostname", "10.0.0.1"),), [], "AddressNotUsable"),
    ],
)
def test_of_the_addresses_those_are_shown_that_were_asked_for(asked, shown, said) -> None:
    there = Addresses(places=(("10.0.0.1", ""), ("10.0.0.2", ""), ("", "lb.example")))
    wish = conditions_wish(GATEWAY, gateway_report(ListenerReport(name="a"), asked=asked), lambda _: there, ())
    assert [ip or name for ip, name in wish.addresses or ()] == shown
    assert programmed(wish) == (str(said == "Programmed"), said)
    early = conditions_wish(GATEWAY, gateway_report(asked=asked), lambda _: None, ())
    assert programmed(early) == ("False", "AddressNotAssigned")


def test_an_address_of_a_type_that_there_is_none_of_is_not_assigned() -> None:
    there = Addresses(places=(("10.0.0.1", ""),))
    report = gateway_report(ListenerReport(name="a"), asked=(("Hostname", ""),))
    wish = conditions_wish(GATEWAY, report, lambda _: there, ())
    assert (wish.addresses, programmed(wish)) == ((), ("False", "AddressNotAssigned"))


@pytest.mark.parametrize("type_", ["OverlappingTLSConfig", "InsecureFrontendValidationMode"])
def test_what_is_only_said_while_it_is_so_goes_when_it_is_not(type_: str) -> None:
    said = {"type": type_, "status": "True"}
    foreign = {"type": "example.com/Odd", "status": "True"}
    wish = conditions_wish(GATEWAY, gateway_report(ListenerReport(name="a")), lambda _: None, ())
    before = {"conditions": [said, foreign], "listeners": [{"name": "a", "conditions": [said, foreign]}]}
    made = merged_status(before, wish, NOW)
    assert made is not None
    for conditions in (made["conditions"], made["listeners"][0]["conditions"]):
        assert foreign in conditions
        assert said not in conditions
