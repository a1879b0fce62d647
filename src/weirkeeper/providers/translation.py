"""A provider's translation beside its engine: neutral items in, engine items out, by the very derivations that a control plane on one machine runs. Pure.

Comes in: changed neutral items as bytes; what an engine refused. Goes out: changed engine items; which neutral items are to blame, found in what was read to make the refused ones.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from weirkeeper.flow import Explained, Graph, Index, MissingRead, Source
from weirkeeper.model.text import Id
from weirkeeper.providers import neutral
from weirkeeper.providers.base import EngineItem, ItemKey, Provider

Key = tuple[str, str]
"""A neutral item's kind and name."""


class Translation:
    """One load balancer, from neutral to engine items."""

    def __init__(self, load_balancer: Id, provider: Provider) -> None:
        self._load_balancer, self._can = load_balancer, provider.capabilities
        self.graph = Graph()
        self._composed = neutral.sources(self.graph)
        self._items = provider.declare(self.graph, self._composed)
        self.graph.tell([self._items])
        self._places: dict[tuple[str, Any], Key] = {}
        self.misunderstood: dict[Key, str] = {}
        """Items that could not be read, and why. What was read of them before stays."""

    def take(self, changes: Mapping[Key, bytes | None]) -> dict[ItemKey, EngineItem | None]:
        """What these changes do to the engine's items."""
        for (kind, name), body in changes.items():
            self._put(kind, name, body)
        return {key: change.after for key, change in self.graph.settle().changes(self._items).items()}

    def items(self) -> Mapping[ItemKey, EngineItem]:
        """All engine items."""
        return self.graph.rows(self._items)

    def blamed(self, refused: Mapping[ItemKey, str], changed: Iterable[Key]) -> dict[Key, str]:
        """Of the items that changed, those that are to blame for what is refused: what a refused one is made of, else what was read to make it."""
        among, found = set(changed), {key: why for key, why in self.misunderstood.items() if key in set(changed)}
        for item, why in refused.items():
            for candidates in (self.made_of(item), set(self._read_for(item))):
                if candidates & among:
                    found |= dict.fromkeys(candidates & among, why)
                    break
        return found

    def made_of(self, item: ItemKey) -> set[Key]:
        """The neutral items that an engine item is a form of."""
        return {self._places[place] for place in self._own(self._told(item)) if place in self._places}

    def _put(self, kind: str, name: str, body: bytes | None) -> None:
        table: Source[Any, Any] = neutral.table_of(self._composed, kind)
        self.misunderstood.pop((kind, name), None)
        if body is None:
            key = neutral.key_of(self._load_balancer, kind, name)
            self._places.pop((table.name, key), None)
            self.graph.put(table, key, None)
            return
        told = neutral.read(self._load_balancer, kind, name, body, self._can)
        if isinstance(told, neutral.NotUnderstood):
            self.misunderstood[kind, name] = told.why
            return
        self._places[table.name, told.key] = (kind, name)
        self.graph.put(table, told.key, told.value)

    def _told(self, item: ItemKey) -> Explained:
        return self.graph.explain(self._items, item, depth=12, breadth=1_000)

    def _own(self, told: Explained) -> Iterator[tuple[str, Any]]:
        """The inputs on the way of own inputs; all members of a group are its own."""
        yield told.table, told.key
        grouped = isinstance(self.graph.tables[told.table], Index)
        for read in told.reads if grouped else told.reads[:1]:
            if isinstance(read, Explained):
                yield from self._own(read)

    def _read_for(self, item: ItemKey) -> Iterator[Key]:
        yield from (self._places[place] for place in _everything(self._told(item)) if place in self._places)


def _everything(told: Explained | MissingRead) -> Iterator[tuple[str, Any]]:
    yield told.table, told.key
    if isinstance(told, Explained):
        for read in told.reads:
            yield from _everything(read)
