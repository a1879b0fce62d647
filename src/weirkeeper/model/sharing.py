"""Equal parts of a large value, held once.

Comes in: a value as a decoder made it, where every text and every part is an object of its own. Goes out: an equal value in which equal short texts are
the same object in the whole process, and equal parts the same within the value. An Ingress with three paths to one Service takes half the memory.
"""

from sys import intern
from typing import Any, TypeVar

import msgspec
from msgspec.structs import force_setattr

T = TypeVar("T")
LONGEST = 128
"""Longer texts are seldom equal to others."""


def shared(value: T) -> T:
    """The same value, with equal parts held once. It is changed in place, to something equal."""
    found: T = _shared(value, {})
    return found


def _shared(value: Any, known: dict[tuple[Any, ...], Any]) -> Any:
    if value is None:
        return None
    kind = type(value)
    if kind is str:
        return intern(value) if len(value) <= LONGEST else value
    if kind is tuple:
        return tuple([_shared(one, known) for one in value]) if value else ()
    if not isinstance(value, msgspec.Struct):
        return value
    place: list[Any] = [kind]
    for name in kind.__struct_fields__:
        part = getattr(value, name)
        same = _shared(part, known)
        if same is not part:
            force_setattr(value, name, same)
        place.append(id(same))  # parts that are equal are the same by now
    return known.setdefault(tuple(place), value)
