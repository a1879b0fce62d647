"""Findings, made in one way: every one names its object, its field and a remedy, and tenant text inside them is quoted.

Comes in: an origin and sentences. Goes out: a ``Finding``. Use ``shown`` for any text of a tenant that goes into a sentence.
"""

from functools import lru_cache

from weirkeeper.model.finding import Effect, Finding, Reason, Severity
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import FieldPath, Sentence, trusted

SHORT = 128
"""The longest field path that is remembered: most objects have the same few."""


def finding(
    severity: Severity,
    reason: Reason,
    origin: Origin,
    sentence: str,
    remedy: str,
    *,
    effect: Effect = Effect.NONE,
    operator: str = "",
) -> Finding:
    """One thing to know."""
    return Finding(
        severity=severity,
        reason=reason,
        for_user=trusted(Sentence, _clean(sentence, 4000)),
        remedy=trusted(Sentence, _clean(remedy, 2000)),
        for_operator=trusted(Sentence, _clean(operator, 2000)),
        origin=origin,
        effect=effect,
    )


def error(reason: Reason, origin: Origin, sentence: str, remedy: str, effect: Effect = Effect.NONE) -> Finding:
    """A wish that could not be fulfilled."""
    return finding(Severity.ERROR, reason, origin, sentence, remedy, effect=effect)


def warning(reason: Reason, origin: Origin, sentence: str, remedy: str, effect: Effect = Effect.IGNORED) -> Finding:
    """A wish that was fulfilled in part, or not at all without much harm."""
    return finding(Severity.WARNING, reason, origin, sentence, remedy, effect=effect)


def info(reason: Reason, origin: Origin, sentence: str, remedy: str, effect: Effect = Effect.NONE) -> Finding:
    """Something worth knowing."""
    return finding(Severity.INFO, reason, origin, sentence, remedy, effect=effect)


def field(path: str) -> FieldPath:
    """A field path; text of a tenant in it (an annotation's name) loses what cannot be printed."""
    return _known_field(path) if len(path) <= SHORT else _field(path)


def _field(path: str) -> FieldPath:
    return trusted(FieldPath, _clean(path, 512).replace("\n", " ").replace("\t", " "))


_known_field = lru_cache(maxsize=2048)(_field)


def _clean(text: str, longest: int) -> str:
    kept = text[:longest]
    return kept if kept.isprintable() else "".join(c if c.isprintable() or c in "\n\t" else "?" for c in kept)
