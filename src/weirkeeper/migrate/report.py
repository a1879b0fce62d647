"""What became of each annotation and of all else that was said: the report of a migration.

Comes in: the Ingresses, the controller's findings, the notes. Goes out: ``Entry``s, one for each annotation of each Ingress, and one for each thing that concerns no annotation.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from weirkeeper.controllers.ingress.annotations.reading import BARE, NGINX, OWN
from weirkeeper.controllers.ingress.annotations.row import Answer
from weirkeeper.controllers.ingress.annotations.table import REMOVED, TABLE
from weirkeeper.kube.types import Ingress
from weirkeeper.migrate.annotations import ASPECT_OF
from weirkeeper.migrate.notes import UNDONE, Aspect, Note, Outcome
from weirkeeper.model.finding import Finding, Severity
from weirkeeper.model.ids import Ref
from weirkeeper.model.value import Value


class Entry(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One annotation (``field`` and ``value``), or one other thing (``field`` is what it concerns): what it became, and why not all of it."""

    object: Ref
    field: str
    value: str = ""
    outcome: Outcome
    to: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
    remedy: tuple[str, ...] = ()


class Made(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What an object became."""

    object: Ref
    manifests: tuple[str, ...]


class Report(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Everything that is to be said."""

    made: tuple[Made, ...] = ()
    entries: tuple[Entry, ...] = ()

    @property
    def undone(self) -> list[Entry]:
        """What somebody has to look at before the Ingress can go."""
        return [one for one in self.entries if one.outcome in UNDONE]


_ORDER = list(Outcome)


def entries(
    ingresses: Mapping[Ref, Ingress], findings: Sequence[Finding], notes: Sequence[Note], unclaimed: Mapping[Ref, str]
) -> list[Entry]:
    """All entries, by object."""
    by_ref: dict[Ref, list[Note]] = {}
    for note in notes:
        by_ref.setdefault(note.about, []).append(note)
    found: list[Entry] = []
    for ref, ingress in sorted(ingresses.items()):
        if ref in unclaimed:
            found.append(
                Entry(
                    object=ref,
                    field="spec.ingressClassName",
                    outcome=Outcome.LOST,
                    why=(unclaimed[ref],),
                    remedy=("name a class that is known here, or give its IngressClass",),
                )
            )
            continue
        found += _of_ingress(ref, ingress, findings, by_ref.pop(ref, []))
    for ref, rest in sorted(by_ref.items()):
        found += _by_aspect(ref, rest, told=frozenset())
    return found


class _Words(NamedTuple):
    """All that was said of one Ingress."""

    findings: Sequence[Finding]
    notes: Sequence[Note]

    @property
    def closed(self) -> bool:
        """Whether a guard without equivalent lets nobody through."""
        return any(one.outcome is Outcome.CLOSED for one in self.notes)


def _of_ingress(ref: Ref, ingress: Ingress, findings: Sequence[Finding], notes: Sequence[Note]) -> Iterator[Entry]:
    own = [one for one in findings if one.origin.ref == ref]
    told: set[Aspect] = set()
    for key in sorted(ingress.annotations):
        if key.startswith((NGINX, OWN)) or key in BARE:
            name = _name(key)
            told |= {ASPECT_OF[name]} if name in ASPECT_OF else set()
            yield _annotation(ref, key, ingress.annotations[key], _Words(own, notes))
    yield from _by_aspect(ref, notes, frozenset(told))
    for finding in own:
        absent = finding.severity is Severity.ERROR and finding.origin.path.startswith("spec.tls")
        elsewhere = (
            finding.origin.path.startswith("metadata.annotations") or absent
        )  # a listener refers to a Secret that may come
        if finding.severity is not Severity.INFO and not elsewhere:
            outcome = Outcome.LOST if finding.severity is Severity.ERROR else Outcome.DIFFERS
            yield Entry(
                object=ref,
                field=finding.origin.path,
                outcome=outcome,
                why=(str(finding.for_user),),
                remedy=(str(finding.remedy),),
            )


def _name(key: str) -> str:
    return BARE[key] if key in BARE else key.removeprefix(NGINX).removeprefix(OWN)


def _annotation(ref: Ref, key: str, value: str, words: _Words) -> Entry:
    name = _name(key)
    said = [
        one
        for one in words.findings
        if one.origin.path.startswith(f"metadata.annotations[{key}]") and one.severity is not Severity.INFO
    ]
    row = TABLE.get(name)
    if row is None or row.answer in {Answer.UNSUPPORTED, Answer.REFUSED, Answer.IDLE}:
        idle = row is not None and (row.answer is Answer.IDLE or not said)
        why = row.note if row is not None else REMOVED.get(name, "no such annotation is known")
        outcome = (
            Outcome.CLOSED if row is not None and row.security and said else Outcome.NOTHING if idle else Outcome.LOST
        )
        return Entry(
            object=ref,
            field=key,
            value=value,
            outcome=outcome,
            why=(why,),
            remedy=tuple(str(one.remedy) for one in said),
        )
    mine = [one for one in words.notes if one.aspect == ASPECT_OF[name]]
    if said and not mine:
        return Entry(
            object=ref,
            field=key,
            value=value,
            outcome=Outcome.LOST,
            why=tuple(str(one.for_user) for one in said),
            remedy=tuple(str(one.remedy) for one in said),
        )
    if not mine:
        why = "nobody passes, so there is nothing that it could do" if words.closed else "it changes nothing here"
        return Entry(object=ref, field=key, value=value, outcome=Outcome.NOTHING, why=(why,))
    return _entry(ref, key, value, mine)


def _by_aspect(ref: Ref, notes: Sequence[Note], told: frozenset[Aspect]) -> Iterator[Entry]:
    """What concerns no annotation; what is only translated needs no word then."""
    for aspect in dict.fromkeys(one.aspect for one in notes):
        mine = [one for one in notes if one.aspect == aspect]
        if aspect not in told and any(one.outcome is not Outcome.TRANSLATED for one in mine):
            yield _entry(ref, aspect, "", mine)


def _entry(ref: Ref, field: str, value: str, notes: Sequence[Note]) -> Entry:
    """The worst of some notes is the outcome; all of their sentences are said."""
    return Entry(
        object=ref,
        field=field,
        value=value,
        outcome=max((one.outcome for one in notes), key=_ORDER.index),
        to=_each(one.to for one in notes),
        why=_each(one.why for one in notes),
        remedy=_each(one.remedy for one in notes),
    )


def _each(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))
