"""Processes of engines on this machine, as every provider that runs one needs them: told apart from strangers, waited for, reaped; and one control plane a state folder.

Comes in: process ids, paths. Goes out: whether a process lives and since when, its end, a lock, files in one go. Linux: /proc and pidfds. Nothing of any engine may live here.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

LOOK = 0.1
_PIECES = 10


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A process: its id, and when it began (``started``)."""

    pid: int
    started: int


def started(pid: int) -> int | None:
    """The start time of a living process in clock ticks since boot; None for none, or one that only waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def command_of(pid: int) -> list[bytes]:
    """The words of a process's command line; none where there is no such process. In the moment of its beginning they are all empty."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def name_of(pid: int) -> tuple[str, int] | None:
    """The name of a living process and its parent's pid: what everybody may read (proc(5)); None for none."""
    try:
        _, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")
    except OSError:
        return None
    name, _, fields = rest.rpartition(")")
    return name, int(fields.split()[1])


def is_ours(pid: int, began: int, word: Path) -> bool:
    """Whether the process with this pid began then, lives, and has that path in its command line."""
    command = command_of(pid)
    return started(pid) == began and (not any(command) or str(word).encode() in command)


@contextlib.asynccontextmanager
async def own_time(seconds: float) -> AsyncIterator[None]:
    """As ``asyncio.timeout``, with a `TimeoutError` after these seconds of our own time: while this process did not run it heard nobody, and nobody else is to blame.

    A timer alone would be over after such a pause, and an answer that lay there all the while would be lost. So the time is counted in pieces, of which one pause takes one.
    """
    loop = asyncio.get_running_loop()
    pieces: list[asyncio.TimerHandle] = []

    def begin(left: int) -> None:
        if left:
            pieces.append(loop.call_later(seconds / _PIECES, begin, left - 1))
        else:
            limit.reschedule(loop.time())

    async with asyncio.timeout(None) as limit:
        begin(_PIECES)
        try:
            yield
        finally:
            pieces[-1].cancel()


async def ended(pid: int, began: int) -> None:
    """Returns when the process that began then has ended, be it our child or not."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, done.set)
    try:
        while started(pid) == began and not done.is_set():
            await done.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    reap(pid)


def reap(pid: int) -> None:
    """Take the end of a child into account, if it is one and has ended."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def trim(path: Path, older: Path, most: int) -> None:
    """Begin a log anew where it has more bytes than that; what was in it is kept once, up to as many bytes."""
    with contextlib.suppress(OSError):
        if path.stat().st_size <= most:
            return
        with path.open("r+b") as log, older.open("wb") as kept:
            log.seek(-most, os.SEEK_END)
            shutil.copyfileobj(log, kept, length=1 << 20)
            log.truncate(0)


async def connected(socket: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to a Unix socket wherever it lies: a name has 107 bytes at most (unix(7)), so it goes by way of the folder."""
    folder = os.open(socket.parent, os.O_PATH | os.O_CLOEXEC)
    try:
        return await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/{socket.name}")
    finally:
        os.close(folder)


def size(path: Path) -> int:
    """How many bytes a file has; none where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def since(path: Path, place: int) -> str:
    """What a log says from that byte on, as far as it is one mebibyte."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(place)
        return file.read(1 << 20).decode(errors="replace")
    return ""


def write(path: Path, content: bytes) -> None:
    """Write a file in one go, for this user alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    beside.touch(mode=0o600)
    beside.write_bytes(content)
    beside.replace(path)


@contextlib.asynccontextmanager
async def alone(path: Path) -> AsyncIterator[None]:
    """One control plane a state folder: waits until the last one is gone. A killed one's lock is gone with it."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        while not _locked(descriptor):  # noqa: ASYNC110 (another process holds it)
            await asyncio.sleep(LOOK)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
