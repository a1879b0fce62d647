"""Which instances of load balancers are there, so that addresses follow answers and not every break of a stream. Pure; time is an argument.

Comes in: streams that come and go, and first full syncs. Goes out: what is news of an instance, and who has been gone for the grace time. An instance
that is back within it, be it here over another stream, has never been away. One that moved to another replica is let go here when the time is over;
the other replica says that it is there.
"""

from typing import NamedTuple

from weirkeeper.model.text import Id, IpAddress


class InstanceKey(NamedTuple):
    """Whose instance, and its own name."""

    load_balancer: Id
    instance: str


class Presence:
    """The instances whose streams end here."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._streams: dict[InstanceKey, int] = {}
        self._leaving: dict[InstanceKey, float] = {}
        self.serving: dict[InstanceKey, tuple[IpAddress, ...]] = {}

    def came(self, key: InstanceKey) -> None:
        """A stream began."""
        self._streams[key] = self._streams.get(key, 0) + 1
        self._leaving.pop(key, None)

    def serves(self, key: InstanceKey, addresses: tuple[IpAddress, ...]) -> bool:
        """It has all that it should have. True where that, or one of its addresses, is news."""
        known = self.serving.get(key)
        self.serving[key] = addresses
        return known != addresses

    def went(self, key: InstanceKey, now: float) -> None:
        """A stream ended; with the last one the grace time begins."""
        self._streams[key] -= 1
        if self._streams[key] == 0:
            del self._streams[key]
            if key in self.serving:
                self._leaving[key] = now + self._grace

    def gone(self, now: float) -> list[InstanceKey]:
        """Those whose grace time is over; each is named once."""
        found = [key for key, due in self._leaving.items() if due <= now]
        for key in found:
            del self._leaving[key], self.serving[key]
        return found

    def wake_at(self) -> float | None:
        """When the next grace time ends."""
        return min(self._leaving.values(), default=None)
