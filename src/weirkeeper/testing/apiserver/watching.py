"""One watch: the changes of one kind after a revision, as lines of JSON, with bookmarks, and with the troubles asked for.

In: a watch request, the shelf of its kind and a place to write to. Out: bytes, until its time is over, it is cut or a
fault ends it. Many changes that wait are written at once.
Semantics: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes and #streaming-lists
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NoReturn

import msgspec

from weirkeeper.testing.apiserver.faults import Fault, Faults, Trouble
from weirkeeper.testing.apiserver.listing import metadata_of
from weirkeeper.testing.apiserver.log import Change, Entry, Log
from weirkeeper.testing.apiserver.refused import Refused, expired, internal, too_large
from weirkeeper.testing.apiserver.request import Asked
from weirkeeper.testing.apiserver.selectors import Selection, selection

Write = Callable[[bytes], Awaitable[None]]
LONGEST = (1800.0, 3600.0)
END_OF_INITIAL = {"annotations": {"k8s.io/initial-events-end": "true"}}
TOO_LARGE_WAIT = 3.0
BEFORE_THE_END = 2.0
"""The last bookmark of a watch comes that long before its end (apiserver/pkg/storage/cacher/cache_watcher.go)."""


class Cut(Exception):
    """The connection of a watch ends here, without a proper end of the stream."""


class Watch:
    """A watch that runs. ``cut`` is set from outside: the stream ends in order (`close`) or not (`abort`)."""

    def __init__(self, log: Log, faults: Faults, asked: Asked, write: Write, *, metadata_only: bool = False,
                 bookmark_every: float = 60.0, watch_list: bool = True) -> None:  # fmt: skip
        self.asked, self.log, self.shelf = asked, log, log.shelf(asked.kind)
        self.cut = ""
        self.sent = 0
        self._faults, self._write = faults, write
        self._wanted: Selection = selection(
            asked.kind, asked.namespace, asked.text("labelSelector"), asked.text("fieldSelector")
        )
        self._metadata_only = metadata_only
        self._bookmarks = asked.flag("allowWatchBookmarks") and self._met(Trouble.NO_BOOKMARKS) is None
        self._bookmark_every = bookmark_every
        self._initial = asked.flag("sendInitialEvents") and watch_list
        self._seconds = float(asked.text("timeoutSeconds") or 0) or random.uniform(*LONGEST)
        self._later_than = 0
        self._slow: Fault | None = None

    def end(self, how: str) -> None:
        """End it now: `close` or `abort`."""
        self.cut = how
        self.shelf.bell.ring()

    async def run(self) -> None:
        """Sends until it is over; raises `Cut` where the connection has to break."""
        if self._met(Trouble.WATCH_LIST_IGNORED):
            self._initial = False
        self._slow = self._met(Trouble.TRICKLE)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._seconds
        if short := self._met(Trouble.SHORT_WATCH):
            deadline = min(deadline, loop.time() + short.seconds)
        try:
            cursor = await self._begin()
            self.shelf.readers[self] = cursor
            await self._follow(cursor, deadline)
        except Refused as refused:
            await self._send(b'{"type":"ERROR","object":' + refused.body + b"}\n")
        finally:
            self.shelf.readers.pop(self, None)

    async def _begin(self) -> int:
        """Sends what is there already, where that is asked for; the sequence number of the first change to follow."""
        wished = self.asked.revision
        if self._at_once(Trouble.GONE_EVENT):
            raise expired(f"too old resource version: {wished or 0} ({self.log.revision})")
        if self._at_once(Trouble.ERROR_EVENT):
            raise internal()
        if not self._initial and wished:
            if wished < self.shelf.compacted:
                raise expired(f"too old resource version: {wished} ({self.shelf.compacted})")
            self._later_than = wished
            return self.shelf.sequence_after(wished)
        if wished and wished > self.log.revision:
            await self._until_fresh(wished)
        revision, cursor = self.log.revision, self.shelf.end
        self.shelf.readers[self] = cursor
        entries = () if self._met(Trouble.EMPTY_LIST) else self.shelf.snapshot(revision)
        if slow := self._met(Trouble.SLOW_LIST):
            await asyncio.sleep(slow.seconds)
        lines = [self._line("ADDED", entry) for entry in entries if self._wanted.wants(entry)]
        dying = self._met(Trouble.DIES_BEFORE_SYNC) if self._initial else None
        await self._events(lines[: dying.after] if dying else lines)
        if dying:
            raise Cut
        if self._initial and self.asked.flag("allowWatchBookmarks"):
            await self._send(self._bookmark(revision, last=True))
        return cursor

    async def _until_fresh(self, wished: int) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + TOO_LARGE_WAIT
        while wished > self.log.revision:
            if loop.time() >= end:
                raise too_large(wished, self.log.revision)
            await self.shelf.bell.wait(min(end - loop.time(), 0.05))

    async def _follow(self, cursor: int, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        only = self._met(Trouble.BOOKMARKS_ONLY) if self._bookmarks else None
        pause = min(only.seconds, 0.5) if only else self._bookmark_every
        bookmark_at = self._next_bookmark(pause, deadline)
        left = 1 + (only.after if only else 0)
        while not self.cut:
            changes = self.shelf.after(cursor)
            if changes:
                if held := self._met(Trouble.HELD_KIND):
                    await asyncio.sleep(held.seconds)
                cursor += len(changes)
                self.shelf.readers[self] = cursor
                await self._events(self._lines(changes))
                continue
            now = loop.time()
            if now >= deadline:
                return
            if self._bookmarks and now >= bookmark_at:
                bookmark_at = self._next_bookmark(pause, deadline)
                if self.log.revision > self._later_than:
                    await self._send(self._bookmark(self.log.revision))
                left -= 1
                if only and not left:
                    self.shelf.compact(self.log.revision)
                    return
            await self.shelf.bell.wait((min(deadline, bookmark_at) if self._bookmarks else deadline) - now)
        if self.cut == "abort":
            raise Cut

    def _next_bookmark(self, pause: float, deadline: float) -> float:
        """Now and then, and shortly before the end, so that a client can resume from as late as possible."""
        now = asyncio.get_running_loop().time()
        last = deadline - BEFORE_THE_END
        return min(now + pause, last) if last > now else now + pause

    def _lines(self, changes: Iterable[Change]) -> list[bytes]:
        """The changes as this watch sees them: what enters or leaves its selection is added or deleted."""
        lines = []
        for change in changes:
            if change.revision <= self._later_than:
                continue
            before, after = self._wanted.wants(change.previous), self._wanted.wants(change.entry)
            if change.what == "DELETED" and before:
                lines.append(self._line("DELETED", change.entry))
            elif change.what != "DELETED" and (before or after):
                what = ("MODIFIED" if before else "ADDED") if after else "DELETED"
                lines.append(self._line(what, change.entry if after else _gone(change)))
        return lines

    async def _events(self, lines: Sequence[bytes]) -> None:
        ready: list[bytes] = []
        if lines and self._met(Trouble.DUPLICATES):
            lines = [again for line in lines for again in (line, line)] + list(lines[:1])
        for line in lines:
            fault = self._in_stream()
            if fault is not None:
                await self._send(b"".join(ready))
                await self._strike(fault, line)
            self.sent += 1
            ready.append(line)
        await self._send(b"".join(ready))

    def _in_stream(self) -> Fault | None:
        """The fault that strikes at the next event, if any."""
        asked, troubles = self.asked, (Trouble.CUT_JSON, Trouble.STALL, Trouble.GONE_EVENT, Trouble.ERROR_EVENT)
        return self._faults.find(troubles, "watch", asked.kind.plural, namespace=asked.namespace, sent=self.sent)

    async def _strike(self, fault: Fault, line: bytes) -> NoReturn:
        match fault.what:
            case Trouble.CUT_JSON:
                await self._send(line[: len(line) // 2])
                raise Cut
            case Trouble.STALL:
                while not self.cut:
                    await self.shelf.bell.wait(LONGEST[1])
                raise Cut
            case Trouble.GONE_EVENT:
                raise expired(f"too old resource version: 1 ({self.log.revision})")
            case _:
                raise internal()

    async def _send(self, data: bytes) -> None:
        if not data:
            return
        if self._slow is None:
            await self._write(data)
            return
        step = max(len(data) // 8, 7)
        for at in range(0, len(data), step):
            await self._write(data[at : at + step])
            await asyncio.sleep(self._slow.seconds / 10)

    def _line(self, what: str, entry: Entry) -> bytes:
        body = metadata_of(entry) if self._metadata_only else entry.body
        return b'{"type":"%s","object":%s}\n' % (what.encode(), body)

    def _bookmark(self, revision: int, *, last: bool = False) -> bytes:
        kind = self.asked.kind
        named = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
        if not self._metadata_only:
            named = {"kind": kind.kind, "apiVersion": kind.api_version}
        metadata = {"resourceVersion": str(revision)} | (END_OF_INITIAL if last else {})
        body = msgspec.json.encode(named | {"metadata": metadata})
        return b'{"type":"BOOKMARK","object":' + body + b"}\n"

    def _at_once(self, trouble: Trouble) -> bool:
        asked = self.asked
        return self._faults.find((trouble,), "watch", asked.kind.plural, namespace=asked.namespace, sent=0) is not None

    def _met(self, trouble: Trouble) -> Fault | None:
        return self._faults.find((trouble,), "watch", self.asked.kind.plural, namespace=self.asked.namespace)


def _gone(change: Change) -> Entry:
    """What left the selection is told as it was before, under the revision of the change."""
    assert change.previous is not None
    body = change.previous.object
    body["metadata"]["resourceVersion"] = str(change.revision)
    return msgspec.structs.replace(change.previous, body=msgspec.json.encode(body), revision=change.revision)
