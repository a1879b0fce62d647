"""What a load run is asked for and what it brings back: values, and the one definition of a failure."""

import enum
from collections.abc import Callable

import msgspec

from weirkeeper.testing.client import Target


class Mix(enum.Enum):
    """The kinds of client; figures of different kinds are never added up."""

    KEEP_ALIVE = "keep-alive"
    NEW_CONNECTION = "new-connection"
    HTTP2 = "h2"


class Lost(enum.Enum):
    """Why there was no whole answer."""

    REFUSED = "refused"  # no connection, or no handshake
    CUT = "cut"  # ended after the first byte of the request
    LATE = "late"  # no whole answer in time
    GARBLED = "garbled"  # what came was no HTTP


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of request; `name` is what its records are called."""

    name: str
    host: str
    path: str = "/"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Asks are taken in turn; `rate` is requests a second over all connections, None is as fast as answers come.

    The run ends after `seconds` or `count` requests, whichever is first, or when it is stopped; a stop is heeded once `least`
    requests were sent. `token` is the response header that says who answered. `follow` names a file with addresses, as a name server
    would give them: each new connection goes to the next one of those that it has then.
    """

    target: Target
    asks: tuple[Ask, ...]
    mix: Mix = Mix.KEEP_ALIVE
    connections: int = 1
    rate: float | None = None
    seconds: float = 60.0
    count: int = 1_000_000
    least: int = 0
    limit: float = 10.0
    token: str = "x-echo-name"
    follow: str = ""


class Record(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One request; times are `time.monotonic_ns()`, which all processes of a machine share."""

    started_ns: int
    ended_ns: int
    target: str
    status: int = 0
    answer: str | None = None  # the token: who answered
    lost: Lost | None = None
    address: str = ""  # where it went that was lost


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """All records, in the order in which the requests ended."""

    records: tuple[Record, ...]
    reconnects: int
    started_ns: int
    ended_ns: int

    def failures(self, is_right: Callable[[Record], bool]) -> list[Record]:
        """The records without a whole answer, and those with an answer that was not right."""
        return [record for record in self.records if record.lost is not None or not is_right(record)]

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return len(self.records) / max((self.ended_ns - self.started_ns) / 1e9, 1e-9)
