"""Free ports on loopback that no parallel test process picks at the same time.

In: nothing. Out: port numbers. A port is reserved by a lock on a small file, held by the process (the kernel drops it
with the process, however that ends), and then tried on 127.0.0.1 and ::1. Ports come from below the range that the kernel
uses for outgoing connections, so none is taken between its choice and its bind.
"""

import fcntl
import functools
import itertools
import os
import random
import socket
import tempfile
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

    def take(self) -> int:
        """A port that is free for TCP and UDP on both loopback addresses and is ours until `close`."""
        start = random.randrange(FIRST, LAST + 1)
        for port in itertools.chain(range(start, LAST + 1), range(FIRST, start)):
            if self._reserve(port):
                return port
        raise PortsExhausted(f"no free port between {FIRST} and {LAST}")

    def close(self) -> None:
        """Give all ports back."""
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
        if not can_bind(port):
            os.close(lock)
            return False
        self._locks[port] = lock
        return True


def can_bind(port: int) -> bool:
    """Whether nothing listens on the port, TCP or UDP, on 127.0.0.1 and (where the machine has it) ::1."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        if family == socket.AF_INET6 and not has_ipv6():
            continue
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(family, kind) as probe:
                if kind == socket.SOCK_STREAM:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
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
    return Ports()


def free_port() -> int:
    """A port that stays reserved until this process ends."""
    return _of_this_process().take()


def free_ports(count: int) -> list[int]:
    """Several different ports, each reserved until this process ends."""
    return [free_port() for _ in range(count)]
