"""Which instances of load balancers are there, so that addresses follow answers and not every break of a stream. Pure; time is an argument.

Comes in: streams that come and go, first full syncs, and what ails engines. Goes out: what is news of an instance, and who has been gone, or ailing, for the grace time. An
instance that is back within it, be it here over another stream, has never been away. One that moved to another replica is let go here when the time is over;
the other replica says that it is there.
"""

from typing import NamedTuple

from weirkeeper.model.text import Id, IpAddress


class InstanceKey(NamedTuple):
    """Whose instance, and its own name."""

    load_balancer: Id
    instance: str


class Standing(NamedTuple):
    """Where clients reach an instance, if it is to be counted on, and why its engine does not do what is wished, if it does not."""

    addresses: tuple[IpAddress, ...] | None
    trouble: str


class Presence:
    """The instances whose streams end here."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._streams: dict[InstanceKey, int] = {}
        self._leaving: dict[InstanceKey, float] = {}
        self.serving: dict[InstanceKey, tuple[IpAddress, ...]] = {}
        self._ailing: dict[InstanceKey, str] = {}
        self._patience: dict[InstanceKey, float] = {}

    def came(self, key: InstanceKey) -> None:
        """A stream began."""
        self._streams[key] = self._streams.get(key, 0) + 1
        self._leaving.pop(key, None)

    def serves(self, key: InstanceKey, addresses: tuple[IpAddress, ...]) -> bool:
        """It has all that it should have. True where that, or one of its addresses, is news."""
        known = self.serving.get(key)
        self.serving[key] = addresses
        return known != addresses

    def ails(self, key: InstanceKey, why: str, now: float) -> bool:
        """Why its engine does not do what is wished (empty: it does), by its agent's word. True where that is news. The grace time begins with the first word."""
        known = self._ailing.pop(key, "")
        if why:
            self._ailing[key] = why
            if not known:
                self._patience[key] = now + self._grace
        else:
            self._patience.pop(key, None)
        return known != why

    def went(self, key: InstanceKey, now: float) -> None:
        """A stream ended; with the last one the grace time begins."""
        self._streams[key] -= 1
        if self._streams[key] == 0:
            del self._streams[key]
            if key in self.serving or key in self._ailing:
                self._leaving[key] = now + self._grace

    def standing(self, key: InstanceKey) -> Standing:
        """What is to be said of it now."""
        trouble = self._ailing.get(key, "")
        counts = not trouble or key in self._patience
        return Standing(self.serving.get(key) if counts else None, trouble)

    def gone(self, now: float) -> list[InstanceKey]:
        """Those of whom something else is to be said as a grace time is over; each is named once for it."""
        found = [key for key, due in self._leaving.items() if due <= now]
        for key in found:
            del self._leaving[key]
            for known in (self.serving, self._ailing, self._patience):
                known.pop(key, None)
        tired = [key for key, due in self._patience.items() if due <= now]
        for key in tired:
            del self._patience[key]
        return found + tired

    def wake_at(self) -> float | None:
        """When the next grace time ends."""
        return min((*self._leaving.values(), *self._patience.values()), default=None)
