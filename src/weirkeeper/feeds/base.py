"""What a feed says: objects as they are seen, and that it has seen all of them once.

Comes in: nothing. Goes out: `Seen` and `Synced`, the two words that every feed speaks and the reconciler takes. No IO, and nothing about where the
objects come from, may live here.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Protocol

from weirkeeper.kube.types import KubeObject
from weirkeeper.model.finding import Finding
from weirkeeper.model.ids import Ref
from weirkeeper.model.value import Value

FILE = "File"
"""The kind of refs that stand for a place in a file rather than for an object: `Ref(kind=FILE, name="shop.yaml:12")`."""
FEED = "Feed"
"""The kind of refs that stand for a part of a feed: what cannot be listed, what is held. They only ever carry a problem."""


class Cause(StrEnum):
    """How the feed came to know. A deletion that somebody made is not an absence that a relist found."""

    ADDED = "added"
    CHANGED = "changed"
    DELETED = "deleted"
    RELIST_ABSENT = "absent after relisting"
    NOT_FOUND = "asked for by name and not there"
    FORGOTTEN = "no longer asked for"


class Seen(Value, frozen=True, kw_only=True):
    """One object as it is now; `None` with a cause of deletion or absence: it is gone.

    `object` is `None` and there is a `problem`: it can no longer be read, and what was last read of it holds. `object` and `problem` together: it
    was read, and its owner should know something. A ref of kind `FILE` only ever carries a problem.
    """

    ref: Ref
    object: KubeObject | None = None
    cause: Cause = Cause.CHANGED
    problem: Finding | None = None

    @property
    def unreadable(self) -> bool:
        """Whether it only says that the object can't be read now."""
        return self.object is None and self.cause not in GONE


class Synced(Value, frozen=True, kw_only=True):
    """The feed has said everything once: absences of these kinds (`"Secret"`) are known from now on."""

    feed: str
    kinds: tuple[str, ...] = ()


class Offer(Protocol):
    """The front door as a feed sees it. What is offered in one call belongs together. Never blocks."""

    def __call__(self, events: Iterable[Seen | Synced]) -> None:
        """Take these events."""
        ...


GONE = (Cause.DELETED, Cause.RELIST_ABSENT, Cause.NOT_FOUND, Cause.FORGOTTEN)
