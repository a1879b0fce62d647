"""Connections that are known to be on a certain worker, and asking them until the answer is right.

*How a connection's worker is known.* Envoy has a listening socket a worker (SO_REUSEPORT); the kernel chooses among them by a hash of the four addresses, so a
source port always meets the same worker. Each source port is tried once while nobody else connects, and the listener's counter `worker_N.downstream_cx_total`
that went up says which worker it was.
"""

import contextlib
import re
import socket
import ssl
import struct
import time

from bench.stand import WORKERS, Plane
from weirkeeper.testing.ports import free_port

PAUSE = 0.0002
PATIENCE = 60.0
COUNTER = re.compile(r"listener\.[^\n]*?_(\d+)\.worker_(\d+)\.downstream_cx_total: (\d+)")


class WrongAnswer(AssertionError):
    """An answer that was right neither before nor after: the run is void."""


def worker_counts(plane: Plane, port: int) -> dict[int, int]:
    """Connections that each worker of a listener has ever taken."""
    found = COUNTER.findall(plane.admin("/stats?filter=worker_.*downstream_cx_total"))
    return {int(worker): int(count) for on, worker, count in found if int(on) == port}


def connect(port: int, source: int = 0, seconds: float = PATIENCE) -> socket.socket:
    made = socket.socket()
    made.settimeout(seconds)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed by RST: the source port is free at once
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        if source:
            made.bind(("127.0.0.1", source))
        made.connect(("127.0.0.1", port))
    except OSError:
        made.close()
        raise
    return made


def source_ports(plane: Plane, port: int, context: ssl.SSLContext | None = None, sni: str = "") -> dict[int, int]:
    """A source port for each worker. Over TLS a connection counts once its first bytes were looked at, so the handshake is made."""
    found: dict[int, int] = {}
    for _ in range(200):
        source, before = free_port(), worker_counts(plane, port)
        with contextlib.closing(Connection(port, source, context, sni)):
            deadline = time.monotonic() + 5
            while (after := worker_counts(plane, port)) == before and time.monotonic() < deadline:
                time.sleep(0.005)
        risen = [worker for worker in after if after[worker] != before.get(worker, 0)]
        if len(risen) == 1:
            found.setdefault(risen[0], source)
        if len(found) == WORKERS:
            return found
    raise TimeoutError(f"no source port for each of {WORKERS} workers: {found}")


class Connection:
    """One keep-alive connection that asks and reads whole answers."""

    def __init__(self, port: int, source: int = 0, context: ssl.SSLContext | None = None, sni: str = "") -> None:
        self.stream: socket.socket = connect(port, source)
        if context is not None:
            try:
                self.stream = context.wrap_socket(self.stream, server_hostname=sni)
            except OSError:
                self.stream.close()
                raise

    def ask(self, host: str, path: str = "/") -> tuple[int, dict[str, str]]:
        self.stream.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("ascii"))
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
        left = int(headers.get("content-length", 0)) - len(body)
        while left > 0:
            left -= len(self._more())
        return int(lines[0].split(" ", 2)[1]), headers

    def _more(self) -> bytes:
        got = self.stream.recv(65536)
        if not got:
            raise WrongAnswer("a keep-alive connection was closed")
        return got

    def close(self) -> None:
        self.stream.close()


def answer(connection: Connection, host: str, path: str) -> str:
    """An answer in short: its status, and its revision where it has one."""
    status, headers = connection.ask(host, path)
    return f"{status} {headers.get('x-rev', '')}".strip()


def until_right(connections: list[Connection], host: str, path: str, *, before: set[str], after: str) -> int:
    """When the last of the connections had the right answer (ns). Any answer that is neither raises; so does one that turns back."""
    waiting, ended, deadline = list(connections), 0, time.monotonic() + PATIENCE
    while waiting:
        for connection in tuple(waiting):
            got = answer(connection, host, path)
            if got == after:
                ended = time.monotonic_ns()
                waiting.remove(connection)
            elif got not in before:
                raise WrongAnswer(f"{host}{path} answered {got!r}; before {before}, after {after!r}")
        if waiting:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{host}{path} never answered {after!r} but {got!r}")
            time.sleep(PAUSE)
    for connection in connections:
        if (got := answer(connection, host, path)) != after:
            raise WrongAnswer(f"{host}{path} turned back to {got!r}")
    return ended


def until_live(port: int, host: str, path: str, after: str, seconds: float = 180.0) -> float:
    """Seconds until a fresh connection gets the right answer, or just that status: for the first load, where nothing is measured to the millisecond."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        with contextlib.suppress(OSError, WrongAnswer):
            connection = Connection(port)
            try:
                got = answer(connection, host, path)
                if got == after or (" " not in after and got.startswith(after)):
                    return time.monotonic() - began
            finally:
                connection.close()
        time.sleep(0.05)
    raise TimeoutError(f"{host}{path} never answered {after!r}")
