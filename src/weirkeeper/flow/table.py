"""Tables: keyed values, and who wants to know when one of them changes.

`Table`, `Source` and `Index` are handles: a name with types. They hold no rows, so one definition serves many graphs
(the running one, and the fresh one it is compared with). The rows of a table in one graph are a `Store`.

Absence is the value `None`: it deletes, it is what a read of an unknown key answers, and no row ever holds it.
What may not live here: when things run (`derive.py`, `graph.py`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from weirkeeper.flow.spread import Fan

K = TypeVar("K", bound=Hashable)
G = TypeVar("G", bound=Hashable)
V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)


class FlowError(Exception):
    """A derivation failed or broke a rule of flow; `table` and `key` say where, `__cause__` what it raised."""

    def __init__(self, message: str, *, table: str | None = None, key: object = None) -> None:
        super().__init__(message)
        self.table = table
        self.key = key


class Handle:
    """A name that stands for a table or an index; compared by identity."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class Table(Handle, Generic[K, V_co]):
    """Values by key."""

    __slots__ = ()


class Source(Table[K, V]):
    """A table whose rows come from outside, by `Graph.put`."""

    __slots__ = ()


class Index(Handle, Generic[G, K, V_co]):
    """The rows of a table by group key; a row may be in several groups or in none."""

    __slots__ = ()


class Change(NamedTuple, Generic[V_co]):
    """What one settle made of one row; None is absence."""

    before: V_co | None
    after: V_co | None


Dirty: TypeAlias = dict[Any, None]  # keys that have to run again, in order of discovery; a dict is an ordered set


class Reader:
    """One key of one derivation, as those see it whose rows it read."""

    __slots__ = ("_reads", "dirty", "key", "table")

    def __init__(self, table: Handle, dirty: Dirty, key: Hashable) -> None:
        self.table = table
        self.dirty = dirty
        self.key = key
        self._reads: Watch | tuple[Watch, ...] = ()

    @property
    def reads(self) -> tuple[Watch, ...]:
        """What it has read, in order; a lone watch is kept without a container."""
        return several(self._reads)

    def keep(self, reads: tuple[Watch, ...]) -> None:
        self._reads = bare(reads)


class Watch:
    """One key that somebody reads. Most are read once, so a lone reader is kept without a container."""

    __slots__ = ("_readers", "facet", "key")

    def __init__(self, facet: Facet, key: Hashable) -> None:
        self.facet = facet
        self.key = key
        self._readers: Reader | dict[Reader, None] | None = None

    def readers(self) -> Iterable[Reader]:
        readers = self._readers
        if readers is None:
            return ()
        return (readers,) if isinstance(readers, Reader) else readers

    def add(self, reader: Reader) -> None:
        readers = self._readers
        if readers is None:
            self._readers = reader
        elif isinstance(readers, Reader):
            self._readers = {readers: None, reader: None}
        else:
            readers[reader] = None

    def drop(self, reader: Reader) -> None:
        if isinstance(self._readers, dict):
            del self._readers[reader]
            if not self._readers:
                self._readers = None
        else:
            self._readers = None
        self.sweep()

    def sweep(self) -> None:
        """Forgets a key that nobody reads any more."""
        if self._readers is None:
            del self.facet.watches[self.key]
            self.facet.version += 1


class Facet:
    """One side of a table that can be read (its values, its keys, its groups), with the watches on it."""

    __slots__ = ("table", "version", "watches")

    def __init__(self, table: Handle) -> None:
        self.table = table
        self.watches: dict[Any, Watch] = {}
        self.version = 0
        """Another number whenever other keys are watched."""

    def watch(self, key: Hashable) -> Watch:
        watch = self.watches.get(key)
        if watch is None:
            watch = self.watches[key] = Watch(self, key)
            self.version += 1
        return watch

    def fire(self, key: Hashable) -> None:
        """Makes every reader of this key run again."""
        watch = self.watches.get(key)
        if watch is not None:
            for reader in watch.readers():
                reader.dirty[reader.key] = None


