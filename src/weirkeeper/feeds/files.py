"""The feed of manifest files: a folder, one file, or standard input, read once or followed.

Comes in: a path. Goes out: `Seen` and `Synced` to whoever takes events. Here are the loop and the file events; what a look at a file means is `tree.py`.

Events come from watchfiles (inotify on Linux), which collects them in steps: with its default of 50 ms a change is known after 90 ms; with `STEP_MS` it takes
3 ms, for 1 % of a core while nothing happens. Events can be lost (a queue of the kernel overflows, a folder is filled before it is watched), so a new
folder is looked at twice, and now and then everything's stamps are compared.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path
from typing import TextIO

from watchfiles import Change, awatch

from weirkeeper.feeds.base import Offer, Seen, Synced
from weirkeeper.feeds.decode import Decoder
from weirkeeper.feeds.names import MOUNT_SWITCH
from weirkeeper.feeds.reading import read_text
from weirkeeper.feeds.tree import FileTree

NAME = "files"
STEP_MS = 2
COLLECT_MS = 20
"""The longest that a stream of events is collected before it is looked at."""
TICK_SECONDS = 0.5
COMPARE_SECONDS = 30.0
INLINE = 32
"""Up to so many paths are read on the loop (0.2 ms each); more are read in a thread."""

Clock = Callable[[], float]
Changes = AsyncGenerator[set[tuple[Change, str]], None]


class FilesFeed:
    """Follows a folder or file for as long as it runs."""

    name = NAME

    def __init__(self, tree: FileTree, kinds: Iterable[str], offer: Offer, clock: Clock = time.monotonic) -> None:
        self._tree = tree
        self._synced = Synced(feed=NAME, kinds=tuple(kinds))
        self._offer = offer
        self._clock = clock
        self._twice: list[str] = []  # folders that came a moment ago
        self._compared = clock()

    async def run(self) -> None:
        """Offer everything once, then every change, until cancelled."""
        while True:
            identity = _identity(self._tree.root)
            watched = self._watched()
            events = awatch(
                watched, watch_filter=None, step=STEP_MS, debounce=COLLECT_MS, rust_timeout=int(TICK_SECONDS * 1000),
                yield_on_timeout=True, recursive=watched == self._tree.root,
            )  # fmt: skip
            try:
                await self._follow(events, identity)
            finally:
                await events.aclose()

    def _watched(self) -> str:
        """The folder to watch: the root, or its parent where the root is a file (it is replaced by renaming) or not there."""
        path = Path(self._tree.root)
        while not path.is_dir():
            path = path.parent
        return str(path)

    async def _follow(self, events: Changes, identity: object) -> None:
        upcoming = _next(events)
        await asyncio.sleep(0)  # its first step, taken now, sets up the watch: what changes from here on is an event
        try:
            self._say(await asyncio.to_thread(self._tree.scan, self._clock()), self._synced)
            while _identity(self._tree.root) == identity:
                done, _ = await asyncio.wait((upcoming,), timeout=self._patience())
                if done:
                    batch, upcoming = upcoming.result(), _next(events)
                    await self._look(batch)
                self._say(self._tree.look_again(self._clock()))
        finally:
            upcoming.cancel()
            await asyncio.wait((upcoming,))

    def _patience(self) -> float | None:
        due = self._tree.due
        return None if due is None else max(0.0, due - self._clock())

    async def _look(self, batch: set[tuple[Change, str]]) -> None:
        paths = sorted({path for _, path in batch})
        again, self._twice = self._twice, [path for change, path in batch if change is Change.added and _is_dir(path)]
        if any(os.path.basename(path) == MOUNT_SWITCH for path in paths) or self._must_compare():  # noqa: PTH119
            self._compared = self._clock()
            self._say(await asyncio.to_thread(self._tree.scan, self._clock()))
        elif len(paths) > INLINE or again or self._twice:
            self._say(await asyncio.to_thread(self._tree.touch, [*paths, *again], self._clock()))
        else:
            self._say(self._tree.touch(paths, self._clock()))

    def _must_compare(self) -> bool:
        return self._clock() - self._compared > COMPARE_SECONDS

    def _say(self, seen: list[Seen], *more: Synced) -> None:
        if seen or more:
            self._offer((*seen, *more))


def read_folder(root: Path, decoder: Decoder) -> tuple[list[Seen], FileTree]:
    """Everything in a folder or file, read once, and the tree that knows where each object is written."""
    tree = FileTree(root, decoder)
    return tree.scan(0.0), tree


def read_stream(stream: TextIO, decoder: Decoder, name: str = "-") -> list[Seen]:
    """Everything in a text that was piped in."""
    reading = read_text(stream.read(), name, decoder)
    objects = [Seen(ref=ref, object=entry.object, problem=entry.problem) for ref, entry in reading.objects.items()]
    return [*objects, *(Seen(ref=ref, problem=problem) for ref, problem in reading.places.items())]


def _next(events: Changes) -> "asyncio.Task[set[tuple[Change, str]]]":
    return asyncio.ensure_future(_one(events))


async def _one(events: Changes) -> set[tuple[Change, str]]:
    return await anext(events)


def _identity(path: str) -> object:
    """What tells that a path leads to another folder than before. A file may be replaced: its folder is watched."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if _is_dir(path) else "file"


def _is_dir(path: str) -> bool:
    return os.path.isdir(path)  # noqa: PTH112
