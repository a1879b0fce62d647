"""What every noun is: a frozen, keyword-only struct that prints without defaults and refuses unknown fields.

Comes in: nothing. Goes out: the base struct and the few scalar types that have a unit. No behaviour lives here.

Equality covers every field, hashing follows equality, and JSON or YAML go both ways without code of our own (msgspec).
``None`` means "not wished", never "unknown".
"""

from typing import NewType

import msgspec

Milliseconds = NewType("Milliseconds", int)
"""A duration in milliseconds."""

ByteCount = NewType("ByteCount", int)
"""A size in bytes."""


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """Base of all nouns. Values never refer to themselves, so the collector does not track them.

    Derived structs say ``frozen`` and ``kw_only`` again: msgspec does not inherit the second, and type checkers neither.
    """


class Told(Value, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Base of what replicas, programs and versions tell each other, or keep for the next: a newer one may say more, and what is not known is passed over."""


class Fraction(Value, frozen=True, kw_only=True):
    """A share of requests: numerator of denominator."""

    numerator: int
    denominator: int = 100


def seconds(amount: float) -> Milliseconds:
    """The duration of that many seconds."""
    return Milliseconds(round(amount * 1000))
