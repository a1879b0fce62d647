"""One kind of item on one stream: what the engine asked for, has, was sent, and what is suspected of having been refused.

Comes in: rows that were sent and what became of them. Goes out: the rows that the engine now has, or that it refused. Pure bookkeeping;
what to send and when is decided in ``stream``.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import NamedTuple

from weirkeeper.distribute.blame import suspects
from weirkeeper.providers.base import EngineItem


class Row(NamedTuple):
    """One name in a response: the item sent under it (None: removed) and the item's own name, which differs for a certificate's aliases."""

    name: str
    source: str
    item: EngineItem | None

    @property
    def version(self) -> str | None:
        """The version sent; None for a removal."""
        return None if self.item is None else str(self.item.version)


class Sent(NamedTuple):
    """A response without an answer yet."""

    order: int
    rows: tuple[Row, ...]
    at: float


class Lane:
    """The state of one kind on one stream."""

    def __init__(self, kind: str, wildcard: bool) -> None:
        self.kind = kind
        self.wildcard = wildcard
        self.names: dict[str, None] = {}
        self.have: dict[str, EngineItem | str] = {}
        self.latest: dict[str, str] = {}
        self.settled: dict[str, int] = {}
        self.sent_at: dict[str, int] = {}
        self.dirty: dict[str, None] = {}
        self.forced: set[str] = set()
        self.blocked: set[str] = set()
        self.unsure: dict[str, list[tuple[int, EngineItem]]] = {}
        self.outstanding: OrderedDict[str, Sent] = OrderedDict()
        self.groups: deque[tuple[Row, ...]] = deque()
        self.suspected: dict[str, str | None] = {}
        self.doubtful: set[str] = set()
        self.leaving: set[str] = set()
        self.greet = wildcard

    def send(self, nonce: str, sent: Sent) -> None:
        """A response has left."""
        self.outstanding[nonce] = sent
        for row in sent.rows:
            self.forced.discard(row.name)
            if row.item is None:
                self.latest.pop(row.name, None)
                self.leaving.add(row.name)
            else:
                self.latest[row.name] = row.item.version
                self.doubtful.add(row.name)
                self.sent_at[row.name] = sent.order

    def acknowledge(self, sent: Sent) -> None:
        """The engine took all of it."""
        for row in sent.rows:
            self.settled[row.name] = sent.order
            self.doubtful.discard(row.name)
            if row.item is None:
                self.have.pop(row.name, None)
                self.leaving.discard(row.name)
            else:
                self.have[row.name] = row.item
            if self.sent_at.get(row.name) == sent.order:
                del self.sent_at[row.name]

    def refuse(self, sent: Sent, message: str) -> Row | None:
        """The engine refused it. Returns the culprit where only one row was in it; else the rows are set aside in smaller groups."""
        live = tuple(
            row
            for row in sent.rows
            if self.latest.get(row.name) == row.version and self.sent_at.get(row.name, sent.order) == sent.order
        )
        for row in sent.rows:
            if self.sent_at.get(row.name) == sent.order:
                del self.sent_at[row.name]
        for row in live:
            self.fall_back(row.name)
        if len(sent.rows) == 1:
            return sent.rows[0]
        for group in suspects(live, message):
            self.groups.append(group)
            self.suspected.update({row.name: row.version for row in group})
        return None

    def accuse(self, rows: Iterable[Row]) -> None:
        """Each of these rows is to be tried alone."""
        for row in rows:
            self.groups.append((row,))
            self.suspected[row.name] = row.version

    def fall_back(self, name: str) -> None:
        """The newest version of this name did not arrive: what the engine had before is what it has."""
        self.leaving.discard(name)
        have = self.have.get(name)
        if have is None:
            self.latest.pop(name, None)
        else:
            self.latest[name] = have if isinstance(have, str) else have.version
        self.dirty[name] = None

    def forget(self, name: str) -> None:
        """The engine no longer asks for this name, and holds nothing under it."""
        for table in (self.names, self.have, self.latest, self.settled, self.sent_at, self.dirty, self.suspected):
            table.pop(name, None)
        self.forced.discard(name)
        self.blocked.discard(name)
        self.leaving.discard(name)

    def busy(self) -> bool:
        """Whether anything of this kind is still on its way."""
        return bool(self.dirty or self.outstanding or self.groups or self.greet)
