"""What an engine says on its stream, as events: what it asked for, has, and refuses. Values of ``stream``."""

from typing import NamedTuple


class Subscribed(NamedTuple):
    """The engine asked for a kind for the first time, or for more names of it."""

    kind: str
    names: tuple[str, ...]


class Acked(NamedTuple):
    """The engine has these versions now (None: it no longer has the item)."""

    kind: str
    versions: tuple[tuple[str, str | None], ...]


class Rejected(NamedTuple):
    """The engine refuses this version of this item, and nothing else was in the response."""

    kind: str
    name: str
    version: str
    message: str


class Refused(NamedTuple):
    """The engine refused a response with several items in it; the culprit is being looked for."""

    kind: str
    items: int
    message: str


Event = Subscribed | Acked | Rejected | Refused
