"""Free ports on loopback that no parallel test process picks at the same time.

In: nothing. Out: port numbers, and who listens on one. A port is reserved by a lock on a small file, held by the process (the
kernel drops it with the process, however that ends), and then tried on 127.0.0.1 and ::1. Ports come from below the range that the
kernel uses for outgoing connections, so none is taken between its choice and its bind. Besides, the process keeps a socket bound to
it that does not listen: whoever does not know of the locks sees it, and servers, which say SO_REUSEADDR, may bind beside it.
"""

import atexit
import contextlib
import fcntl
import functools
import itertools
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

FIRST, LAST = 15000, 32767  # Linux hands out 32768-60999 for outgoing connections


class PortsExhausted(RuntimeError):
    """Every port of the range is locked or bound."""


class Ports:
    """A set of reserved ports; closing it gives them back."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir()) / f"weirkeeper-ports-{os.getuid()}"
        self._folder.mkdir(mode=0o700, exist_ok=True, parents=True)
        self._locks: dict[int, int] = {}
        self._held: list[socket.socket] = []

    def take(self) -> int:
        """A port that is free for TCP and UDP on both loopback addresses and is ours until `close`."""
        start = random.randrange(FIRST, LAST + 1)
        for port in itertools.chain(range(start, LAST + 1), range(FIRST, start)):
            if self._reserve(port):
                return port
        raise PortsExhausted(f"no free port between {FIRST} and {LAST}")

    def close(self) -> None:
        """Give all ports back."""
        while self._held:
            self._held.pop().close()
        while self._locks:
            os.close(self._locks.popitem()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _reserve(self, port: int) -> bool:
        if port in self._locks:
            return False
        lock = os.open(self._folder / str(port), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        held = _bound(port) if can_bind(port) else None
        if held is None:
            os.close(lock)
            return False
        self._locks[port] = lock
        self._held.append(held)
        return True


def _bound(port: int) -> socket.socket | None:
    """A socket that has the port and does not listen. Engines share theirs among processes (SO_REUSEPORT): without this one, two could answer on it."""
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        held.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        held.bind(("127.0.0.1", port))
    except OSError:  # somebody was faster
        held.close()
        return None
    return held


def listeners(port: int) -> dict[int, str]:
    """The processes that listen on a TCP port here, with their command lines; for the message of a test that was answered by a stranger."""
    inodes = {inode for table in ("tcp", "tcp6") for inode in _listening(Path("/proc/net") / table, port)}
    found: dict[int, str] = {}
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and any(inode in _sockets(process) for inode in inodes):
            with contextlib.suppress(OSError):
                found[int(process.name)] = (
                    (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                )
    return found


def _listening(table: Path, port: int) -> Iterator[str]:
    """The inodes of listening sockets in a table of the kernel (proc(5))."""
    for line in table.read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
            yield fields[9]


def _sockets(process: Path) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
    return found


def can_bind(port: int) -> bool:
    """Whether nothing has the port, TCP or UDP, on 127.0.0.1 and (where the machine has it) ::1."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        if family == socket.AF_INET6 and not has_ipv6():
            continue
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(
                family, kind
            ) as probe:  # without SO_REUSEADDR, which would not see a socket that does not listen
                try:
                    probe.bind((address, port))
                except OSError:
                    return False
    return True


@functools.cache
def has_ipv6() -> bool:
    """Whether ::1 can be bound on this machine."""
    if not socket.has_ipv6:
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@functools.cache
def _of_this_process() -> Ports:
    ports = Ports()
    atexit.register(ports.close)
    return ports


def free_port() -> int:
    """A port that stays reserved until this process ends."""
    return _of_this_process().take()


def free_ports(count: int) -> list[int]:
    """Several different ports, each reserved until this process ends."""
    return [free_port() for _ in range(count)]
