"""Findings by the object that they are about: what each table says, put together, everything once. Pure.

Comes in: findings as tables make them, with the text that tells several of one table apart; what an engine refused. Goes out: rows for one table of all findings, and those of an object in a
fixed order. What is checked, and in which words, belongs to whoever checks; here stand only the words about engines that refuse or are not there.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from weirkeeper.flow import Read, Table
from weirkeeper.model.config import LoadBalancer
from weirkeeper.model.finding import Effect, Finding, Reason, Severity
from weirkeeper.model.ids import Ref
from weirkeeper.model.observation import ItemObservation
from weirkeeper.model.text import Id, Sentence
from weirkeeper.providers.base import EngineItem, ItemKey

FindingKey = tuple[str, Ref, str]
"""Which table said it, about which object, and a text that tells several apart."""

FindingRow = tuple[FindingKey, tuple[Finding, ...]]


def rows_by_object(said_by: str, about: str, findings: Iterable[Finding]) -> Iterator[FindingRow]:
    """A row for each object that these are about."""
    by_ref: dict[Ref, list[Finding]] = {}
    for finding in findings:
        by_ref.setdefault(finding.origin.ref, []).append(finding)
    return (((said_by, ref, about), tuple(found)) for ref, found in by_ref.items())


def merged(members: Sequence[FindingRow]) -> tuple[Finding, ...]:
    """All that is said about one object, each thing once: a rule with many matches, or many hosts, is many routes, and what is wrong with it names them all."""
    affected: dict[Finding, set[Id]] = {}
    for _, findings in members:
        for finding in findings:
            affected.setdefault(unaffected(finding), set()).update(finding.affected)
    told = (msgspec.structs.replace(one, affected=tuple(sorted(ids))) for one, ids in affected.items())
    return tuple(sorted(told, key=lambda f: (*f.sort_key, f.for_user)))


def unaffected(finding: Finding) -> Finding:
    """The finding without the names of what it affects."""
    return msgspec.structs.replace(finding, affected=()) if finding.affected else finding


def rejected(
    read: Read, items: Table[ItemKey, EngineItem], provider: str, key: ItemKey, seen: ItemObservation
) -> Iterator[FindingRow]:
    """What the owners of an item should know that the provider's engine refused, as long as it is the one that is wished."""
    item = read.get(items, key)
    if item is None or item.version != seen.version:
        return iter(())
    findings = [
        Finding(
            severity=Severity.ERROR,
            reason=Reason.ENGINE_REJECTED,
            for_user=Sentence(f"the load balancer refused what this became: {seen.message}"),
            remedy=Sentence(_after_refusal(seen.message)),
            for_operator=Sentence(f"{provider} refused {key.kind} {key.name}"),
            origin=origin,
            effect=Effect.OBJECT_REJECTED,
        )
        for origin in item.origins
    ]
    return rows_by_object("rejected", str(key), findings)


def _after_refusal(message: str) -> str:
    """What helps, by the words of the operating system in those of the engine."""
    words = message.lower()
    if "address already in use" in words:
        return "stop the program that has the port (it is taken as soon as it is free), or choose another port"
    if "permission denied" in words:
        return "choose a port from 1024 up, or allow the engine to use lower ones (CAP_NET_BIND_SERVICE)"
    if "cannot assign requested address" in words:
        return "choose an address that this machine has"
    return "change the field that the message names; what was accepted before stays in force"


def unserved(front: LoadBalancer, providers: Sequence[str]) -> Iterator[FindingRow]:
    """Says so where a load balancer wishes for a provider that does not run here. One that runs alone serves all."""
    if len(providers) == 1 or front.provider in providers:
        return iter(())
    finding = Finding(
        severity=Severity.ERROR,
        reason=Reason.INVALID_CLASS,
        for_user=Sentence(f"no provider of the name {front.provider} runs here; there are {', '.join(providers)}"),
        remedy=Sentence("name one of them in the class parameters, or start that provider"),
        origin=front.origin,
        effect=Effect.OBJECT_REJECTED,
    )
    return rows_by_object("provider", front.id, (finding,))
