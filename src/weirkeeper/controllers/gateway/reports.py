"""What owners of classes, Gateways, ListenerSets and routes are told, as far as a controller knows it.

Comes in: judged listeners, attachments, translations. Goes out: ``Report``. Whether anything is programmed is added where statuses are made: only engines know.
"""

from collections.abc import Iterator, Sequence

import msgspec

from weirkeeper.controllers.gateway.attachment import Attached, Parent
from weirkeeper.controllers.gateway.classes import OurClass, OurGateway
from weirkeeper.controllers.gateway.infrastructure import TYPES, asked
from weirkeeper.controllers.gateway.listeners import EntryKey, Listening
from weirkeeper.controllers.gateway.rules import Translated
from weirkeeper.kube.conditions import Condition, Judgement, ListenerReport, ParentReport, Report, condition
from weirkeeper.kube.gateway_types import GROUP, GatewayClass, GatewayObject, ParentReference
from weirkeeper.model.text import Id

Judged = tuple[EntryKey, Listening]
ACCEPTED = Judgement(good=True, reason="Accepted")


def class_report(found: GatewayClass, ours: OurClass, controller: str, features: tuple[str, ...]) -> Report:
    """A class."""
    judged = Judgement(good=False, reason="InvalidParameters", message=ours.wrong) if ours.wrong else ACCEPTED
    return Report(
        controller=controller,
        generation=found.metadata.generation,
        conditions=(condition("Accepted", judged),),
        features=features,
    )


def gateway_report(
    ours: OurGateway, listeners: Sequence[tuple[Judged, int]], sets: int, identity: Judgement | None, controller: str
) -> Report:
    """A Gateway; ``listeners`` come with the number of routes that each has, ``identity`` is what is said of the certificate that it shows to backends."""
    return Report(
        controller=controller,
        generation=ours.gateway.metadata.generation,
        load_balancer=ours.load_balancer,
        conditions=(
            condition("Accepted", _gateway_judged(ours, [one for one, _ in listeners])),
            *([condition("ResolvedRefs", identity)] if identity is not None else []),
            *_unverified([one for (_, one), _ in listeners]),
        ),
        listeners=tuple(_listener(key, one, count) for (key, one), count in _in_order(listeners)),
        sets=sets if ours.gateway.spec.allowed_listeners is not None else None,
        addresses=asked(ours.gateway),
    )


def _unverified(listeners: Sequence[Listening]) -> Iterator[Condition]:
    """That clients are let in without a verified certificate is said as long as it is so (Gateway API, InsecureFrontendValidationMode)."""
    ports = sorted({one.port for one in listeners if one.clients is not None and one.clients.mode != "require"})
    if ports:
        why = f"clients need no valid certificate at port {', '.join(map(str, ports))}"
        yield Condition(
            type="InsecureFrontendValidationMode", status="True", reason="ConfigurationChanged", message=why
        )


def _gateway_judged(ours: OurGateway, listeners: Sequence[Judged]) -> Judgement:
    if ours.wrong:
        return Judgement(good=False, reason="InvalidParameters", message=ours.wrong)
    if any(of_type not in TYPES for of_type, _ in asked(ours.gateway)):
        return Judgement(
            good=False, reason="UnsupportedAddress", message="addresses are of the types IPAddress and Hostname here"
        )
    return _listeners_judged(listeners)


def _listeners_judged(listeners: Sequence[Judged]) -> Judgement:
    bad = [key.name for key, one in listeners if not (one.accepted.good and one.resolved.good)]
    if not bad:
        return ACCEPTED
    some = any(one.accepted.good for _, one in listeners)
    return Judgement(
        good=some,
        reason="ListenersNotValid",
        message=f"not all is well with the listeners {', '.join(sorted(bad)[:8])}",
    )


def set_report(
    found: GatewayObject, front: Id, let_in: Judgement, listeners: Sequence[tuple[Judged, int]], controller: str
) -> Report:
    """A ListenerSet; one without a listener that can be served is not accepted (Gateway API's suite: ListenerSetReferenceGrant)."""
    judged = let_in if not let_in.good else _listeners_judged([one for one, _ in listeners])
    if judged.good and listeners and not any(one.serves for (_, one), _ in listeners):
        judged = msgspec.structs.replace(judged, good=False)
    return Report(
        controller=controller,
        generation=found.metadata.generation,
        load_balancer=front,
        conditions=(condition("Accepted", judged),),
        listeners=tuple(_listener(key, one, count) for (key, one), count in _in_order(listeners)),
    )


def _in_order(listeners: Sequence[tuple[Judged, int]]) -> list[tuple[Judged, int]]:
    return sorted(listeners, key=lambda row: row[0][1].rank)


def _listener(key: EntryKey, one: Listening, count: int) -> ListenerReport:
    conflicted = Condition(
        type="Conflicted",
        status="False" if one.conflict.good else "True",
        reason=one.conflict.reason,
        message=one.conflict.message,
    )
    return ListenerReport(
        name=key.name,
        kinds=tuple((GROUP, kind) for kind in one.kinds),
        attached=count,
        conditions=(
            condition("Accepted", one.accepted),
            conflicted,
            condition("ResolvedRefs", one.resolved),
            *_overlap(one),
        ),
        serves=one.serves and one.resolved.good,
    )


def _overlap(one: Listening) -> Iterator[Condition]:
    """Said only while it is so. Requests that come by another's connection are answered 421, so nobody is led astray; owners should know all the same."""
    if one.overlaps:
        why = f"host names overlap with those of the listener {one.overlaps}"
        yield Condition(type="OverlappingTLSConfig", status="True", reason="OverlappingHostnames", message=why)


def route_report(generation: int, attached: Attached, found: Translated, controller: str) -> Report:
    """A route."""
    return Report(
        controller=controller,
        generation=generation,
        parents=tuple(_parent(parent, found) for parent in attached.parents),
    )


def _parent(parent: Parent, found: Translated) -> ParentReport:
    conditions = [condition("Accepted", _accepted(parent, found)), condition("ResolvedRefs", found.resolved)]
    if parent.accepted.good and 0 < len(found.broken) < found.rules:
        why = f"Dropped Rule: {found.broken[0]}"
        conditions.append(Condition(type="PartiallyInvalid", status="True", reason="UnsupportedValue", message=why))
    return ParentReport(
        reference=reference_fields(parent.reference), load_balancer=parent.load_balancer, conditions=tuple(conditions)
    )


def _accepted(parent: Parent, found: Translated) -> Judgement:
    if not parent.accepted.good or not found.rules or len(found.broken) < found.rules:
        return parent.accepted
    return Judgement(good=False, reason="UnsupportedValue", message=found.broken[0])


def reference_fields(one: ParentReference) -> tuple[tuple[str, str | int], ...]:
    """The reference as its owner wrote it, with the defaults of group and kind."""
    fields: tuple[tuple[str, str | int | None], ...] = (
        ("group", GROUP if one.group is None else one.group),
        ("kind", one.kind or "Gateway"),
        ("namespace", one.namespace),
        ("name", one.name),
        ("sectionName", one.section_name),
        ("port", one.port),
    )
    return tuple((name, value) for name, value in fields if value is not None)