class Store:
    """The rows of one table in one graph.

    A write is a draft until its step is done; `publish` then tells the children and the readers. So a row that is
    taken away and given back within one step was never gone.
    """

    __slots__ = ("_drafts", "children", "fan", "log", "presence", "rows", "table", "values")

    def __init__(self, table: Handle) -> None:
        self.table = table
        self.rows: dict[Any, Any] = {}
        self.values = Facet(table)
        self.presence = Facet(table)
        self.children: list[Dirty] = []  # of derivations whose own input this is
        self.log: (
            dict[Any, Any] | None
        ) = {}  # key -> row before the changes published since the last good settle; None: nobody asks
        self.fan: Fan | None = None  # who contends for the keys, when it is a spread table
        self._drafts: dict[Any, Any] = {}  # key -> row before the writes not yet published

    def find(self, key: Hashable) -> Any:
        return self.rows.get(key)

    def view(self) -> Mapping[Any, Any]:
        """The rows, live and read-only."""
        return MappingProxyType(self.rows)

    def write(self, key: Hashable, value: Any) -> None:
        """Sets or deletes (None) a row; an equal value is no write, and the old object stays."""
        self.keep(key, self.fold(value))

    def keep(self, key: Hashable, row: Any) -> None:
        """The same, for what stands for the value."""
        before = self.rows.get(key)
        if same(before, row):
            return
        note(self._drafts, key, before, row)
        if row is None:
            del self.rows[key]
        else:
            self.rows[key] = row

    def fold(self, value: Any) -> Any:
        """The row that stands for the value, waiting or written."""
        return value

    def unfold(self, folded: Any) -> Any:
        """The value that a row stands for."""
        return folded

    def publish(self) -> None:
        drafts, self._drafts = self._drafts, {}
        if not drafts:
            return
        rows, log = self.rows, self.log
        values, presence = self.values.watches, self.presence.watches
        for dirty in self.children:
            dirty.update(dict.fromkeys(drafts))
        for key, before in drafts.items():
            after = rows.get(key)
            if log is not None:
                note(log, key, before, after)
            if values:
                self.values.fire(key)
            if presence and (before is None or after is None):
                self.presence.fire(key)

    def changes(self) -> dict[Any, Change[Any]]:
        """The net changes since this was last asked."""
        log = self.log
        if not log:
            return {}
        self.log = {}
        return {key: Change(self.unfold(before), self.find(key)) for key, before in log.items()}


class Packing(Protocol):
    """How values of one table are kept as bytes. What is unpacked equals what was packed, and equal values have equal bytes: those are what is compared."""

    def pack(self, value: Any, /) -> bytes:
        """The bytes of a value."""
        ...

    def unpack(self, body: bytes, /) -> Any:
        """The value."""
        ...


class PackedStore(Store):
    """A store of values that are seldom read and large as objects: kept as bytes, made anew for each reader."""

    __slots__ = ("_packing",)

    def __init__(self, table: Handle, packing: Packing) -> None:
        super().__init__(table)
        self._packing = packing

    def find(self, key: Hashable) -> Any:
        body = self.rows.get(key)
        return None if body is None else self._packing.unpack(body)

    def view(self) -> Mapping[Any, Any]:
        return _Unpacked(self)

    def fold(self, value: Any) -> Any:
        return None if value is None else self._packing.pack(value)

    def unfold(self, folded: Any) -> Any:
        return None if folded is None else self._packing.unpack(folded)


class _Unpacked(Mapping[Any, Any]):
    """The rows of a packed store, as values."""

    def __init__(self, store: PackedStore) -> None:
        self._store = store

    def __getitem__(self, key: Any) -> Any:
        value = self._store.find(key)
        if value is None:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[Any]:
        return iter(self._store.rows)

    def __len__(self) -> int:
        return len(self._store.rows)


def store_of(table: Handle, packing: Packing | None) -> Store:
    return Store(table) if packing is None else PackedStore(table, packing)


def bare(keys: Iterable[Any]) -> Any:
    """One key as it is, several as a plain tuple: half the memory where most have one. A key that is a plain tuple itself is always wrapped."""
    found = tuple(keys)
    return found[0] if len(found) == 1 and type(found[0]) is not tuple else found


def several(kept: Any) -> tuple[Any, ...]:
    """The keys again."""
    return kept if type(kept) is tuple else (kept,)


def same(a: Any, b: Any) -> bool:
    return a is b or (a is not None and b is not None and bool(a == b))


def note(history: dict[Any, Any], key: Hashable, before: Any, after: Any) -> None:
    """Remembers the first value before a chain of changes; a chain that ends where it began is forgotten."""
    if key not in history:
        history[key] = before
    elif same(history[key], after):
        del history[key]
