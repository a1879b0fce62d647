"""What every engine should have: one store of items for all streams, and a log so that a stream reads only what changed.

Comes in: changes of ``EngineItem`` and what engines said of them. Goes out: the item that an engine of a given version should have. Pure: no
stream, no clock.

A ``Shelf`` holds one load balancer. Its log is an ordered dict from key to the number of its last change; a stream remembers the number up to
which it has read and walks back from the end. Refused versions are kept per engine version. An item that changed keeps the version that was
last accepted until the new one is; that version stands in where the new one is refused, and what it needs is not thrown away either.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from weirkeeper.distribute.blame import rivals
from weirkeeper.distribute.kinds import CDS, EDS, SDS, SERVER_NAME
from weirkeeper.model.text import Id
from weirkeeper.providers.base import EngineItem, ItemChanges, ItemKey

Key = tuple[str, str]
"""Kind and name: the identity of an item within its load balancer."""

TOMBSTONES = 10_000


class Entry:
    """An item as it is wished, and the one that engines took before it."""

    __slots__ = ("accepted", "fallback", "item", "leaving")

    def __init__(self, item: EngineItem, fallback: EngineItem | None) -> None:
        self.item = item
        self.fallback = fallback
        self.accepted = False
        self.leaving = False


class Refusal(NamedTuple):
    """A version that engines do not take, their words, and the other items that they named."""

    version: str
    why: str
    rivals: frozenset[str]


class Shelf:
    """The items of one load balancer."""

    def __init__(self) -> None:
        self.entries: dict[Key, Entry] = {}
        self.names: dict[str, dict[str, None]] = {}
        self.number = 0
        self._log: dict[Key, int] = {}
        self._floor = 0
        self._gone = 0
        self._refused: dict[tuple[str, str, str], Refusal] = {}
        self._rivals: dict[Key, dict[tuple[str, str, str], None]] = {}
        self._stands_on: Counter[Key] = Counter()
        self._serves: dict[str, set[str]] = {}
        self._defaults: set[str] = set()
        self._bound: dict[str, str] = {}

    def put(self, key: Key, item: EngineItem | None) -> bool:
        """Wish an item, or its absence. False where nothing changed."""
        entry = self.entries.get(key)
        if item is None:
            return entry is not None and not entry.leaving and self._leave(key, entry)
        if entry is not None and entry.item == item:
            entry.leaving = False
            return False
        self._replace(key, entry, item)
        self._write(key)
        return True

    def wished(self, key: Key, engine: str) -> EngineItem | None:
        """The item that an engine of this version should have: the wished one, else the last one that was accepted."""
        entry = self.entries.get(key)
        if entry is None:
            return None
        if self._refused and self.refusal(key, engine) is not None:
            return entry.fallback
        return entry.item

    def refusal(self, key: Key, engine: str) -> str | None:
        """Why engines of this version do not take the item as it is wished now, or None."""
        entry, row = self.entries.get(key), self._refused.get((engine, *key))
        return row.why if entry is not None and row is not None and row.version == entry.item.version else None

    def refuse(self, key: Key, version: str, engine: str, why: str, message: str = "") -> None:
        """An engine refused this version, sent alone. Items that its message names may share the blame: when one changes, it is tried again."""
        found = rivals(message or why, key[1], self.names.get(key[0], {}))
        self._refused[engine, *key] = Refusal(version, why, found)
        for rival in found:
            self._rivals.setdefault((key[0], rival), {})[engine, *key] = None
        self._write(key)

    def forgive(self, key: Key, engine: str, version: str | None = None) -> None:
        """Let engines of this version try again what they refused; where an item's version is given, only if it was that one."""
        row = self._refused.get((engine, *key))
        if row is not None and version in {None, row.version}:
            del self._refused[engine, *key]
            self._write(key)

    def accept(self, key: Key, version: str) -> None:
        """An engine took this version; what stood in for it is no longer kept."""
        entry = self.entries.get(key)
        if entry is not None and not entry.accepted and entry.item.version == version:
            entry.accepted = True
            self._drop_fallback(entry)

    def changed_since(self, number: int) -> list[Key] | None:
        """Keys that changed after that point, oldest first; None where the log no longer reaches that far back."""
        if number < self._floor:
            return None
        found = []
        for key in reversed(self._log):
            if self._log[key] <= number:
                break
            found.append(key)
        found.reverse()
        return found

    def secret(self, hostname: str) -> str | None:
        """The name of the certificate for a name that a client asked for: exact, one label up, else the default.

        At each step what was bound to the name goes before certificates that merely hold it.
        """
        host = hostname.lower()
        for name in (host, "*." + host.partition(".")[2]):
            bound = self._bound.get(name)
            if bound is not None and (SDS, bound) in self.entries:
                return bound
            if name in self._serves:
                return min(self._serves[name])
        return min(self._defaults) if self._defaults else None

    def exact(self, hostname: str) -> bool:
        """Whether there is a certificate for just this name, as it is written."""
        return hostname in self._bound or hostname in self._serves

    def _replace(self, key: Key, old: Entry | None, item: EngineItem) -> None:
        fresh = Entry(item, None)
        if old is not None:
            self._unindex(key, old.item)
            if old.item.version == item.version:
                fresh.accepted = old.accepted
            stand_in = old.item if old.accepted and not fresh.accepted else old.fallback
            self._take_fallback(fresh, stand_in)
            self._drop_fallback(old)
        self.entries[key] = fresh
        self._pardon(key)
        self.names.setdefault(key[0], {})[key[1]] = None
        self._index(key, item)

    def _leave(self, key: Key, entry: Entry) -> bool:
        if self._stands_on[key] or (key[0] == EDS and self._stands_on[CDS, key[1]]):
            entry.leaving = True
            return False
        del self.entries[key], self.names[key[0]][key[1]]
        self._unindex(key, entry.item)
        self._drop_fallback(entry)
        if self._refused:
            self._refused = {k: v for k, v in self._refused.items() if (k[1], k[2]) != key}
        self._pardon(key)
        self._write(key)
        self._bury()
        return True

    def _take_fallback(self, entry: Entry, item: EngineItem | None) -> None:
        entry.fallback = item
        if item is not None:
            self._stands_on.update(item.needs)

    def _drop_fallback(self, entry: Entry) -> None:
        item, entry.fallback = entry.fallback, None
        for need in item.needs if item is not None else ():
            self._stands_on[need] -= 1
            if not self._stands_on[need]:
                del self._stands_on[need]
                self._let_go((need, (EDS, need[1])) if need[0] == CDS else (need,))

    def _let_go(self, keys: Iterable[Key]) -> None:
        for key in keys:
            entry = self.entries.get(key)
            if entry is not None and entry.leaving:
                self._leave(key, entry)

    def _pardon(self, key: Key) -> None:
        """Lift refusals that named this item: what was refused beside it may be taken now."""
        for engine, kind, name in self._rivals.pop(key, ()):
            if self._refused.pop((engine, kind, name), None) is not None:
                self._write((kind, name))

    def _write(self, key: Key) -> None:
        self.number += 1
        self._log.pop(key, None)
        self._log[key] = self.number

    def _bury(self) -> None:
        self._gone += 1
        if self._gone > TOMBSTONES:
            self._gone, self._floor = 0, self.number
            self._log = {k: n for k, n in self._log.items() if k in self.entries}

    def _index(self, key: Key, item: EngineItem) -> None:
        if key[0] == SDS:
            for host in item.serves:
                self._serves.setdefault(host.lower(), set()).add(key[1])
            if item.default:
                self._defaults.add(key[1])
        elif key[0] == SERVER_NAME:
            self._bound[key[1].lower()] = item.whole.decode()

    def _unindex(self, key: Key, item: EngineItem) -> None:
        if key[0] == SDS:
            for host in item.serves:
                names = self._serves[host.lower()]
                names.discard(key[1])
                if not names:
                    del self._serves[host.lower()]
            self._defaults.discard(key[1])
        elif key[0] == SERVER_NAME:
            self._bound.pop(key[1].lower(), None)


class DesiredStore:
    """The shelves of all load balancers."""

    def __init__(self) -> None:
        self.shelves: dict[Id, Shelf] = {}

    def shelf(self, load_balancer: Id) -> Shelf:
        """The shelf of a load balancer; an engine may connect before anything is wished for it."""
        return self.shelves.setdefault(load_balancer, Shelf())

    def put(self, changes: ItemChanges) -> set[Id]:
        """Wish these items; returns the load balancers for which anything changed."""
        touched = set()
        for key, item in changes.items():
            shelf = self.shelf(key.load_balancer)
            before = shelf.number
            shelf.put((key.kind, key.name), item)
            if shelf.number != before:
                touched.add(key.load_balancer)
        return touched

    def replace(self, items: Mapping[ItemKey, EngineItem]) -> set[Id]:
        """Wish these items and no others."""
        gone: dict[ItemKey, EngineItem | None] = {
            key: None
            for name, shelf in self.shelves.items()
            for kind, item in shelf.entries
            if (key := ItemKey(name, kind, item)) not in items
        }
        return self.put({**items, **gone})
