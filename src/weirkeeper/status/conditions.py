"""Conditions merged into a status as the API server has it: only our own entries change, and everything else stays as it is, in its place.

Comes in: the status as it is (JSON), and what is wished. Goes out: the fields of the status to write, or nothing where they are right. What is ours: conditions of the types that we say
(of a class, a Gateway or a ListenerSet that is ours), and entries of ``parents`` or ``ancestors`` with our controller's name. The time of a condition's last transition stays
while its status stays (Kubernetes, meta/v1 Condition). Pure: the time is given.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from weirkeeper.kube.conditions import Condition, ConditionsWish, ListenerReport, ParentReport, Report
from weirkeeper.model.text import Timestamp

Json = dict[str, Any]
LONGEST = 32_768
LISTED = ("parents", "ancestors")
AT_TIMES = ("OverlappingTLSConfig", "InsecureFrontendValidationMode")
"""Conditions of ours that are there only while they are true (Gateway API: negative polarity)."""
UNHEARD = ("AddressNotAssigned", "Pending")


def merged_status(current: Json | None, wish: ConditionsWish, now: Timestamp) -> Json | None:
    """The fields of the status that have to be written, or nothing."""
    before, report = current or {}, wish.report
    if report.parents is not None:
        entries = _parents(before.get(report.of) or [], report, now)
        return None if entries == (before.get(report.of) or []) else {report.of: entries}
    made: Json = {"conditions": _conditions(before.get("conditions") or [], report.conditions, report.generation, now)}
    if report.listeners is not None:
        made["listeners"] = _listeners(before.get("listeners") or [], report.listeners, report.generation, now)
    if wish.addresses is not None:
        made["addresses"] = [_address(ip, name) for ip, name in wish.addresses]
    if report.sets is not None or "attachedListenerSets" in before:
        made["attachedListenerSets"] = report.sets
    if report.features:
        made["supportedFeatures"] = [{"name": name} for name in sorted(report.features)]
    return None if all((before.get(name) or None) == (value or None) for name, value in made.items()) else made


def cleared_status(current: Json | None, controller: str) -> Json | None:
    """The lists of a status without entries of ours, for an object that is not ours any more; nothing where there are none."""
    made: Json = {}
    for name in LISTED:
        entries = (current or {}).get(name) or []
        kept = [one for one in entries if one.get("controllerName") != controller]
        if len(kept) < len(entries):
            made[name] = kept
    return made or None


def _address(ip: str, name: str) -> Json:
    return {"type": "IPAddress", "value": ip} if ip else {"type": "Hostname", "value": name}


def _parents(before: Sequence[Json], report: Report, now: Timestamp) -> list[Json]:
    """Foreign entries in their places, ours in theirs, new ones at the end."""
    which = "parentRef" if report.of == "parents" else "ancestorRef"
    wished = {one.reference: one for one in report.parents or ()}
    made = list[Json]()
    for entry in before:
        if entry.get("controllerName") != report.controller:
            made.append(entry)
            continue
        key = _key(entry.get(which) or {}, wished)
        if key is not None:
            made.append(_parent(entry, wished.pop(key), report, which, now))
    made += [_parent({}, one, report, which, now) for one in wished.values()]
    return made


def _key(
    reference: Json, wished: Iterable[tuple[tuple[str, str | int], ...]]
) -> tuple[tuple[str, str | int], ...] | None:
    return next((one for one in wished if dict(one) == reference), None)


def _parent(entry: Json, one: ParentReport, report: Report, which: str, now: Timestamp) -> Json:
    """Conditions of other types in our own entry are ours too: nobody else may write there."""
    ours = {c.type for c in one.conditions}
    before = [c for c in entry.get("conditions") or [] if c.get("type") in ours]
    return {
        which: dict(one.reference),
        "controllerName": report.controller,
        "conditions": _conditions(before, one.conditions, report.generation, now),
    }


def _listeners(before: Sequence[Json], wished: Sequence[ListenerReport], generation: int, now: Timestamp) -> list[Json]:
    known = {entry.get("name"): entry for entry in before}
    return [_listener(known.get(one.name) or {}, one, generation, now) for one in wished]


def _listener(entry: Json, one: ListenerReport, generation: int, now: Timestamp) -> Json:
    return {
        "name": one.name,
        "supportedKinds": [{"group": group, "kind": kind} for group, kind in one.kinds],
        "attachedRoutes": one.attached,
        "conditions": _conditions(entry.get("conditions") or [], one.conditions, generation, now),
    }


def _conditions(before: Sequence[Json], wished: Sequence[Condition], generation: int, now: Timestamp) -> list[Json]:
    """Conditions of other types stay, in their places."""
    left = {one.type: one for one in wished}
    made = list[Json]()
    for old in before:
        if old.get("type") in AT_TIMES and old.get("type") not in left:
            continue
        new = left.pop(str(old.get("type")), None)
        made.append(old if new is None else _condition(old, new, generation, now))
    return [*made, *(_condition({}, one, generation, now) for one in left.values())]


def _condition(old: Json, new: Condition, generation: int, now: Timestamp) -> Json:
    kept = old.get("lastTransitionTime") if old.get("status") == new.status else None
    return {
        "type": new.type,
        "status": new.status,
        "observedGeneration": generation,
        "lastTransitionTime": kept or str(now),
        "reason": new.reason,
        "message": new.message[:LONGEST],
    }


def premature(current: Json | None, wish: ConditionsWish) -> bool:
    """Whether the wish takes back that something is programmed, for the one reason that no instance has been heard of: what a new leader cannot know yet."""
    wished = next((one for one in wish.report.conditions if one.type == "Programmed"), None)
    if wished is None or wished.status != "False" or wished.reason not in UNHEARD:
        return False
    before = (current or {}).get("conditions") or []
    return any(
        one.get("type") == "Programmed"
        and one.get("status") == "True"
        and one.get("observedGeneration") == wish.report.generation
        for one in before
    )
