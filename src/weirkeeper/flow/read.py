"""Reading, recorded.

A derivation gets a `Read` and sees other tables only through it. What it asked for is kept per key as a tuple of
watches, in order of reading: it says when to run again, and it is the answer to "why does this row exist".
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from weirkeeper.flow.table import Dirty, FlowError, G, Handle, Index, K, Reader, Table, V, Watch

W = TypeVar("W")


class Read:
    """What a derivation may ask. It reaches the tables and indexes declared before it, and no others."""

    __slots__ = ("_reach", "_reader", "_seen")

    def __init__(self, reader: Handle, reach: dict[Handle, Any]) -> None:
        self._reader = reader
        self._reach = reach
        self._seen: dict[Watch, None] | None = None

    def get(self, table: Table[K, V], key: K) -> V | None:
        """The value of a row; runs again when it changes, comes or goes."""
        store = self._find(table)
        self._note(store.values.watch(key))
        value: V | None = store.find(key)
        return value

    def contains(self, table: Table[K, V], key: K) -> bool:
        """Whether a row is there; runs again only when it comes or goes."""
        store = self._find(table)
        self._note(store.presence.watch(key))
        return key in store.rows

    def lookup(self, index: Index[G, K, V], group: G) -> tuple[tuple[K, V], ...]:
        """The rows of a group, sorted by key; runs again when one of them changes, comes or goes."""
        groups = self._find(index)
        self._note(groups.facet.watch(group))
        members: tuple[tuple[K, V], ...] = groups.members(group)
        return members

    def contenders(self, table: Table[K, V], key: K) -> tuple[Any, ...]:
        """The parents that yield this key of a spread table, the winner first; runs again when that list changes."""
        fan = self._find(table).fan
        if fan is None:
            raise FlowError(f"{self._reader.name} asks for contenders of {table.name}, which is not a spread table")
        self._note(fan.facet.watch(key))
        parents: tuple[Any, ...] = fan.contenders(key)
        return parents

    def begin(self) -> dict[Watch, None]:
        """What will be read from now on, in order of reading."""
        seen: dict[Watch, None] = {}
        self._seen = seen
        return seen

    def end(self) -> None:
        self._seen = None

    def _note(self, watch: Watch) -> None:
        if self._seen is None:
            watch.sweep()
            raise FlowError(f"{self._reader.name} reads {watch.facet.table.name} outside of its run")
        self._seen[watch] = None

    def _find(self, handle: Handle) -> Any:
        try:
            return self._reach[handle]
        except KeyError:
            raise FlowError(f"{self._reader.name} reads {handle.name}, which is not declared before it") from None


class Recorder:
    """Calls the function of one derivation, key by key, and keeps what each call has read."""

    __slots__ = ("_dirty", "_last", "_read", "_readers", "_table")

    def __init__(self, table: Handle, dirty: Dirty, reach: dict[Handle, Any]) -> None:
        self._table = table
        self._dirty = dirty
        self._read = Read(table, reach)
        self._last: tuple[Watch, ...] = ()  # many keys read just the same
        self._readers: dict[Any, Reader] = {}  # only of keys that have read something

    def call(self, fn: Callable[[Read, Any, Any], W], key: Hashable, value: Any) -> W:
        """The function's answer. When it raises, the reads of the last good call stay."""
        seen = self._read.begin()
        good = False
        try:
            answer = fn(self._read, key, value)
            good = True
        finally:
            self._read.end()
            if not good:
                for watch in seen:
                    watch.sweep()
        self._keep(key, seen)
        return answer

    def forget(self, key: Hashable) -> None:
        self._keep(key, {})

    def reads(self, key: Hashable) -> tuple[Watch, ...]:
        reader = self._readers.get(key)
        return reader.reads if reader else ()

    def _keep(self, key: Hashable, seen: dict[Watch, None]) -> None:
        reader = self._readers.get(key)
        if reader is None:
            if not seen:
                return
            reader = self._readers[key] = Reader(self._table, self._dirty, key)
        reads = tuple(seen)
        if reads != self._last:
            self._last = reads
        before = reader.reads
        if before != reads:
            reader.keep(self._last)
            _subscribe(reader, before)
        if not seen:
            del self._readers[key]


def _subscribe(reader: Reader, before: tuple[Watch, ...]) -> None:
    known, wished = set(before), set(reader.reads)
    for watch in reader.reads:
        if watch not in known:
            watch.add(reader)
    for watch in before:
        if watch not in wished:
            watch.drop(reader)
