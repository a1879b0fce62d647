"""Derivations: what runs again for a key, and how.

A `Step` is one declared table or index at work: its dirty keys, the function that refreshes one of them, and the node
(`Store` or `Groups`) it fills. The builders below make the steps of all kinds; each takes the nodes declared so far
(`Nodes`), which is exactly what the derivation may read.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Protocol, TypeAlias

from weirkeeper.flow.index import Groups
from weirkeeper.flow.read import Read, Recorder
from weirkeeper.flow.spread import Fan
from weirkeeper.flow.table import Dirty, FlowError, Handle, Packing, Store, same, store_of

Nodes: TypeAlias = dict[Handle, Any]
Origin: TypeAlias = Iterable[tuple[Handle, Any]]


class Kind(Protocol):
    """One kind of step: how a key is refreshed, and which rows made it."""

    def refresh(self, key: Any, /) -> bool:
        """Brings one key up to date; tells whether the user's function ran."""

    def origin(self, key: Any, /) -> Origin:
        """The rows that this row was made from, its own input first."""


class Step:
    """One declared table or index at work."""

    __slots__ = ("dirty", "kind", "node")

    def __init__(self, node: Store | Groups, kind: Kind, dirty: Dirty) -> None:
        self.node = node
        self.kind = kind
        self.dirty = dirty

    def run(self) -> int:
        """Refreshes the dirty keys and publishes what came of it; answers how many times the function ran."""
        turn = Turn(self.node.table, self.dirty)
        runs = 0
        with turn:
            for key in turn.queue:
                turn.key = key
                runs += self.kind.refresh(key)
        self.node.publish()
        return runs


class Turn:
    """The dirty keys of one run. When one fails, it and those behind it are dirty again, and the failure says where."""

    __slots__ = ("_dirty", "_table", "key", "queue")

    def __init__(self, table: Handle, dirty: Dirty) -> None:
        self._table = table
        self._dirty = dirty
        self.key: Any = None
        self.queue: Iterator[Any] = iter(tuple(dirty))

    def __enter__(self) -> None:
        self._dirty.clear()

    def __exit__(self, kind: object, failure: BaseException | None, trace: TracebackType | None) -> None:
        if failure is None:
            return
        self._dirty.update(dict.fromkeys((self.key, *self.queue)))
        if isinstance(failure, Exception):
            where = f"{self._table.name}, key {self.key!r}"
            message = f"{where}: {type(failure).__name__}: {failure}"
            raise FlowError(message, table=self._table.name, key=self.key) from failure


class Input:
    """Rows from outside, waiting for the next settle."""

    __slots__ = ("_dirty", "_store", "pending")

    def __init__(self, store: Store, dirty: Dirty) -> None:
        self._store = store
        self._dirty = dirty
        self.pending: dict[Any, Any] = {}

    def put(self, key: Hashable, value: Any) -> None:
        row, pending = self._store.fold(value), self.pending
        if same(pending[key] if key in pending else self._store.rows.get(key), row):
            return
        pending[key] = row
        self._dirty[key] = None

    def refresh(self, key: Hashable) -> bool:
        self._store.keep(key, self.pending.pop(key))
        if not self.pending:
            self.pending = {}  # an emptied dict keeps its size
        return False

    def waiting(self) -> Iterator[tuple[Any, Any]]:
        """What waits, as values."""
        return ((key, self._store.unfold(value)) for key, value in self.pending.items())

    def origin(self, _key: Hashable) -> Origin:
        return ()


class Derivation:
    """A function over one row of a parent, its reads recorded: the one kind behind derive, group and spread."""

    __slots__ = ("_accept", "_fn", "_parent", "_recorder")

    def __init__(
        self,
        parent: Store | Groups,
        fn: Callable[[Read, Any, Any], Any],
        accept: Callable[[Any, Any], None],
        recorder: Recorder,
    ) -> None:
        self._parent = parent
        self._fn = fn
        self._accept = accept
        self._recorder = recorder

    def refresh(self, key: Hashable) -> bool:
        value = self._parent.find(key)
        if value is None:
            self._recorder.forget(key)
            self._accept(key, None)
            return False
        self._accept(key, self._recorder.call(self._fn, key, value))
        return True

    def origin(self, key: Hashable) -> Origin:
        yield self._parent.table, key
        for watch in self._recorder.reads(key):
            yield watch.facet.table, watch.key


class Spread:
    """A derivation whose rows a fan hands out; a row comes from the parent that won its key."""

    __slots__ = ("_derivation", "_fan", "refresh")

    def __init__(self, derivation: Derivation, fan: Fan) -> None:
        self._derivation = derivation
        self._fan = fan
        self.refresh = derivation.refresh

    def origin(self, key: Hashable) -> Origin:
        for parent in self._fan.contenders(key)[:1]:
            yield from self._derivation.origin(parent)


class Union:
    """Tables of the same kind as one; each key has its row in one of them at most."""

    __slots__ = ("_parents", "_store")

    def __init__(self, store: Store, parents: Sequence[Store]) -> None:
        self._store = store
        self._parents = parents

    def refresh(self, key: Hashable) -> bool:
        homes = self._homes(key)
        if len(homes) > 1:
            raise FlowError("has a row in " + " and in ".join(home.table.name for home in homes))
        self._store.write(key, homes[0].find(key) if homes else None)
        return False

    def origin(self, key: Hashable) -> Origin:
        return [(home.table, key) for home in self._homes(key)]

    def _homes(self, key: Hashable) -> list[Store]:
        return [parent for parent in self._parents if key in parent.rows]


def source_step(table: Handle, packing: Packing | None) -> Step:
    store, dirty = store_of(table, packing), Dirty()
    return Step(store, Input(store, dirty), dirty)


def derive_step(
    table: Handle, nodes: Nodes, parent: Handle, fn: Callable[[Read, Any, Any], Any], packing: Packing | None = None
) -> Step:
    """A row for each row of a table, or for each group of an index."""
    store, dirty = store_of(table, packing), _follow(nodes, parent)
    return Step(store, Derivation(nodes[parent], fn, store.write, Recorder(table, dirty, nodes)), dirty)


def spread_step(
    table: Handle, nodes: Nodes, parent: Handle, fn: Callable[[Read, Any, Any], Iterable[tuple[Any, Any]]]
) -> Step:
    """Rows of their own keys for each row of a table."""

    def whole(read: Read, key: Any, value: Any) -> tuple[tuple[Any, Any], ...]:
        return tuple(fn(read, key, value))  # a generator reads while it runs, so it runs out here

    store, dirty = Store(table), _follow(nodes, parent)
    store.fan = fan = Fan(store)
    return Step(store, Spread(Derivation(nodes[parent], whole, fan.accept, Recorder(table, dirty, nodes)), fan), dirty)


def union_step(table: Handle, nodes: Nodes, parents: Sequence[Handle]) -> Step:
    store = Store(table)
    return Step(store, Union(store, [nodes[parent] for parent in parents]), _follow(nodes, *parents))


def index_step(table: Handle, nodes: Nodes, parent: Handle, fn: Callable[[Any, Any], Iterable[Any]]) -> Step:
    groups = Groups(table, nodes[parent], fn)
    return Step(groups, groups, _follow(nodes, parent))


def _follow(nodes: Nodes, *parents: Handle) -> Dirty:
    """The dirty keys of a new step: all rows that its parents have now, and each that they publish later."""
    dirty: Dirty = {}
    for parent in parents:
        dirty.update(dict.fromkeys(nodes[parent].rows))
        nodes[parent].children.append(dirty)
    return dirty
