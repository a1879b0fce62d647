"""The revision log: every object as bytes, every change in order, as etcd and the watch cache keep them.

In: objects to keep or to remove. Out: entries, snapshots at a revision, and the changes after one. One counter for all
kinds; each kind has a `Shelf`. Encoding happens once for each change; lists and watches send the same bytes.
No rules of the API live here, and no HTTP.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from weirkeeper.testing.apiserver.kinds import ServedKind

Json = dict[str, Any]
Name = tuple[str, str]
What = Literal["ADDED", "MODIFIED", "DELETED"]
HISTORY = 200_000


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One object at one revision. ``selectable`` are the values of the fields that field selectors may name."""

    namespace: str
    name: str
    uid: str
    revision: int
    labels: dict[str, str]
    selectable: dict[str, str]
    body: bytes

    @property
    def object(self) -> Json:
        """The object, decoded anew, so that it may be changed."""
        decoded: Json = msgspec.json.decode(self.body)
        return decoded


class Change(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One step of a kind's history; ``entry`` of a deletion is the object as it was, with the deletion's revision."""

    what: What
    entry: Entry
    previous: Entry | None

    @property
    def revision(self) -> int:
        """When it happened."""
        return self.entry.revision


class Bell:
    """Wakes everyone who waits for it."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        """Wake all who wait now."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()

    async def wait(self, seconds: float) -> None:
        """Return when it rings, or after that many seconds."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(seconds, 0)):
                    await waiter
        finally:
            self._waiting.discard(waiter)


class Shelf:
    """The objects and the history of one kind. ``first`` is the sequence number of the oldest change still kept."""

    def __init__(self, kind: ServedKind) -> None:
        self.kind = kind
        self.objects: dict[Name, Entry] = {}
        self.changes: list[Change] = []
        self.first = 0
        self.compacted = 0
        self._forgotten = 0  # revision of the last change that is no longer kept
        self.bell = Bell()
        self.readers: dict[object, int] = {}
        self._snapshot: tuple[int, tuple[Entry, ...]] | None = None

    @property
    def end(self) -> int:
        """The sequence number that the next change will get."""
        return self.first + len(self.changes)

    def after(self, sequence: int) -> list[Change]:
        """The changes from that sequence number on."""
        return self.changes[max(sequence - self.first, 0) :]

    def sequence_after(self, revision: int) -> int:
        """The sequence number of the first change later than a revision."""
        low, high = 0, len(self.changes)
        while low < high:
            middle = (low + high) // 2
            if self.changes[middle].revision <= revision:
                low = middle + 1
            else:
                high = middle
        return self.first + low

    def record(self, change: Change) -> None:
        """Keep a change and wake the watches."""
        key = (change.entry.namespace, change.entry.name)
        if change.what == "DELETED":
            del self.objects[key]
        else:
            self.objects[key] = change.entry
        self.changes.append(change)
        self.bell.ring()
        if len(self.changes) > 2 * HISTORY:
            self.compact(self.changes[-HISTORY].revision)

    def snapshot(self, revision: int) -> tuple[Entry, ...]:
        """All objects as they were at a revision, in the order of their keys."""
        back = self.after(self.sequence_after(revision))
        exact = back[0].revision - 1 if back else revision
        last = self.changes[-len(back) - 1].revision if len(back) < len(self.changes) else self._forgotten
        if self._snapshot is not None and last <= self._snapshot[0] <= exact:
            return self._snapshot[1]
        objects = dict(self.objects)
        for change in reversed(back):
            key = (change.entry.namespace, change.entry.name)
            if change.previous is None:
                del objects[key]
            else:
                objects[key] = change.previous
        entries = tuple(entry for _, entry in sorted(objects.items()))
        self._snapshot = (revision, entries)
        return entries

    def compact(self, revision: int) -> None:
        """Forget what lies before a revision; a change that a running watch has yet to send is kept for it."""
        self.compacted = max(self.compacted, revision)
        safe = min([self.sequence_after(revision), *self.readers.values()])
        if safe > self.first:
            self._forgotten = self.changes[safe - self.first - 1].revision
            del self.changes[: safe - self.first]
            self.first = safe

    def go_back(self, revision: int) -> None:
        """Be as at a revision, without a memory of what came later."""
        self.objects = {(entry.namespace, entry.name): entry for entry in self.snapshot(revision)}
        del self.changes[max(self.sequence_after(revision) - self.first, 0) :]
        self._snapshot = None


class Log:
    """All kinds and the one revision counter."""

    def __init__(self, *, revision: int = 100) -> None:
        self.revision = revision
        self.shelves: dict[tuple[str, str], Shelf] = {}

    def shelf(self, kind: ServedKind) -> Shelf:
        """The shelf of a kind."""
        found = self.shelves.get(kind.key)
        if found is None:
            found = self.shelves[kind.key] = Shelf(kind)
        return found

    def keep(self, kind: ServedKind, body: Json) -> Entry:
        """Keep an object, new or changed, under the next revision."""
        shelf = self.shelf(kind)
        metadata = body["metadata"]
        previous = shelf.objects.get((metadata.get("namespace", ""), metadata["name"]))
        self.revision += 1
        entry = _entry(kind, body, self.revision)
        shelf.record(Change(what="ADDED" if previous is None else "MODIFIED", entry=entry, previous=previous))
        return entry

    def drop(self, kind: ServedKind, key: Name) -> Entry:
        """Remove an object; what is returned carries the revision of its deletion."""
        shelf = self.shelf(kind)
        previous = shelf.objects[key]
        self.revision += 1
        entry = _entry(kind, previous.object, self.revision)
        shelf.record(Change(what="DELETED", entry=entry, previous=previous))
        return entry

    def compact(self, revision: int) -> None:
        """Forget the history before a revision."""
        for shelf in self.shelves.values():
            shelf.compact(revision)

    def go_back(self, revision: int) -> None:
        """Be as at a revision, as after an etcd restored from a backup; revisions that follow are given a second time."""
        for shelf in self.shelves.values():
            shelf.go_back(revision)
        self.revision = min(self.revision, revision)

    def everything(self) -> Iterator[Entry]:
        """All objects of all kinds."""
        for shelf in self.shelves.values():
            yield from shelf.objects.values()


def _entry(kind: ServedKind, body: Json, revision: int) -> Entry:
    metadata = body["metadata"]
    metadata["resourceVersion"] = str(revision)
    ordered = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
    ordered |= {key: value for key, value in body.items() if key not in ordered}
    return Entry(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=metadata["uid"],
        revision=revision,
        labels=metadata.get("labels") or {},
        selectable={field: _at(body, field) for field in kind.fields},
        body=msgspec.json.encode(ordered),
    )


def _at(body: Json, field: str) -> str:
    found: Any = body
    for step in field.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    if isinstance(found, bool):
        return str(found).lower()
    return "" if found is None else str(found)
