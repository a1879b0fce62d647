"""Conditions as they go into statuses: what a controller reported, with what engines did.

Comes in: a report, where its load balancers answer, and the findings of its object. Goes out: ``ConditionsWish``. Nothing is called programmed while no instance has acknowledged a
configuration, nor while an engine refuses what the object became (status follows ACKs, never hope). Pure.
"""

from collections.abc import Callable, Sequence

import msgspec

from weirkeeper.kube.conditions import Condition, ConditionsWish, ListenerReport, ParentReport, Report
from weirkeeper.model.finding import Effect, Finding, Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import Id
from weirkeeper.status.addresses import Addresses, Place

WhereOf = Callable[[Id], Addresses | None]
"""Where a load balancer answers."""
BY_PROVIDER = frozenset({Reason.UNSUPPORTED, Reason.OVER_LIMIT})
REFUSING = frozenset({Effect.RULE_DROPPED, Effect.FAILS_CLOSED, Effect.OBJECT_REJECTED})


def conditions_wish(ref: Ref, report: Report, where: WhereOf, findings: Sequence[Finding]) -> ConditionsWish:
    """What the object's status should say."""
    if report.listeners is None:
        parents = None if report.parents is None else tuple(_parent(one, findings) for one in report.parents)
        return ConditionsWish(ref=ref, report=msgspec.structs.replace(report, parents=parents))
    found = where(report.load_balancer) if report.load_balancer is not None else None
    refused = next((one for one in findings if one.reason is Reason.ENGINE_REJECTED), None)
    places, lacking = _places(report, found)
    programmed = _programmed(report, found, refused, lacking)
    told = {str(one.origin.path): one for one in findings if one.effect is Effect.LISTENER_REJECTED}
    whole = msgspec.structs.replace(
        report,
        conditions=(*report.conditions, programmed),
        listeners=tuple(
            _listener(one, programmed, told.get(f"spec.listeners[{i}]")) for i, one in enumerate(report.listeners)
        ),
    )
    return ConditionsWish(ref=ref, report=whole, addresses=places)


def _places(report: Report, found: Addresses | None) -> tuple[tuple[Place, ...] | None, Condition | None]:
    """The addresses that are shown, of those at which it answers, and what is amiss with those that were asked for."""
    if report.addresses is None:
        return None, None
    answers = found.places if found is not None else ()
    if not report.addresses or found is None:
        return answers, None
    certain = [_place(of_type, value) for of_type, value in report.addresses if value]
    types = {of_type for of_type, value in report.addresses if not value}
    kept = tuple(one for one in answers if one in certain or _type(one) in types)
    unusable = [ip or name for ip, name in certain if (ip, name) not in answers]
    if unusable:
        return kept, _not_programmed("AddressNotUsable", f"it does not answer at {', '.join(unusable[:8])}")
    if unassigned := sorted(types - {_type(one) for one in answers}):
        return kept, _not_programmed("AddressNotAssigned", f"it has no address of the type {unassigned[0]}")
    return kept, None


def _place(of_type: str, value: str) -> Place:
    return ("", value) if of_type == "Hostname" else (value, "")


def _type(place: Place) -> str:
    return "IPAddress" if place[0] else "Hostname"


def _programmed(
    report: Report, found: Addresses | None, refused: Finding | None, lacking: Condition | None
) -> Condition:
    accepted = next((one for one in report.conditions if one.type == "Accepted"), None)
    if accepted is not None and accepted.status == "False":
        reason = "Invalid" if report.addresses is not None else accepted.reason
        return _not_programmed(reason, accepted.message)
    if refused is not None:
        return _not_programmed("Invalid", str(refused.for_user))
    if found is None:
        reason = "AddressNotAssigned" if report.addresses is not None else "Pending"
        return _not_programmed(reason, "no instance of the load balancer has taken a configuration yet")
    if report.listeners and not any(one.serves for one in report.listeners):
        return _not_programmed("Invalid", "no listener can be served")
    if lacking is not None:
        return lacking
    return Condition(type="Programmed", status="True", reason="Programmed")


def _not_programmed(reason: str, message: str) -> Condition:
    return Condition(type="Programmed", status="False", reason=reason, message=message)


def _listener(one: ListenerReport, of_all: Condition, rejected: Finding | None) -> ListenerReport:
    """With ``Programmed``; listeners stand in the order of the object, whose provider may reject one of them."""
    accepted = next((c for c in one.conditions if c.type == "Accepted"), None)
    if accepted is not None and accepted.status == "False":
        conflict = accepted.reason.endswith("Conflict")
        made = _not_programmed(accepted.reason if conflict else "Invalid", accepted.message)
    elif rejected is not None:
        made = _not_programmed("Invalid", str(rejected.for_user))
    elif not one.serves:
        made = _not_programmed("Invalid", "its references lead nowhere")
    elif of_all.status == "False":
        made = _not_programmed("Pending", of_all.message)
    else:
        made = of_all
    return msgspec.structs.replace(one, conditions=(*one.conditions, made))


def _parent(one: ParentReport, findings: Sequence[Finding]) -> ParentReport:
    """With what the load balancer cannot do of it, or the engine refused."""
    cannot = next((f for f in findings if f.reason in BY_PROVIDER and f.effect in REFUSING), None)
    refused = next((f for f in findings if f.reason is Reason.ENGINE_REJECTED), None)
    told = cannot or refused
    accepted = any(c.type == "Accepted" and c.status == "True" for c in one.conditions)
    if told is None or not accepted or any(c.type == "PartiallyInvalid" for c in one.conditions):
        return one
    partly = Condition(
        type="PartiallyInvalid", status="True", reason="UnsupportedValue", message=f"Dropped Rule: {told.for_user}"
    )
    return msgspec.structs.replace(one, conditions=(*one.conditions, partly))
