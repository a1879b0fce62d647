"""What was asked of the server, in order: for tests that count requests, and for those that prove who wrote what.

In: a finished request. Out: `Record`s, kept up to a bound.
"""

import hashlib
from collections import Counter, deque

from weirkeeper.model.value import Value
from weirkeeper.testing.apiserver.request import WRITES

KEPT = 200_000


class Record(Value, frozen=True, kw_only=True):
    """One request. ``at`` is the monotonic clock when it was answered (a watch: when it began), ``sent_version`` the
    resource version that a write carried, ``revision`` the revision that it made (0: it changed nothing).
    """

    at: float
    user: str
    agent: str
    verb: str
    group: str = ""
    plural: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    path: str
    status: int
    sent_version: str = ""
    digest: str = ""
    body: str = ""
    revision: int = 0


class Audit:
    """The last requests and the count of all."""

    def __init__(self, *, kept: int = KEPT) -> None:
        self.records: deque[Record] = deque(maxlen=kept)
        self.counts: Counter[tuple[str, str]] = Counter()

    def add(self, record: Record) -> None:
        """Keep a request."""
        self.records.append(record)
        self.counts[record.verb, record.plural] += 1

    @property
    def writes(self) -> list[Record]:
        """Requests that could change something, whether they did or not."""
        return [record for record in self.records if record.verb in WRITES]

    @property
    def changes(self) -> list[Record]:
        """Writes that changed something."""
        return [record for record in self.records if record.revision]

    def clear(self) -> None:
        """Begin anew."""
        self.records.clear()
        self.counts.clear()


def digest(body: bytes) -> str:
    """How a body is recognised without keeping it."""
    return hashlib.sha256(body).hexdigest()[:16] if body else ""
