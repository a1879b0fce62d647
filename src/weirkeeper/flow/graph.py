"""The graph: inputs in, one settle, changes out.

Theory of operation. Tables are declared in order, and a derivation reads only what was declared before it; so one walk
over the steps in that order is enough, and there are no cycles. A published change makes dirty the keys whose own
input it is and the keys that have read it, all of them in later steps. A refreshed row that equals the old one is not
published, and the wave stops. No step looks at more than its dirty keys: work is in proportion to what changed.

Single-threaded and synchronous. Between two settles all tables show the state of the last one, inputs included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from weirkeeper.flow import derive
from weirkeeper.flow.derive import Input, Nodes, Step
from weirkeeper.flow.explain import Explained, explain
from weirkeeper.flow.read import Read
from weirkeeper.flow.table import Change, FlowError, G, Handle, Index, K, Packing, Source, Store, Table, V, same

K2 = TypeVar("K2")
W = TypeVar("W")
H = TypeVar("H", bound=Handle)


class Difference(NamedTuple):
    """One row, or one group of an index, that two graphs disagree on."""

    table: str
    key: Any
    ours: Any
    theirs: Any


class Settled:
    """What one settle did; it stays as it is when the graph moves on."""

    __slots__ = ("_changes", "_told", "failures", "runs")

    def __init__(
        self,
        changes: dict[Handle, dict[Any, Change[Any]]],
        runs: Mapping[str, int],
        told: AbstractSet[Handle] | None = None,
        failures: Mapping[str, FlowError] | None = None,
    ) -> None:
        self._changes = changes
        self.failures: Mapping[str, FlowError] = failures or {}
        """What failed first in each room (`Graph.apart`) where something did."""
        self._told = told
        self.runs = runs
        """How many times the function of each table ran, by name; a table that is not in it answers 0."""

    def changes(self, table: Table[K, V]) -> Mapping[K, Change[V]]:
        """The net changes of a table: a row that came and went, or changed and changed back, is not among them."""
        if self._told is not None and table not in self._told:
            raise FlowError(f"the changes of {table.name} are not told")
        return self._changes.get(table, {})


class Graph:
    """Tables, what derives them, and their present state."""

    def __init__(self) -> None:
        self._steps: dict[Handle, Step] = {}
        self._nodes: Nodes = {}
        self._plans: dict[Handle, Callable[[Nodes], Step]] = {}
        self._told: frozenset[Handle] | None = None
        self._telling: list[Store] = []
        self._busy = False
        self._rooms: dict[Handle, str] = {}
        self._room = ""

    # Declaring

    @contextmanager
    def apart(self, room: str) -> Iterator[None]:
        """What is declared in this block is a room of its own: when a derivation of it raises, everything outside of the room settles all the same, and `Settled` tells the failure."""
        before, self._room = self._room, room
        try:
            yield
        finally:
            self._room = before

    def source(self, name: str, *, packing: Packing | None = None) -> Source[Any, Any]:
        """An input table; say what is in it where it is assigned: `pods: Source[Ref, Pod] = g.source("pods")`.

        With a packing its rows are kept as bytes: for many large values, each read by few.
        """
        table: Source[Any, Any] = Source(name)
        return self._declare(table, lambda _: derive.source_step(table, packing))

    def derive(
        self, name: str, parent: Table[K, V], fn: Callable[[Read, K, V], W | None], *, packing: Packing | None = None
    ) -> Table[K, W]:
        """A table with a row for each row of the parent for which the function answers one; packed as a source may be."""
        table: Table[K, W] = Table(name)
        return self._declare(table, lambda nodes: derive.derive_step(table, nodes, parent, fn, packing))

    def spread(
        self, name: str, parent: Table[K, V], fn: Callable[[Read, K, V], Iterable[tuple[K2, W]]]
    ) -> Table[K2, W]:
        """A table with any number of rows for each row of the parent. Of parents with the same key the smallest wins."""
        table: Table[K2, W] = Table(name)
        return self._declare(table, lambda nodes: derive.spread_step(table, nodes, parent, fn))

    def union(self, name: str, parents: Sequence[Table[K, V]]) -> Table[K, V]:
        """All rows of several tables; the same key in two of them is a programming error and raised by settle."""
        table: Table[K, V] = Table(name)
        return self._declare(table, lambda nodes: derive.union_step(table, nodes, parents))

    def index(self, name: str, parent: Table[K, V], fn: Callable[[K, V], Iterable[G]]) -> Index[G, K, V]:
        """The rows of a table by the group keys that the function answers."""
        index: Index[G, K, V] = Index(name)
        return self._declare(index, lambda nodes: derive.index_step(index, nodes, parent, fn))

    def group(
        self, name: str, index: Index[G, K, V], fn: Callable[[Read, G, Sequence[tuple[K, V]]], W | None]
    ) -> Table[G, W]:
        """A table with a row for each group of an index; the members come sorted by key, and there is at least one."""
        table: Table[G, W] = Table(name)
        return self._declare(table, lambda nodes: derive.derive_step(table, nodes, index, fn))

    def tell(self, tables: Iterable[Handle]) -> None:
        """From now on a settle tells the changes of these tables alone: those of all others need not be kept until its end."""
        self._told = frozenset(tables)
        stores = [node for node in self._nodes.values() if isinstance(node, Store)]
        self._telling = [store for store in stores if store.table in self._told]
        for store in stores:
            store.log = {} if store.table in self._told else None

    # Running

    def put(self, source: Source[K, V], key: K, value: V | None) -> None:
        """Sets a row of an input table at the next settle, or deletes it (None). An equal value makes no work."""
        self._refuse_inside(f"put into {source.name}")
        self._input(source).put(key, value)

    def settle(self) -> Settled:
        """Brings all tables up to date.

        When a derivation raises, so does this (FlowError), save where it stands apart. What was done stays done, what was not stays
        dirty, and the next settle goes on from there and reports the changes of both.
        """
        runs: Counter[str] = Counter()
        failures: dict[str, FlowError] = {}
        with self._exclusive():
            for handle, step in self._steps.items():
                if step.dirty:
                    try:
                        count = step.run()
                    except FlowError as failure:
                        if handle not in self._rooms:
                            raise
                        failures.setdefault(self._rooms[handle], failure)
                        continue
                    if count:
                        runs[step.node.table.name] = count
        changes = {store.table: store.changes() for store in self._telling if store.log}
        return Settled(changes, runs, self._told, failures)

    def fresh(self) -> Graph:
        """The same definitions, built anew from the present inputs and settled; the same handles work for both."""
        other = Graph()
        for handle, plan in self._plans.items():
            with other.apart(self._rooms.get(handle, "")):
                other._declare(handle, plan)
        if self._told is not None:
            other.tell(self._told)
        for handle, step in self._steps.items():
            if isinstance(step.kind, Input) and isinstance(handle, Source):
                target = other._input(handle)
                for key, value in chain(self.rows(handle).items(), step.kind.waiting()):
                    target.put(key, value)
        other.settle()
        return other

    # Asking

    @property
    def tables(self) -> Mapping[str, Handle]:
        """All tables and indexes by name, in declared order."""
        return {handle.name: handle for handle in self._nodes}

    def rows(self, table: Table[K, V]) -> Mapping[K, V]:
        """A live, read-only view."""
        rows: Mapping[K, V] = self._node(table).view()
        return rows

    def get(self, table: Table[K, V], key: K) -> V | None:
        value: V | None = self._node(table).find(key)
        return value

    def lookup(self, index: Index[G, K, V], group: G) -> tuple[tuple[K, V], ...]:
        """The rows of a group, sorted by key."""
        members: tuple[tuple[K, V], ...] = self._node(index).members(group)
        return members

    def groups(self, index: Index[G, K, V]) -> AbstractSet[G]:
        """The group keys that have members: a live, read-only view."""
        groups: AbstractSet[G] = self._node(index).rows.keys()
        return groups

    def contenders(self, table: Table[K, V], key: K) -> tuple[Any, ...]:
        """The parents that yield a key of a spread table, the winner first, the others in the order of succession."""
        fan = self._node(table).fan
        if fan is None:
            raise FlowError(f"{table.name} is not a spread table: nobody contends for its keys")
        parents: tuple[Any, ...] = fan.contenders(key)
        return parents

    def wanted(self, table: Table[K, V]) -> frozenset[K]:
        """The keys that somebody reads, whether the rows are there or not."""
        node = self._node(table)
        return frozenset(node.values.watches) | frozenset(node.presence.watches)

    def wanted_version(self, table: Table[K, V]) -> int:
        """Another number whenever `wanted` may answer otherwise than before."""
        node = self._node(table)
        return int(node.values.version + node.presence.version)

    def readers(self, table: Table[K, V], key: K) -> tuple[tuple[str, Any], ...]:
        """Who has read a row, as (table, key), whether the row is there or not."""
        node = self._node(table)
        watches = [facet.watches[key] for facet in (node.values, node.presence) if key in facet.watches]
        found = ((reader.table.name, reader.key) for watch in watches for reader in watch.readers())
        return tuple(dict.fromkeys(found))

    def explain(self, table: Table[K, V] | Index[K, Any, V], key: K, *, depth: int = 8, breadth: int = 50) -> Explained:
        """The row with all that it was made from, as recorded; `depth` and `breadth` keep the tree readable."""
        self._node(table)
        return explain(self._steps, table, key, depth=depth, breadth=breadth)

    def difference(self, other: Graph) -> tuple[Difference, ...]:
        """All rows and groups that are not equal in two graphs of the same definitions; looks at everything."""
        found: list[Difference] = []
        for handle, node in self._nodes.items():
            twin = other._node(handle)
            for key in {**node.rows, **twin.rows}:
                ours, theirs = node.find(key), twin.find(key)
                if not same(ours, theirs):
                    found.append(Difference(handle.name, key, ours, theirs))
        return tuple(found)

    def _declare(self, handle: H, plan: Callable[[Nodes], Step]) -> H:
        self._refuse_inside(f"declare {handle.name}")
        if handle.name in self.tables:
            raise FlowError(f"{handle.name} is declared twice")
        try:
            step = plan(dict(self._nodes))
        except KeyError as missing:
            raise FlowError(f"{handle.name} derives from {missing}, which is not declared in this graph") from missing
        self._plans[handle] = plan
        self._steps[handle] = step
        self._nodes[handle] = step.node
        if self._room:
            self._rooms[handle] = self._room
        if isinstance(step.node, Store):
            if self._told is None:
                self._telling.append(step.node)
            else:
                step.node.log = None
        return handle

    def _node(self, handle: Handle) -> Any:
        try:
            return self._nodes[handle]
        except KeyError:
            raise FlowError(f"{handle.name} is not declared in this graph") from None

    def _input(self, source: Handle) -> Input:
        kind = self._steps[source].kind if source in self._steps else None
        if not isinstance(kind, Input):
            raise FlowError(f"{source.name} is not an input table of this graph")
        return kind

    def _refuse_inside(self, act: str) -> None:
        if self._busy:
            raise FlowError(f"a derivation may not {act}")

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        self._refuse_inside("settle")
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
