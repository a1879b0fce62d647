"""The brake: a list that suddenly lacks a great deal is not believed at once.

Comes in: what a reflector tells about one kind, with the time. Goes out: what may pass now. A deletion that the server reports always passes. What is merely missing
from a new list (`Absent`) is held where it would take away at least half and at least `LEAST` of a kind, or all endpoints of more than half of the Services; a slice
that a list shows emptied counts like one that is missing. Held things stay as they were. They go when a second list of the same source, `AGAIN` seconds later or more,
still lacks them, or when somebody confirms; what comes back leaves the hold.

An API server that was restored from an old or empty backup answers lists that are true to it and fatal to us (rule 15 of the reliability plan). No IO, no clock.
"""

from collections import Counter, deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from weirkeeper.kube.mirror import Absent, Applied, Deleted, Listed, News, Unreadable
from weirkeeper.kube.types import EndpointSlice
from weirkeeper.model.ids import Ref

LEAST = 20
SHARE = 0.5
AGAIN = 10.0
RECENT = 30.0
"""Seconds: what several lists of one kind take away within this time is judged together."""
SERVICE_NAME = "kubernetes.io/service-name"

Service: TypeAlias = tuple[str, str]
Vanishing: TypeAlias = Absent | Applied
"""Missing, or emptied of endpoints."""


class Held(NamedTuple):
    """Something that would go, and since when it is held."""

    since: float
    news: Vanishing


class Brake:
    """The brake of one kind; several sources may tell about it (one reflector for each namespace)."""

    def __init__(self, *, least: int = LEAST, share: float = SHARE, again: float = AGAIN) -> None:
        self._least, self._share, self._again = least, share, again
        self._held: dict[Hashable, dict[Ref, Held]] = {}
        self._emptied: dict[Hashable, dict[Ref, Applied]] = {}  # by a list that is not complete yet
        self._passed: deque[tuple[float, int]] = deque()
        self._live: dict[Ref, Service] = {}  # slices with endpoints, and whose they are
        self._slices: Counter[Service] = Counter()

    @property
    def held(self) -> int:
        """How many objects are held."""
        return sum(len(held) for held in self._held.values())

    def take(self, source: Hashable, news: Sequence[News], *, total: int, now: float) -> list[News]:
        """What may pass. `total`: how many objects of the kind there were before; a list's `Absent`s and its `Listed` come in one call."""
        passing: list[News] = []
        absent: dict[Ref, Vanishing] = {}
        for one in news:
            match one:
                case Absent():
                    absent[one.ref] = one
                case Applied() if self._empties(one):
                    self._emptied.setdefault(source, {})[one.ref] = one
                case Applied() | Unreadable() | Deleted():
                    self._settled(source, one.ref)
                    passing.append(one)
                case Listed():
                    passing += [*self._listed(source, absent, total, now), one]
                case _:
                    passing.append(one)
        self._note(passing)
        return passing

    def confirm(self) -> list[News]:
        """Everything that is held: somebody says that it is meant."""
        released: list[News] = [one.news for held in self._held.values() for one in held.values()]
        self._held = {}
        self._note(released)
        return released

    def forget(self, source: Hashable) -> None:
        """The source is over: nothing of it is held any more."""
        self._held.pop(source, None)
        self._emptied.pop(source, None)

    def doubted(self, now: float) -> tuple[Hashable, ...]:
        """The sources that should list again now."""
        return tuple(
            source for source, held in self._held.items() if any(self._ripe(one, now) for one in held.values())
        )

    def _ripe(self, held: Held, now: float) -> bool:
        return now - held.since >= self._again

    def _listed(self, source: Hashable, absent: dict[Ref, Vanishing], total: int, now: float) -> list[Vanishing]:
        """What a complete list may take away: what was held long enough, and what is not a great deal."""
        held = self._held.pop(source, {})
        ripe = [one.news for one in held.values() if self._ripe(one, now)]
        waiting = {ref: one for ref, one in held.items() if not self._ripe(one, now)}
        vanishing = {**self._emptied.pop(source, {}), **absent}
        if vanishing and (waiting or self._held or self._is_much(absent, vanishing, total, now)):
            waiting |= {ref: Held(now, one) for ref, one in vanishing.items()}
            vanishing = {}
        if waiting:
            self._held[source] = waiting
        if vanishing:
            self._passed.append((now, len(vanishing)))
        return [*ripe, *vanishing.values()]

    def _is_much(
        self, absent: Mapping[Ref, Vanishing], vanishing: Mapping[Ref, Vanishing], total: int, now: float
    ) -> bool:
        while self._passed and now - self._passed[0][0] > RECENT:
            self._passed.popleft()
        recent = sum(count for _, count in self._passed)
        many = len(absent) + recent
        return (many >= self._least and many >= self._share * (total + recent)) or self._silences(vanishing)

    def _silences(self, vanishing: Mapping[Ref, Vanishing]) -> bool:
        """Whether more than half of the Services would lose their last endpoints."""
        lost = Counter(self._live[ref] for ref in vanishing if ref in self._live)
        silent = sum(1 for service, count in lost.items() if count == self._slices[service])
        return silent > self._share * len(self._slices)

    def _settled(self, source: Hashable, ref: Ref) -> None:
        """The server has said something newer: there is nothing to hold."""
        for waiting in (self._held, self._emptied):
            of_source = waiting.get(source)
            if of_source is not None and of_source.pop(ref, None) is not None and not of_source:
                del waiting[source]

    def _empties(self, told: Applied) -> bool:
        return (
            told.listed
            and told.ref in self._live
            and isinstance(told.object, EndpointSlice)
            and not told.object.endpoints
        )

    def _note(self, passing: Iterable[News]) -> None:
        for one in passing:
            match one:
                case Deleted() | Absent():
                    self._drop(one.ref)
                case Applied() if isinstance(one.object, EndpointSlice):
                    service = _service(one.ref, one.object) if one.object.endpoints else None
                    if self._live.get(one.ref) != service:
                        self._drop(one.ref)
                        self._add(one.ref, service)

    def _drop(self, ref: Ref) -> None:
        service = self._live.pop(ref, None)
        if service is not None:
            self._slices[service] -= 1
            if not self._slices[service]:
                del self._slices[service]

    def _add(self, ref: Ref, service: Service | None) -> None:
        if service is not None:
            self._live[ref] = service
            self._slices[service] += 1


def _service(ref: Ref, made: EndpointSlice) -> Service:
    return (ref.namespace, (made.metadata.labels or {}).get(SERVICE_NAME, ref.name))
