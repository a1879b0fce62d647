"""The last good configuration on disk, so that a restart without an API server serves what was served before.

Comes in: the items that engines should have. Goes out: one file, replaced as a whole; and the items of such a file. The file is refused when its digest or format
is another, when a version of the product wrote it that is newer by more than one minor version, or another install: never half-used. (One step back is a rollback.) Bodies of private items (keys) are only kept where the folder is in memory
(tmpfs); elsewhere they are withheld: engines that run keep what they hold of them.

Only compiled items are kept, no objects: nothing is decided from a snapshot but what to serve until the objects are there.
"""

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from weirkeeper.providers.base import EngineItem, ItemKey
from weirkeeper.runtime.logging import Log

MAGIC = b"weirkeeper snapshot 1\n"
DIGEST = 64
TMPFS = ("tmpfs", "ramfs")

Items = Mapping[str, Mapping[ItemKey, EngineItem]]
"""Items by provider."""


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One item."""

    provider: str
    key: ItemKey
    item: EngineItem


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds: when it was written (seconds since 1970), by which version of the product, for which install, and the items."""

    written: float
    version: str
    install: str = ""
    rows: tuple[Row, ...] = ()

    def items(self) -> dict[str, dict[ItemKey, EngineItem]]:
        """The items by provider."""
        found: dict[str, dict[ItemKey, EngineItem]] = {}
        for row in self.rows:
            found.setdefault(row.provider, {})[row.key] = row.item
        return found


class Snapshot:
    """The file of one install."""

    def __init__(
        self, folder: Path, version: str, log: Log, *, install: str = "", in_memory: bool | None = None
    ) -> None:
        """`install` says whose it is: the file of another install is refused, of one that did not say so not."""
        self._path = folder / "last-good.snapshot"
        self._version, self._install = version, install
        self._log = log
        self.in_memory = is_in_memory(folder) if in_memory is None else in_memory
        self.written = 0.0
        """When the file was last written, in seconds since 1970; 0: not in this run."""

    def save(self, items: Items, now: float) -> None:
        """Write all items. Blocks; meant for a thread."""
        rows = [
            Row(provider, key, item if self.in_memory or not item.private else _withheld(item))
            for provider, many in items.items()
            for key, item in many.items()
        ]
        body = _encoder.encode(Kept(written=now, version=self._version, install=self._install, rows=tuple(rows)))
        _write(self._path, MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        self.written = now

    def load(self) -> Kept | str:
        """What the file holds, or why it can't be used."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return "there is none"
        except OSError as error:
            return f"it cannot be read: {error.strerror}"
        kept = opened(content, self._version)
        if isinstance(kept, Kept) and self._install and kept.install not in {"", self._install}:
            return f"it is that of another install: {kept.install}"
        return kept

    async def keep(self, items: Callable[[], Items], changed: asyncio.Event, pause: float) -> None:
        """Write whenever something changed, at most once a pause, until cancelled; then once more."""
        try:
            while True:
                await changed.wait()
                changed.clear()
                await asyncio.to_thread(self._saved, items())
                await asyncio.sleep(pause)
        finally:
            if changed.is_set():
                self._saved(items())

    def _saved(self, items: Items) -> None:
        try:
            self.save(items, time.time())
        except OSError as error:
            self._log.warning("the last good configuration could not be written", path=self._path, why=error)


def opened(content: bytes, version: str) -> Kept | str:
    """What these bytes hold, or why they are refused."""
    head = len(MAGIC) + DIGEST + 1
    if not content.startswith(MAGIC) or len(content) < head:
        return "it has another format"
    body = content[head:]
    if hashlib.sha256(body).hexdigest().encode() + b"\n" != content[len(MAGIC) : head]:
        return "it is damaged: its digest is another"
    try:
        kept = _decoder.decode(body)
    except msgspec.MsgspecError as error:
        return f"it cannot be decoded: {error}"
    return f"a much newer version wrote it: {kept.version}" if _too_new(kept.version, version) else kept


def is_in_memory(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> bool:
    """Whether files there never reach a disk: the mount that holds the folder is a tmpfs (proc(5)). Unknown counts as no."""
    try:
        lines = [line.split() for line in mounts.read_text("utf-8", "replace").splitlines()]
    except OSError:
        return False
    place = folder.resolve()
    over = [
        (len(Path(_path(fields[1])).parts), n, fields[2])
        for n, fields in enumerate(lines)
        if place.is_relative_to(_path(fields[1]))
    ]
    return bool(over) and max(over)[2] in TMPFS


def _path(mounted: str) -> str:
    """A mount point as proc(5) writes it, with blanks as octal."""
    return mounted.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")


def _withheld(item: EngineItem) -> EngineItem:
    return msgspec.structs.replace(item, body=b"", tail=b"", withheld=True)


def _too_new(theirs: str, ours: str) -> bool:
    """Whether more than one minor version lies between."""
    major, minor = (*_parts(ours), 0, 0)[:2]
    return _parts(theirs)[:2] > (major, minor + 1)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Kept)
