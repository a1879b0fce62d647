"""What a pure function answered for an object, so that a derivation over many equal members does its work only for those that are new.

Comes in: a pure function of one object. Goes out: the same answers. By identity: an object that a settle left alone is the same object in the next one.
Bounded: the oldest answers go first. What may not live here: anything that changes an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST = 32_768
MANY = 64
"""From so many members on it is worth the memory."""


class Memo(Generic[T, R]):
    """A pure function with a memory."""

    __slots__ = ("_fn", "_known", "_most")

    def __init__(self, fn: Callable[[T], R], most: int = MOST) -> None:
        """Remembers the answers for at most that many objects, which it keeps alive."""
        self._fn = fn
        self._most = most
        self._known: dict[int, tuple[T, R]] = {}

    def many(self, things: Iterable[T]) -> list[R]:
        """The answers for many, in their order."""
        known, found = self._known, []
        for thing in things:
            row = known.get(id(thing))
            found.append(row[1] if row is not None and row[0] is thing else self(thing))
        return found

    def __call__(self, thing: T) -> R:
        """The function's answer."""
        known = self._known.get(id(thing))
        if known is not None and known[0] is thing:
            return known[1]
        answer = self._fn(thing)
        if len(self._known) >= self._most:
            del self._known[next(iter(self._known))]
        self._known[id(thing)] = (thing, answer)
        return answer
