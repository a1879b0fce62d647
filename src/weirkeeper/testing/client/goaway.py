"""Takes GOAWAY out of what an HTTP/2 server sends. Sans-IO: bytes in; bytes for h2 and farewells out.

h2 closes the whole connection on GOAWAY and then refuses the rest of the answers, which RFC 9113 (section 6.8) lets a server
still send: "Activity on streams numbered lower than or equal to the last stream identifier might still complete
successfully". A proxy that drains says just that, and to count its answers as lost would be false.
"""

import msgspec

HEADER = 9
GOAWAY = 0x7
STREAM = 0x7FFFFFFF  # the first bit is reserved


class Farewell(msgspec.Struct, frozen=True, kw_only=True):
    """Streams after `last` are not answered."""

    last: int
    code: int


class GoAways:
    """Cuts a server's bytes into frames; the client's side has no preface to pass over."""

    def __init__(self) -> None:
        self._buffer = b""

    def sift(self, chunk: bytes) -> tuple[bytes, list[Farewell]]:
        """The whole frames that are no GOAWAY, as bytes, and the farewells among them."""
        self._buffer += chunk
        kept, farewells, at = [], [], 0
        while len(self._buffer) >= at + HEADER:
            end = at + HEADER + int.from_bytes(self._buffer[at : at + 3], "big")
            if len(self._buffer) < end:
                break
            frame, at = self._buffer[at:end], end
            if frame[3] == GOAWAY and len(frame) >= HEADER + 8:
                farewells.append(_farewell(frame[HEADER:]))
            else:
                kept.append(frame)
        self._buffer = self._buffer[at:]
        return b"".join(kept), farewells


def _farewell(payload: bytes) -> Farewell:
    return Farewell(last=int.from_bytes(payload[:4], "big") & STREAM, code=int.from_bytes(payload[4:8], "big"))
