"""Very many requests over kept connections: one is sent on each, then one answer is read from each.

In: raw requests. Out: (status, body) of each, in order. Answers must carry a content-length, as Envoy's own answers do. Longer pipelines than this are what Envoy takes for
a flood: it closes a connection on which more than two answers of its own wait to be written.
"""

import contextlib
import re
import socket
from collections.abc import Sequence

CONNECTIONS = 64
LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n")


def in_lockstep(port: int, requests: Sequence[bytes]) -> list[tuple[int, bytes]]:
    """The answers, in the order of the requests."""
    found: list[tuple[int, bytes]] = []
    with contextlib.ExitStack() as stack:
        kept = [stack.enter_context(_connected(port)) for _ in range(CONNECTIONS)]
        for start in range(0, len(requests), CONNECTIONS):
            pairs = list(zip(kept, requests[start : start + CONNECTIONS], strict=False))
            for connection, request in pairs:
                connection.sendall(request)
            found.extend(_answer(connection) for connection, _ in pairs)
    return found


def _connected(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), 10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _answer(connection: socket.socket) -> tuple[int, bytes]:
    held = b""
    while True:
        more = connection.recv(65536)
        assert more, f"the connection ended after {held!r}"
        held += more
        end = held.find(b"\r\n\r\n")
        length = LENGTH.search(held, 0, end + 2) if end >= 0 else None
        if length and len(held) >= end + 4 + int(length[1]):
            assert len(held) == end + 4 + int(length[1]), "nothing follows the answer"
            return int(held[9:12]), held[end + 4 :]
