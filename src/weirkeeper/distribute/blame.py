"""Who of many is to blame for a refusal: those that the engine's message names, else one half after the other.

Comes in: the rows of a refused response and the engine's words. Goes out: groups to send again, each smaller than the whole. Pure.

A name in the message is a suspicion only: Envoy also names the innocent first scope of two with one key. So each named row is sent alone, and the
rest together. Where none is named the rows are halved; a culprit among 1,000 is found in ten rounds, and everything else is live on the way.
"""

from collections.abc import Container, Sequence
from typing import Protocol, TypeVar

MOST_NAMED = 8
_INSIDE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/|:*")


class Named(Protocol):
    """Anything with a name."""

    @property
    def name(self) -> str:
        """The name that a message may contain."""
        ...


N = TypeVar("N", bound=Named)


def suspects(rows: Sequence[N], message: str) -> list[tuple[N, ...]]:
    """Groups to try again, none of them empty and, from two rows on, none of them the whole."""
    accused = [row for row in rows if names(message, row.name)]
    if 0 < len(accused) <= MOST_NAMED and len(rows) > 1:
        alone: list[tuple[N, ...]] = [(row,) for row in accused]
        rest = tuple(row for row in rows if row not in accused)
        return [*alone, rest] if rest else alone
    middle = (len(rows) + 1) // 2
    return [half for half in (tuple(rows[:middle]), tuple(rows[middle:])) if half]


def rivals(message: str, name: str, known: Container[str]) -> frozenset[str]:
    """The other known names in a message about this one: where one of them changes, the refusal may be over."""
    words = "".join(c if c in _INSIDE else " " for c in message).split()
    found = {word if word in known else word.rstrip(".:") for word in words}
    return frozenset(word for word in found if word in known and word != name)


def names(message: str, name: str) -> bool:
    """Whether the message contains the name as a whole word, not inside a longer name. A full stop may end the sentence."""
    at = message.find(name)
    while at >= 0:
        before, after = message[at - 1 : at], message[at + len(name) :]
        ends = after[:1] not in _INSIDE or (after[:1] in ".:" and after[1:2] not in _INSIDE)
        if before not in _INSIDE and ends:
            return True
        at = message.find(name, at + 1)
    return False
